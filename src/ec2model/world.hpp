#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ec2model/filter.hpp"

namespace ec2model {

using Tags = std::map<std::string, std::string>;

struct Image {
  std::string id;
  std::string name;
  std::string description;
  std::string architecture;
  std::string owner;
  std::string creation_date;
  std::string root_device = "/dev/xvda";
  std::string default_user;  ///< Whom cloud-init gives the launch key.
  bool has_docker = false;   ///< Its machines run a Docker engine.
  int disk_gib = 8;
};

struct Subnet {
  std::string id;
  std::string vpc;
  std::string zone;
  std::string zone_id;
  std::string cidr;
  unsigned first_address = 0;  ///< Host order; the first one handed out.
  unsigned address_count = 0;  ///< That can be handed out.
  bool is_default = true;
  bool maps_public_address = false;
};

struct SecurityGroup {
  std::string id;
  std::string name;
  std::string description;
  std::string vpc;
};

struct InstanceProfile {
  std::string name;
  std::string arn;
  std::string id;
};

/// What exists before the first call, and what is refused on purpose. The account is one, the
/// region is one.
struct World {
  std::string account = "123456789012";
  std::string region = "us-east-1";
  std::string user_arn = "arn:aws:iam::123456789012:user/muster";
  std::vector<std::string> zones;
  std::string default_vpc;  ///< Empty: the account has none.
  std::vector<Subnet> subnets;
  std::vector<SecurityGroup> groups;
  std::vector<Image> images;
  std::vector<InstanceProfile> profiles;
  unsigned public_address_first = 0;
  unsigned public_address_count = 0;
  int vcpu_quota = 1152;  ///< On-demand, all standard families together.
  int spot_vcpu_quota = 1152;
  std::vector<std::string> denied_actions;  ///< `RunInstances`, wildcards allowed.
  /// `capacity-type/instance-type/zone` patterns without room, such as `spot/t3.large/*`.
  std::vector<std::string> full_offerings;
  bool throttles = true;  ///< Play EC2's token buckets.
};

/// The world of a fresh account: one default VPC in 10.`second_octet`.0.0/16, a default subnet in
/// each of three zones, the default group, images for amd64 and arm64, one instance profile.
[[nodiscard]] World default_world(unsigned second_octet);

/// Adds a second VPC with a subnet and a group of its own.
void add_second_vpc(World& world, unsigned second_octet);

/// `10.0.1.7`
[[nodiscard]] std::string format_address(unsigned address);
[[nodiscard]] std::optional<unsigned> parse_address(const std::string& text);

}  // namespace ec2model
