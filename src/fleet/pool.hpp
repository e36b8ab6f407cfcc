#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/strong.hpp"
#include "base/time.hpp"
#include "fleet/schedule.hpp"

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

/// Which labels of a job a pool answers to.
enum class LabelMatch {
  subset,  ///< The pool has all that the job asks for.
  exact,   ///< And none besides.
};

/// In which order the offerings of a pool are tried.
enum class OfferingOrder {
  listed,  ///< As the pool lists them.
  price,   ///< The cheapest first; interruptions and refusals count against one.
  fleet,   ///< The cloud chooses, by price and capacity (EC2: CreateFleet).
};

/// How many instances wait for jobs.
struct IdlePolicy {
  int count = 0;                            ///< Ready instances without a job.
  int count_max = 0;                        ///< Of the scale factor's; 0: `max_instances`.
  std::string scale_factor;                 ///< Idle ones for each busy one, such as `0.5`.
  Duration time = std::chrono::minutes{5};  ///< Beyond the count, an idle one ends after this.
};

/// How often an instance is used.
struct ReusePolicy {
  int jobs = 1;         ///< Jobs on one instance, one after the other.
  Duration time_max{};  ///< No further job once it is this old; 0: none.
};

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
  std::vector<std::string> labels;  ///< What its machines offer to jobs.
  LabelMatch match = LabelMatch::subset;
  int priority = 0;  ///< Among pools that fit a job, the highest is asked first.
  std::map<std::string, std::string> sizes;  ///< `size:NAME` of a job to one of the types.
  IdlePolicy idle;
  std::map<std::string, Schedule> schedule;  ///< Idle counts by time; the highest holds.
  int growth_limit = 0;                      ///< Instances on their way at a time; 0: no limit.
  ReusePolicy reuse;
  int stopped_count = 0;  ///< Instances kept stopped, to be started when jobs come.
  Duration min_life{};    ///< No instance is ended for want of jobs before it is this old.
  Duration max_life{};    ///< An instance ends at this age, with its job if need be; 0: never.
  Duration max_age{};     ///< An idle instance older than this is replaced; 0: never.
  Duration hedge_after = std::chrono::minutes{1};  ///< Still booting: another is launched; 0: none.
  OfferingOrder order = OfferingOrder::listed;
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

  friend auto operator<=>(const Offering&, const Offering&) = default;
};

/// `spot t3.large us-east-1a`
[[nodiscard]] std::string describe(const Offering& offering);

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
