#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ec2model/filter.hpp"

namespace ec2model {

using Tags = std::map<std::string, std::string>;

/// How an image's machines exist: in namespaces of this host, as processes without root, or as
/// records in which nothing runs.
enum class MachineKind { standard, namespaces, process, record };

struct Image {
  std::string id;
  std::string name;
  std::string description;
  std::string architecture;
  std::string owner;
  std::string owner_alias;  ///< `amazon` for public images of AWS; otherwise empty.
  std::string creation_date;
  std::string root_device = "/dev/xvda";
  std::string default_user;  ///< Whom cloud-init gives the launch key.
  bool has_docker = false;   ///< Its machines run a Docker engine.
  bool is_public = false;
  bool is_deregistered = false;
  int disk_gib = 8;
  MachineKind kind = MachineKind::standard;  ///< `standard`: what the simulator was told.
  std::vector<std::string> parameters;       ///< Public SSM parameters that name it.

  [[nodiscard]] std::string snapshot() const { return "snap-" + id.substr(4); }
};

/// A range of IPv4 addresses.
struct Cidr {
  unsigned first = 0;
  int bits = 32;

  [[nodiscard]] unsigned long size() const { return 1UL << (32 - bits); }
  [[nodiscard]] bool contains(const Cidr& other) const;
  [[nodiscard]] bool overlaps(const Cidr& other) const;
  [[nodiscard]] std::string describe() const;
};

struct Vpc {
  std::string id;
  Cidr cidr;
  bool is_default = false;
};

struct Subnet {
  std::string id;
  std::string vpc;
  std::string zone;
  std::string zone_id;
  Cidr cidr;
  unsigned first_address = 0;  ///< Host order; the first one handed out.
  unsigned address_count = 0;  ///< That can be handed out.
  bool is_default = true;
  bool maps_public_address = false;
};

/// Who may reach, or be reached: one source of one permission.
struct GroupRule {
  std::string id;
  bool is_egress = false;
  std::string protocol = "-1";
  std::optional<int> from_port;
  std::optional<int> to_port;
  std::string cidr;   ///< Or, when empty,
  std::string group;  ///< the group's id.
  std::string description;
  Tags tags;

  /// Whether both admit the same, whatever they are called.
  [[nodiscard]] bool admits_same(const GroupRule& other) const;
};

struct SecurityGroup {
  std::string id;
  std::string name;
  std::string description;
  std::string vpc;
  std::vector<GroupRule> rules;
};

struct InstanceProfile {
  std::string name;
  std::string arn;
  std::string id;
};

/// How long something takes: a constant, a range, or a log-normal with median and 99th percentile.
struct Distribution {
  enum class Form { constant, uniform, lognormal } form = Form::constant;
  muster::Duration low{0};   ///< The constant, the lower end, the median.
  muster::Duration high{0};  ///< The upper end, the 99th percentile.

  /// The value at a quantile from 0 up to, not including, 1.
  [[nodiscard]] muster::Duration at(double quantile) const;
};

/// `0s`, `2s`, `1s-5s`, or `lognormal:MEDIAN,P99`; nothing for anything else.
[[nodiscard]] std::optional<Distribution> parse_distribution(const std::string& text);

/// How long machines stay in the states that pass.
struct Durations {
  Distribution pending;
  Distribution stopping;
  Distribution shutting_down;
};

/// What goes wrong on purpose. Chances are from 0 to 1.
struct Faults {
  double throttle = 0;        ///< A call is refused with RequestLimitExceeded.
  double internal_error = 0;  ///< A call is refused with InternalError, and did nothing.
  double lost = 0;            ///< A call is carried out and its reply never comes.
  double late = 0;            ///< A reply comes `late_by` late.
  muster::Duration late_by = std::chrono::seconds{2};
  double cut = 0;   ///< Half of a reply comes.
  double hang = 0;  ///< A machine is `running` and boots never.
  double flap = 0;  ///< A listing shows a machine as it was before its last change.
  muster::Duration invisible_for{0};  ///< New machines are missing from listings for up to this.
  double interrupt = 0;               ///< A spot machine is interrupted
  muster::Duration interrupt_after = std::chrono::minutes{5};  ///< at a moment up to this,
  muster::Duration notice = std::chrono::minutes{2};           ///< with this much notice.
  std::vector<std::string> actions{"*"};  ///< To which the faults of calls apply.
  /// `capacity-type/instance-type/zone` patterns without room, such as `spot/t3.large/*`.
  std::vector<std::string> full_offerings;
};

/// What exists in one region of one account before the first call, and what is refused on purpose.
struct World {
  std::string account = "123456789012";
  std::string region = "us-east-1";
  std::string user_arn = "arn:aws:iam::123456789012:user/muster";
  std::vector<std::string> regions;  ///< All that the account can see.
  std::vector<std::string> zones;
  std::string default_vpc;  ///< Empty: the account has none.
  std::vector<Vpc> vpcs;
  std::vector<Subnet> subnets;
  std::vector<SecurityGroup> groups;
  std::vector<Image> images;
  std::vector<InstanceProfile> profiles;
  unsigned public_address_first = 0;
  unsigned public_address_count = 0;
  int vcpu_quota = 1152;  ///< On-demand, all standard families together.
  int spot_vcpu_quota = 1152;
  std::vector<std::string> denied_actions;  ///< `RunInstances`, wildcards allowed.
  Faults faults;
  Durations durations;
  MachineKind default_kind = MachineKind::namespaces;
  Cidr machine_network{10U << 24, 8};  ///< Where machines that are not records can live.
  bool throttles = true;               ///< Play EC2's token buckets.

  [[nodiscard]] MachineKind kind_of(const Image& image) const {
    return image.kind == MachineKind::standard ? default_kind : image.kind;
  }
  /// `use1-az1` for `us-east-1a`.
  [[nodiscard]] std::string zone_id(const std::string& zone) const;
};

/// The world of a fresh account: one default VPC in 10.`second_octet`.0.0/16, a default subnet in
/// each of three zones, the default group, images for amd64 and arm64, one instance profile.
/// `slice` tells the regions of one simulator apart: each has a part of the addresses.
[[nodiscard]] World default_world(unsigned second_octet, const std::string& region = "us-east-1",
                                  const std::string& account = "123456789012", unsigned slice = 0);

/// Adds a second VPC with a subnet and a group of its own.
void add_second_vpc(World& world, unsigned second_octet);

/// A subnet of `cidr`, whose first four addresses and last one EC2 keeps.
[[nodiscard]] Subnet make_subnet(const World& world, std::string id, std::string vpc,
                                 std::string zone, const Cidr& cidr);

/// The group that every VPC has.
[[nodiscard]] SecurityGroup default_group(std::string id, std::string vpc);

/// `10.0.1.7`
[[nodiscard]] std::string format_address(unsigned address);
[[nodiscard]] std::optional<unsigned> parse_address(const std::string& text);
/// `10.0.0.0/16`, with no bit behind the prefix.
[[nodiscard]] std::optional<Cidr> parse_cidr(const std::string& text);

}  // namespace ec2model
