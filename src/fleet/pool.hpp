#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/strong.hpp"
#include "base/time.hpp"

namespace muster {

enum class CapacityType { spot, on_demand };

/// `spot` or `on-demand`.
[[nodiscard]] std::string to_string(CapacityType type);

/// Which capacity a pool may use.
enum class OnDemandRule {
  fallback,  ///< Spot first, on-demand when there is no room.
  only,      ///< Never spot.
  never,     ///< Never on-demand.
};

/// The root volume. Absent members are the image's own.
struct DiskPolicy {
  std::optional<int> size_gib;
  std::string type;  ///< `gp3`, `io2`, …
  std::optional<int> iops;
  std::optional<int> throughput_mib;
  std::optional<bool> is_encrypted;
  std::string device;  ///< `/dev/xvda`; empty: the image's root device.
};

struct SshPolicy {
  std::string user = "admin";
  int port = 22;
  bool uses_public_address = false;  ///< Connect to the public address where there is one.
};

/// A launch template of the cloud, by id or by name.
struct TemplateRef {
  std::string id;
  std::string name;
  std::string version;  ///< A number, `$Latest` or `$Default`; empty: the default one.

  [[nodiscard]] bool empty() const { return id.empty() && name.empty(); }
};

/// `template ci`
[[nodiscard]] std::string describe(const TemplateRef& ref);

/// A named kind of machine and the policy for launching it. Immutable once loaded.
struct Pool {
  PoolName name;
  std::string image;  ///< An AMI id, or a name pattern with its owner; empty: the template's.
  std::string image_owner = "self";          ///< Account id, `self`, `amazon`.
  std::vector<std::string> types;            ///< The preferred one first; empty: the template's.
  TemplateRef launch_template;               ///< What the pool does not say is the template's.
  std::string region;                        ///< Empty: the configuration's, then the AWS default.
  std::vector<std::string> subnets;          ///< Ids; empty: the default VPC's.
  std::vector<std::string> security_groups;  ///< Ids or names; empty: the VPC's default group.
  OnDemandRule on_demand = OnDemandRule::fallback;
  std::string max_price;  ///< USD an hour for spot; empty: the on-demand price.
  int max_instances = 10;
  DiskPolicy disk;
  std::string iam_profile;        ///< Name or ARN of an instance profile; empty: none.
  std::string key_name;           ///< An EC2 key pair beside muster's own key.
  std::optional<bool> public_ip;  ///< Absent: the subnet's rule.
  std::string private_ip;         ///< A fixed address; only for pools of one machine.
  bool monitoring = false;        ///< Detailed CloudWatch monitoring.
  std::string instance_name;      ///< The `Name` tag; empty: `muster <pool>`.
  std::map<std::string, std::string> tags;
  std::string user_data;  ///< Run after muster's own: `#!` script or `#cloud-config`.
  SshPolicy ssh;
  int metadata_hop_limit = 1;
  bool privileged = true;  ///< Containers of types vm and aws are privileged, as in Drone.
  Duration boot_timeout = std::chrono::minutes{5};  ///< From launch to a usable machine.
  Duration dead_man =
      std::chrono::minutes{10};  ///< Without word from muster: the machine ends itself.
};

/// One place in which a pool may launch.
struct Offering {
  std::string instance_type;  ///< Empty: the launch template's.
  CapacityType capacity_type = CapacityType::on_demand;
  std::string subnet;  ///< Empty: EC2's choice in the default VPC.
  std::string zone;    ///< Of the subnet.
};

/// A subnet as it matters for a choice.
struct SubnetView {
  std::string id;
  std::string zone;
  std::string vpc;
  int free_address_count = 0;
};

/// Every offering of a pool in the order to try: spot before on-demand as its rule says, then the
/// types as listed, then the subnets with the most room. Without subnets each type stands once,
/// without types the template's one does.
[[nodiscard]] std::vector<Offering> offerings_of(const Pool& pool, std::vector<SubnetView> subnets);

}  // namespace muster
