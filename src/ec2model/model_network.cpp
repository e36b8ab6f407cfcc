#include <fmt/format.h>

#include <algorithm>

#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

tl::unexpected<Ec2Error> unknown_vpc(const std::string& id) {
  return refuse("InvalidVpcID.NotFound", fmt::format("The vpc ID '{}' does not exist", id));
}

tl::unexpected<Ec2Error> depends(const std::string& what, const std::string& id) {
  return refuse("DependencyViolation",
                fmt::format("The {} '{}' has dependencies and cannot be deleted.", what, id));
}

/// `peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW`, as EC2 names a rule.
std::string name_of_rule(const GroupRule& rule) {
  std::string protocol = rule.protocol == "-1" ? "ALL" : rule.protocol;
  for (char& c : protocol) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  std::string ports;
  if (rule.from_port) {
    ports = fmt::format(", from port: {}, to port: {}", *rule.from_port,
                        rule.to_port.value_or(*rule.from_port));
  }
  return fmt::format("peer: {}, {}{}, ALLOW", rule.cidr.empty() ? rule.group : rule.cidr, protocol,
                     ports);
}

Answer<void> check_rule(const GroupRule& rule) {
  const bool has_ports = rule.protocol == "tcp" || rule.protocol == "udp";
  if (!has_ports && rule.protocol != "-1" && rule.protocol != "icmp" && rule.protocol != "icmpv6") {
    return refuse(
        "InvalidParameterValue",
        fmt::format("Invalid value '{}' for IP protocol. Unknown protocol.", rule.protocol));
  }
  if (has_ports) {
    if (!rule.from_port || !rule.to_port) {
      return refuse("MissingParameter",
                    "The request must contain the parameters FromPort and ToPort for tcp and udp");
    }
    const bool is_range =
        *rule.from_port >= 0 && *rule.to_port <= 65535 && *rule.from_port <= *rule.to_port;
    if (!is_range) {
      return refuse("InvalidParameterValue", fmt::format("Invalid value '{}-{}' for portRange.",
                                                         *rule.from_port, *rule.to_port));
    }
  }
  const bool is_v6 = rule.cidr.find(':') != std::string::npos;
  if (!rule.cidr.empty() && !is_v6 && !parse_cidr(rule.cidr)) {
    return refuse("InvalidParameterValue", fmt::format("CIDR block {} is malformed", rule.cidr));
  }
  return {};
}

}  // namespace

const Vpc* Model::find_vpc(const std::string& id) const {
  const auto found = std::find_if(world_.vpcs.begin(), world_.vpcs.end(),
                                  [&](const Vpc& vpc) { return vpc.id == id; });
  return found == world_.vpcs.end() ? nullptr : &*found;
}

const Subnet* Model::find_subnet(const std::string& id) const {
  const auto found = std::find_if(world_.subnets.begin(), world_.subnets.end(),
                                  [&](const Subnet& subnet) { return subnet.id == id; });
  return found == world_.subnets.end() ? nullptr : &*found;
}

const SecurityGroup* Model::find_group(const std::string& id) const {
  const auto found = std::find_if(world_.groups.begin(), world_.groups.end(),
                                  [&](const SecurityGroup& group) { return group.id == id; });
  return found == world_.groups.end() ? nullptr : &*found;
}

const Volume* Model::find_volume(const std::string& id) const {
  const auto found = volumes_.find(id);
  return found == volumes_.end() ? nullptr : &found->second;
}

const NetworkInterface* Model::find_interface(const std::string& id) const {
  const auto found = interfaces_.find(id);
  return found == interfaces_.end() ? nullptr : &found->second;
}

Answer<const Vpc*> Model::create_vpc(const Cidr& cidr, const Tags& tags, const Gate& gate) {
  if (cidr.bits < 16 || cidr.bits > 28) {
    return refuse("InvalidVpc.Range", fmt::format("The CIDR '{}' is invalid.", cidr.describe()));
  }
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  if (auto open = gate.pass(); !open) return again(open);
  const Vpc made{random_id("vpc-"), cidr, false};
  world_.vpcs.push_back(made);
  world_.groups.push_back(default_group(random_id("sg-"), made.id));
  if (!tags.empty()) tags_[made.id] = tags;
  return &world_.vpcs.back();
}

Answer<void> Model::delete_vpc(const std::string& id, const Gate& gate) {
  if (find_vpc(id) == nullptr) return unknown_vpc(id);
  const bool is_used =
      std::any_of(world_.subnets.begin(), world_.subnets.end(),
                  [&](const Subnet& subnet) { return subnet.vpc == id; }) ||
      std::any_of(world_.groups.begin(), world_.groups.end(), [&](const SecurityGroup& group) {
        return group.vpc == id && group.name != "default";
      });
  if (is_used) return depends("vpc", id);
  if (auto open = gate.pass(); !open) return open;
  std::erase_if(world_.vpcs, [&](const Vpc& vpc) { return vpc.id == id; });
  std::erase_if(world_.groups, [&](const SecurityGroup& group) { return group.vpc == id; });
  if (world_.default_vpc == id) world_.default_vpc.clear();
  tags_.erase(id);
  return {};
}

Answer<const Subnet*> Model::create_subnet(const std::string& vpc, const Cidr& cidr,
                                           const std::string& zone, const Tags& tags,
                                           const Gate& gate) {
  const Vpc* in = find_vpc(vpc);
  if (in == nullptr) return unknown_vpc(vpc);
  if (cidr.bits < 16 || cidr.bits > 28 || !in->cidr.contains(cidr)) {
    return refuse("InvalidSubnet.Range", fmt::format("The CIDR '{}' is invalid.", cidr.describe()));
  }
  for (const Subnet& subnet : world_.subnets) {
    if (subnet.vpc == vpc && subnet.cidr.overlaps(cidr)) {
      return refuse("InvalidSubnet.Conflict",
                    fmt::format("The CIDR '{}' conflicts with another subnet", cidr.describe()));
    }
  }
  const std::string& place = zone.empty() ? world_.zones.front() : zone;
  if (std::find(world_.zones.begin(), world_.zones.end(), place) == world_.zones.end()) {
    return refuse("InvalidParameterValue",
                  fmt::format("Value ({}) for parameter availabilityZone is invalid. Subnets can "
                              "currently only be created in the following availability zones: {}.",
                              place, fmt::join(world_.zones, ", ")));
  }
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  if (auto open = gate.pass(); !open) return again(open);
  world_.subnets.push_back(make_subnet(world_, random_id("subnet-"), vpc, place, cidr));
  if (!tags.empty()) tags_[world_.subnets.back().id] = tags;
  return &world_.subnets.back();
}

Answer<void> Model::delete_subnet(const std::string& id, const Gate& gate) {
  if (find_subnet(id) == nullptr) {
    return refuse("InvalidSubnetID.NotFound", fmt::format("The subnet ID '{}' does not exist", id));
  }
  const bool is_used = std::any_of(interfaces_.begin(), interfaces_.end(),
                                   [&](const auto& one) { return one.second.subnet == id; });
  if (is_used) return depends("subnet", id);
  if (auto open = gate.pass(); !open) return open;
  std::erase_if(world_.subnets, [&](const Subnet& subnet) { return subnet.id == id; });
  tags_.erase(id);
  return {};
}

Answer<SecurityGroup*> Model::group_named(const std::string& id, const std::string& name) {
  if (id.empty() && name.empty()) {
    return refuse("MissingParameter",
                  "The request must contain the parameter groupName or groupId");
  }
  if (!id.empty() && !is_well_formed(id, "sg")) {
    return refuse("InvalidGroupId.Malformed", fmt::format("Invalid id: \"{}\"", id));
  }
  for (SecurityGroup& group : world_.groups) {
    const bool is_it =
        id.empty() ? group.name == name && group.vpc == world_.default_vpc : group.id == id;
    if (is_it) return &group;
  }
  return refuse("InvalidGroup.NotFound",
                fmt::format("The security group '{}' does not exist", id.empty() ? name : id));
}

Answer<const SecurityGroup*> Model::create_group(const std::string& name,
                                                 const std::string& description,
                                                 const std::string& vpc, const Tags& tags,
                                                 const Gate& gate) {
  if (name.empty() || name.size() > 255 || name.starts_with("sg-")) {
    return refuse(
        "InvalidParameterValue",
        fmt::format("Value ({}) for parameter GroupName is invalid. It may not start with "
                    "sg-, and at most 255 characters are allowed.",
                    name));
  }
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  const std::string in = vpc.empty() ? world_.default_vpc : vpc;
  if (in.empty()) return refuse("VPCIdNotSpecified", "No default VPC for this user");
  if (find_vpc(in) == nullptr) return unknown_vpc(in);
  for (const SecurityGroup& group : world_.groups) {
    if (group.vpc == in && group.name == name) {
      return refuse("InvalidGroup.Duplicate",
                    fmt::format("The security group '{}' already exists for VPC '{}'", name, in));
    }
  }
  if (auto open = gate.pass(); !open) return again(open);
  SecurityGroup made{random_id("sg-"), name, description, in, {}};
  GroupRule to_all;
  to_all.id = random_id("sgr-");
  to_all.is_egress = true;
  to_all.cidr = "0.0.0.0/0";
  made.rules.push_back(to_all);
  if (!tags.empty()) tags_[made.id] = tags;
  world_.groups.push_back(std::move(made));
  return &world_.groups.back();
}

Answer<void> Model::delete_group(const std::string& id, const std::string& name, const Gate& gate) {
  const Answer<SecurityGroup*> found = group_named(id, name);
  if (!found) return again(found);
  const std::string gone = (*found)->id;
  if ((*found)->name == "default") {
    return refuse(
        "CannotDelete",
        fmt::format("the specified group: \"{}\" name: \"default\" cannot be deleted by a user",
                    gone));
  }
  const bool is_used =
      std::any_of(interfaces_.begin(), interfaces_.end(),
                  [&](const auto& one) {
                    const auto& groups = one.second.groups;
                    return std::find(groups.begin(), groups.end(), gone) != groups.end();
                  }) ||
      std::any_of(world_.groups.begin(), world_.groups.end(), [&](const SecurityGroup& group) {
        return group.id != gone &&
               std::any_of(group.rules.begin(), group.rules.end(),
                           [&](const GroupRule& rule) { return rule.group == gone; });
      });
  if (is_used) {
    return refuse("DependencyViolation", fmt::format("resource {} has a dependent object", gone));
  }
  if (auto open = gate.pass(); !open) return open;
  std::erase_if(world_.groups, [&](const SecurityGroup& group) { return group.id == gone; });
  tags_.erase(gone);
  return {};
}

Answer<std::vector<GroupRule>> Model::authorize(const std::string& id, const std::string& name,
                                                std::vector<GroupRule> rules, const Tags& tags,
                                                const Gate& gate) {
  const Answer<SecurityGroup*> found = group_named(id, name);
  if (!found) return again(found);
  if (rules.empty()) {
    return refuse(
        "MissingParameter",
        "The request must contain the parameter IpPermissions, or a protocol and a source");
  }
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  for (GroupRule& rule : rules) {
    if (auto fine = check_rule(rule); !fine) return again(fine);
    if (!rule.group.empty()) {
      const Answer<SecurityGroup*> other =
          group_named(rule.group.starts_with("sg-") ? rule.group : "",
                      rule.group.starts_with("sg-") ? "" : rule.group);
      if (!other) return again(other);
      rule.group = (*other)->id;
    }
    for (const GroupRule& there : (*found)->rules) {
      if (!there.admits_same(rule)) continue;
      return refuse("InvalidPermission.Duplicate",
                    fmt::format("the specified rule \"{}\" already exists", name_of_rule(rule)));
    }
  }
  if (auto open = gate.pass(); !open) return again(open);
  for (GroupRule& rule : rules) {
    rule.id = random_id("sgr-");
    if (!tags.empty()) tags_[rule.id] = tags;
    (*found)->rules.push_back(rule);
  }
  return rules;
}

std::string Model::group_of_rule(const std::string& rule_id) const {
  for (const SecurityGroup& group : world_.groups) {
    for (const GroupRule& rule : group.rules) {
      if (rule.id == rule_id) return group.id;
    }
  }
  return {};
}

Answer<void> Model::revoke(const std::string& id, const std::string& name,
                           const std::vector<GroupRule>& rules,
                           const std::vector<std::string>& rule_ids, bool is_egress,
                           const Gate& gate) {
  const Answer<SecurityGroup*> found = group_named(id, name);
  if (!found) return again(found);
  std::vector<GroupRule>& kept = (*found)->rules;
  for (const std::string& one : rule_ids) {
    const bool has = std::any_of(kept.begin(), kept.end(), [&](const GroupRule& rule) {
      return rule.id == one && rule.is_egress == is_egress;
    });
    if (!has) {
      return refuse("InvalidSecurityGroupRuleId.NotFound",
                    fmt::format("The security group rule ID '{}' does not exist", one));
    }
  }
  for (const GroupRule& one : rules) {
    const bool has = std::any_of(kept.begin(), kept.end(),
                                 [&](const GroupRule& rule) { return rule.admits_same(one); });
    if (!has) {
      return refuse("InvalidPermission.NotFound",
                    "The specified rule does not exist in this security group.");
    }
  }
  if (auto open = gate.pass(); !open) return open;
  std::erase_if(kept, [&](const GroupRule& rule) {
    return std::find(rule_ids.begin(), rule_ids.end(), rule.id) != rule_ids.end() ||
           std::any_of(rules.begin(), rules.end(),
                       [&](const GroupRule& one) { return rule.admits_same(one); });
  });
  return {};
}

Answer<void> Model::delete_interface(const std::string& id, const Gate& gate) {
  const NetworkInterface* found = find_interface(id);
  if (found == nullptr) {
    return refuse("InvalidNetworkInterfaceID.NotFound",
                  fmt::format("The network interface ID '{}' does not exist", id));
  }
  if (!found->instance.empty()) {
    return refuse("InvalidParameterValue",
                  fmt::format("Network interface '{}' is currently in use.", id));
  }
  if (auto open = gate.pass(); !open) return open;
  if (const auto address = parse_address(found->private_address)) {
    addresses_.erase((*address & 0xffffffU) | (world_.machine_network.first & 0xff000000U));
    addresses_.erase(*address);
  }
  interfaces_.erase(id);
  tags_.erase(id);
  return {};
}

Answer<void> Model::delete_volume(const std::string& id, const Gate& gate) {
  const Volume* found = find_volume(id);
  if (!is_well_formed(id, "vol")) {
    return refuse("InvalidVolumeID.Malformed", fmt::format("Invalid id: \"{}\"", id));
  }
  if (found == nullptr) {
    return refuse("InvalidVolume.NotFound", fmt::format("The volume '{}' does not exist.", id));
  }
  if (!found->instance.empty()) {
    return refuse("VolumeInUse",
                  fmt::format("Volume {} is currently attached to {}", id, found->instance));
  }
  if (auto open = gate.pass(); !open) return open;
  volumes_.erase(id);
  tags_.erase(id);
  return {};
}

Answer<void> Model::deregister_image(const std::string& id, const Gate& gate) {
  const auto found = std::find_if(world_.images.begin(), world_.images.end(),
                                  [&](const Image& image) { return image.id == id; });
  if (!is_well_formed(id, "ami")) {
    return refuse("InvalidAMIID.Malformed",
                  fmt::format("Invalid id: \"{}\" (expecting \"ami-...\")", id));
  }
  if (found == world_.images.end()) {
    return refuse("InvalidAMIID.NotFound", fmt::format("The image id '[{}]' does not exist", id));
  }
  if (found->is_deregistered) {
    return refuse("InvalidAMIID.Unavailable",
                  fmt::format("The image id '[{}]' is no longer available", id));
  }
  if (found->owner != world_.account) {
    return refuse("AuthFailure", fmt::format("Not authorized for image: {}", id), 401);
  }
  if (auto open = gate.pass(); !open) return open;
  found->is_deregistered = true;
  tags_.erase(id);
  return {};
}

Answer<std::string> Model::copy_image(const Image& source, const std::string& name,
                                      const std::string& description, const Tags& tags,
                                      const std::string& token, const Gate& gate, TimePoint now) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[] ./-'@_";
  if (name.size() < 3 || name.size() > 128 ||
      name.find_first_not_of(kAllowed) != std::string::npos) {
    return refuse("InvalidAMIName.Malformed",
                  "AMI names must be between 3 and 128 characters long, and may contain letters, "
                  "numbers, '(', ')', '.', '-', '/' and '_'");
  }
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  const std::string key = "CopyImage " + token;
  if (!token.empty() && made_.contains(key)) return made_.at(key);
  for (const Image& image : world_.images) {
    if (image.name == name && image.owner == world_.account && !image.is_deregistered) {
      return refuse("InvalidAMIName.Duplicate",
                    fmt::format("AMI name {} is already in use by AMI {}", name, image.id));
    }
  }
  if (auto open = gate.pass(); !open) return again(open);
  Image made = source;
  made.id = random_id("ami-");
  made.name = name;
  made.description = description.empty() ? source.description : description;
  made.owner = world_.account;
  made.owner_alias.clear();
  made.is_public = false;
  made.parameters.clear();
  made.creation_date = muster::format_iso8601_millis(now);
  if (!tags.empty()) tags_[made.id] = tags;
  world_.images.push_back(made);
  if (!token.empty()) made_[key] = made.id;
  return made.id;
}

}  // namespace ec2model
