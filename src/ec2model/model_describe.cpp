#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "ec2model/filters.hpp"
#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

using Values = std::vector<std::string>;

std::string text_of(bool value) { return value ? "true" : "false"; }

/// One value; none for an empty one.
Values one(std::string value) {
  if (value.empty()) return {};
  return {std::move(value)};
}

std::string private_name(const Instance& instance) {
  std::string name = "ip-" + instance.private_address;
  std::replace(name.begin(), name.end(), '.', '-');
  return name + ".ec2.internal";
}

/// DescribeInstances' filters (API reference, DescribeInstances).
const FilterTable<Instance>& instance_filters() {
  using At = const Instance&;
  using In = const Model&;
  static const FilterTable<Instance> table{
      {"instance-id", [](At at, In) { return one(at.id); }},
      {"instance-state-name", [](At at, In) { return one(name_of(at.state)); }},
      {"instance-state-code", [](At at, In) { return one(std::to_string(code_of(at.state))); }},
      {"client-token", [](At at, In) { return one(at.client_token); }},
      {"reservation-id", [](At at, In) { return one(at.reservation); }},
      {"image-id", [](At at, In) { return one(at.image); }},
      {"instance-type", [](At at, In) { return one(at.instance_type); }},
      {"instance-lifecycle", [](At at, In) { return one(at.spot_request.empty() ? "" : "spot"); }},
      {"spot-instance-request-id", [](At at, In) { return one(at.spot_request); }},
      {"availability-zone", [](At at, In) { return one(at.zone); }},
      {"availability-zone-id", [](At at, In) { return one(at.zone_id); }},
      {"subnet-id", [](At at, In) { return one(at.subnet); }},
      {"vpc-id", [](At at, In) { return one(at.vpc); }},
      {"launch-time", [](At at, In) { return one(muster::format_iso8601_millis(at.launched_at)); }},
      {"private-ip-address", [](At at, In) { return one(at.private_address); }},
      {"ip-address", [](At at, In) { return one(at.public_address); }},
      {"key-name", [](At at, In) { return one(at.key_name); }},
      {"iam-instance-profile.arn",
       [](At at, In) { return one(at.profile ? at.profile->arn : ""); }},
      {"hibernation-options.configured",
       [](At at, In) { return one(text_of(at.is_hibernation_configured)); }},
      {"state-reason-code", [](At at, In) { return one(at.state_reason_code); }},
      {"instance.group-id", [](At at, In) { return at.groups; }},
      {"instance.group-name",
       [](At at, In model) {
         Values names;
         for (const std::string& id : at.groups) {
           if (const SecurityGroup* group = model.find_group(id)) names.push_back(group->name);
         }
         return names;
       }},
      {"network-interface.network-interface-id", [](At at, In) { return one(at.interface_id); }},
      {"network-interface.subnet-id", [](At at, In) { return one(at.subnet); }},
      {"network-interface.vpc-id", [](At at, In) { return one(at.vpc); }},
      {"metadata-options.http-tokens",
       [](At at, In) { return one(at.metadata.needs_token ? "required" : "optional"); }},
      {"architecture", [](At at, In) { return one(at.architecture); }},
      {"dns-name", [](At, In) { return one(""); }},
      {"private-dns-name", [](At at, In) { return one(private_name(at)); }},
      {"owner-id", [](At, In model) { return one(model.world().account); }},
      {"platform", [](At, In) { return one(""); }},
      {"platform-details", [](At, In) { return one("Linux/UNIX"); }},
      {"root-device-name", [](At at, In) { return one(at.root_device); }},
      {"root-device-type", [](At, In) { return one("ebs"); }},
      {"virtualization-type", [](At, In) { return one("hvm"); }},
      {"tenancy", [](At, In) { return one("default"); }},
      {"monitoring-state", [](At at, In) { return one(at.is_monitored ? "enabled" : "disabled"); }},
      {"ebs-optimized", [](At at, In) { return one(text_of(at.is_ebs_optimized)); }},
      {"reason", [](At at, In) { return one(at.transition_reason); }},
      {"launch-index", [](At at, In) { return one(std::to_string(at.launch_index)); }},
      {"source-dest-check", [](At at, In) { return one(text_of(at.has_source_check)); }},
      {"block-device-mapping.volume-id", [](At at, In) { return at.volumes; }},
      {"block-device-mapping.delete-on-termination",
       [](At at, In model) {
         Values values;
         for (const std::string& id : at.volumes) {
           const Volume* volume = model.find_volume(id);
           if (volume != nullptr) values.push_back(text_of(volume->deletes_on_termination));
         }
         return values;
       }},
  };
  return table;
}

/// Values of one member of the rules of one direction.
template <bool kIsEgress, class Read>
Values of_rules(const SecurityGroup& group, const Read& read) {
  Values values;
  for (const GroupRule& rule : group.rules) {
    if (rule.is_egress != kIsEgress) continue;
    std::string value = read(rule);
    if (!value.empty()) values.push_back(std::move(value));
  }
  return values;
}

std::string port_text(const std::optional<int>& port) { return port ? std::to_string(*port) : ""; }

const FilterTable<SecurityGroup>& group_filters() {
  using At = const SecurityGroup&;
  using In = const Model&;
  using Rule = const GroupRule&;
  static const FilterTable<SecurityGroup> table{
      {"group-id", [](At at, In) { return one(at.id); }},
      {"group-name", [](At at, In) { return one(at.name); }},
      {"vpc-id", [](At at, In) { return one(at.vpc); }},
      {"description", [](At at, In) { return one(at.description); }},
      {"ip-permission.group-id",
       [](At at, In) { return of_rules<false>(at, [](Rule rule) { return rule.group; }); }},
      {"ip-permission.from-port",
       [](At at, In) {
         return of_rules<false>(at, [](Rule rule) { return port_text(rule.from_port); });
       }},
      {"ip-permission.to-port",
       [](At at, In) {
         return of_rules<false>(at, [](Rule rule) { return port_text(rule.to_port); });
       }},
      {"ip-permission.protocol",
       [](At at, In) { return of_rules<false>(at, [](Rule rule) { return rule.protocol; }); }},
      {"ip-permission.cidr",
       [](At at, In) { return of_rules<false>(at, [](Rule rule) { return rule.cidr; }); }},
      {"egress.ip-permission.group-id",
       [](At at, In) { return of_rules<true>(at, [](Rule rule) { return rule.group; }); }},
      {"egress.ip-permission.from-port",
       [](At at, In) {
         return of_rules<true>(at, [](Rule rule) { return port_text(rule.from_port); });
       }},
      {"egress.ip-permission.to-port",
       [](At at, In) {
         return of_rules<true>(at, [](Rule rule) { return port_text(rule.to_port); });
       }},
      {"egress.ip-permission.protocol",
       [](At at, In) { return of_rules<true>(at, [](Rule rule) { return rule.protocol; }); }},
      {"egress.ip-permission.cidr",
       [](At at, In) { return of_rules<true>(at, [](Rule rule) { return rule.cidr; }); }},
  };
  return table;
}

}  // namespace

Answer<std::vector<const Instance*>> Model::describe_instances(const std::vector<std::string>& ids,
                                                               const std::vector<Filter>& filters,
                                                               TimePoint now) const {
  const auto is_visible = [&](const Instance& instance) {
    // Terminated instances stay describable for about an hour.
    if (instance.visible_at > now) return false;
    return instance.state != State::terminated || now - instance.ended_at < std::chrono::hours{1};
  };
  if (auto fine = check_filters(instance_filters(), filters); !fine) return again(fine);
  const auto known = check_instance_ids(ids, [&](const std::string& id) {
    const Instance* instance = find(id);
    return instance != nullptr && is_visible(*instance);
  });
  if (!known) return again(known);
  std::vector<const Instance*> found;
  // Told apart first by what is cheap to look at: most that are listed ended within the hour.
  const auto by_state = std::find_if(filters.begin(), filters.end(), [](const Filter& one) {
    return one.name == "instance-state-name";
  });
  std::array<bool, 6> is_asked_for{true, true, true, true, true, true};
  if (by_state != filters.end()) {
    for (std::size_t i = 0; i < is_asked_for.size(); ++i) {
      is_asked_for.at(i) = matches_any(*by_state, name_of(static_cast<State>(i)));
    }
  }
  const auto add = [&](const Instance& instance) {
    if (!is_asked_for.at(static_cast<std::size_t>(instance.state))) return;
    if (!is_visible(instance)) return;
    if (passes(instance_filters(), filters, instance, instance.tags, *this)) {
      found.push_back(&instance);
    }
  };
  const auto by_id = std::find_if(filters.begin(), filters.end(),
                                  [](const Filter& one) { return one.name == "instance-id"; });
  const bool is_named = by_id != filters.end() &&
                        std::all_of(by_id->values.begin(), by_id->values.end(),
                                    [&](const std::string& id) { return find(id) != nullptr; });
  if (ids.empty() && !is_named) {
    for (const Instance* instance : order_) add(*instance);
  } else if (ids.empty()) {
    std::map<std::size_t, const Instance*> named;  // In order of launch, each once.
    for (const std::string& id : by_id->values) named.emplace(find(id)->number, find(id));
    for (const auto& [number, instance] : named) add(*instance);
  } else {
    // In order of launch, each once.
    std::set<std::string> asked(ids.begin(), ids.end());
    for (const std::string& id : asked) add(instances_.at(id));
    std::sort(found.begin(), found.end(), [](const Instance* a, const Instance* b) {
      return std::tie(a->launched_at, a->reservation, a->launch_index, a->id) <
             std::tie(b->launched_at, b->reservation, b->launch_index, b->id);
    });
  }
  return found;
}

Answer<std::vector<const Image*>> Model::describe_images(const std::vector<std::string>& ids,
                                                         const std::vector<std::string>& owners,
                                                         const std::vector<Filter>& filters) const {
  std::vector<std::string> missing;
  for (const std::string& id : ids) {
    if (!is_well_formed(id, "ami")) {
      return refuse("InvalidAMIID.Malformed",
                    fmt::format("Invalid id: \"{}\" (expecting \"ami-...\")", id));
    }
    const Image* image = find_image(id);
    if (image != nullptr && !is_visible(*image)) image = nullptr;
    if (image == nullptr) missing.push_back(id);
    if (image != nullptr && image->is_deregistered) {
      return refuse("InvalidAMIID.Unavailable",
                    fmt::format("The image id '[{}]' is no longer available", id));
    }
  }
  if (!missing.empty()) {
    return refuse("InvalidAMIID.NotFound",
                  fmt::format("The image id{} '[{}]' do{} not exist", missing.size() > 1 ? "s" : "",
                              fmt::join(missing, ", "), missing.size() > 1 ? "" : "es"));
  }
  static const FilterTable<Image> table{
      {"name", [](const Image& at, const Model&) { return one(at.name); }},
      {"architecture", [](const Image& at, const Model&) { return one(at.architecture); }},
      {"state", [](const Image&, const Model&) { return one("available"); }},
      {"owner-alias", [](const Image& at, const Model&) { return one(at.owner_alias); }},
      {"owner-id", [](const Image& at, const Model&) { return one(at.owner); }},
      {"creation-date", [](const Image& at, const Model&) { return one(at.creation_date); }},
      {"image-id", [](const Image& at, const Model&) { return one(at.id); }},
      {"is-public", [](const Image& at, const Model&) { return one(text_of(at.is_public)); }},
      {"platform", [](const Image&, const Model&) { return one(""); }},
      {"root-device-type", [](const Image&, const Model&) { return one("ebs"); }},
      {"virtualization-type", [](const Image&, const Model&) { return one("hvm"); }},
      {"source-instance-id", [](const Image&, const Model&) { return one(""); }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const Image*> found;
  for (const Image& image : world_.images) {
    const bool is_owned =
        owners.empty() || std::any_of(owners.begin(), owners.end(), [&](const std::string& owner) {
          return owner == image.owner || (owner == "self" && image.owner == world_.account) ||
                 (!image.owner_alias.empty() && owner == image.owner_alias);
        });
    if (!is_owned || image.is_deregistered || !is_visible(image) || !is_listed(ids, image.id))
      continue;
    if (passes(table, filters, image, tags_of(image.id), *this)) found.push_back(&image);
  }
  return found;
}

Answer<std::vector<const Vpc*>> Model::describe_vpcs(const std::vector<std::string>& ids,
                                                     const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    if (find_vpc(id) == nullptr) {
      return refuse("InvalidVpcID.NotFound", fmt::format("The vpc ID '{}' does not exist", id));
    }
  }
  static const FilterTable<Vpc> table{
      {"vpc-id", [](const Vpc& at, const Model&) { return one(at.id); }},
      {"is-default", [](const Vpc& at, const Model&) { return one(text_of(at.is_default)); }},
      {"isDefault", [](const Vpc& at, const Model&) { return one(text_of(at.is_default)); }},
      {"state", [](const Vpc&, const Model&) { return one("available"); }},
      {"cidr", [](const Vpc& at, const Model&) { return one(at.cidr.describe()); }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const Vpc*> found;
  for (const Vpc& vpc : world_.vpcs) {
    if (!is_listed(ids, vpc.id)) continue;
    if (passes(table, filters, vpc, tags_of(vpc.id), *this)) found.push_back(&vpc);
  }
  return found;
}

Answer<std::vector<const Subnet*>> Model::describe_subnets(
    const std::vector<std::string>& ids, const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    if (find_subnet(id) == nullptr) {
      return refuse("InvalidSubnetID.NotFound",
                    fmt::format("The subnet ID '{}' does not exist", id));
    }
  }
  static const FilterTable<Subnet> table{
      {"vpc-id", [](const Subnet& at, const Model&) { return one(at.vpc); }},
      {"availability-zone", [](const Subnet& at, const Model&) { return one(at.zone); }},
      {"availabilityZone", [](const Subnet& at, const Model&) { return one(at.zone); }},
      {"availability-zone-id", [](const Subnet& at, const Model&) { return one(at.zone_id); }},
      {"state", [](const Subnet&, const Model&) { return one("available"); }},
      {"default-for-az",
       [](const Subnet& at, const Model&) { return one(text_of(at.is_default)); }},
      {"defaultForAz", [](const Subnet& at, const Model&) { return one(text_of(at.is_default)); }},
      {"subnet-id", [](const Subnet& at, const Model&) { return one(at.id); }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const Subnet*> found;
  for (const Subnet& subnet : world_.subnets) {
    if (!is_listed(ids, subnet.id)) continue;
    if (passes(table, filters, subnet, tags_of(subnet.id), *this)) found.push_back(&subnet);
  }
  return found;
}

Answer<std::vector<const SecurityGroup*>> Model::describe_groups(
    const std::vector<std::string>& ids, const std::vector<std::string>& names,
    const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    if (!is_well_formed(id, "sg")) {
      return refuse("InvalidGroupId.Malformed", fmt::format("Invalid id: \"{}\"", id));
    }
    if (find_group(id) == nullptr) {
      return refuse("InvalidGroup.NotFound",
                    fmt::format("The security group '{}' does not exist", id));
    }
  }
  for (const std::string& name : names) {
    const bool is_known =
        std::any_of(world_.groups.begin(), world_.groups.end(),
                    [&](const SecurityGroup& group) { return group.name == name; });
    if (!is_known) {
      return refuse("InvalidGroup.NotFound",
                    fmt::format("The security group '{}' does not exist", name));
    }
  }
  for (const Filter& filter : filters) {
    if (filter.name != "group-id") continue;
    for (const std::string& value : filter.values) {
      if (value.find_first_of("*?") == std::string::npos && !is_well_formed(value, "sg")) {
        return refuse("InvalidGroupId.Malformed", fmt::format("Invalid id: \"{}\"", value));
      }
    }
  }
  if (auto fine = check_filters(group_filters(), filters); !fine) return again(fine);
  std::vector<const SecurityGroup*> found;
  for (const SecurityGroup& group : world_.groups) {
    if (!is_listed(ids, group.id) || !is_listed(names, group.name)) continue;
    if (passes(group_filters(), filters, group, tags_of(group.id), *this)) found.push_back(&group);
  }
  return found;
}

Answer<std::vector<Model::RuleEntry>> Model::describe_rules(
    const std::vector<std::string>& ids, const std::vector<Filter>& filters) const {
  static const FilterTable<RuleEntry> table{
      {"group-id", [](const RuleEntry& at, const Model&) { return one(at.group->id); }},
      {"security-group-rule-id",
       [](const RuleEntry& at, const Model&) { return one(at.rule->id); }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<RuleEntry> found;
  for (const SecurityGroup& group : world_.groups) {
    for (const GroupRule& rule : group.rules) {
      const RuleEntry entry{&group, &rule};
      if (!is_listed(ids, rule.id)) continue;
      if (passes(table, filters, entry, tags_of(rule.id), *this)) found.push_back(entry);
    }
  }
  for (const std::string& id : ids) {
    const bool is_known = std::any_of(found.begin(), found.end(),
                                      [&](const RuleEntry& entry) { return entry.rule->id == id; });
    if (!is_known && filters.empty()) {
      return refuse("InvalidSecurityGroupRuleId.NotFound",
                    fmt::format("The security group rule ID '{}' does not exist", id));
    }
  }
  return found;
}

Answer<std::vector<const NetworkInterface*>> Model::describe_interfaces(
    const std::vector<std::string>& ids, const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    if (find_interface(id) == nullptr) {
      return refuse("InvalidNetworkInterfaceID.NotFound",
                    fmt::format("The network interface ID '{}' does not exist", id));
    }
  }
  using At = const NetworkInterface&;
  static const FilterTable<NetworkInterface> table{
      {"network-interface-id", [](At at, const Model&) { return one(at.id); }},
      {"attachment.instance-id", [](At at, const Model&) { return one(at.instance); }},
      {"attachment.status",
       [](At at, const Model&) { return one(at.instance.empty() ? "" : "attached"); }},
      {"status",
       [](At at, const Model&) { return one(at.instance.empty() ? "available" : "in-use"); }},
      {"subnet-id", [](At at, const Model&) { return one(at.subnet); }},
      {"vpc-id", [](At at, const Model&) { return one(at.vpc); }},
      {"group-id", [](At at, const Model&) { return at.groups; }},
      {"description", [](At at, const Model&) { return one(at.description); }},
      {"private-ip-address", [](At at, const Model&) { return one(at.private_address); }},
      {"interface-type", [](At, const Model&) { return one("interface"); }},
      {"requester-managed", [](At, const Model&) { return one("false"); }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const NetworkInterface*> found;
  for (const auto& [id, interface] : interfaces_) {
    if (!is_listed(ids, id)) continue;
    if (passes(table, filters, interface, tags_of(id), *this)) found.push_back(&interface);
  }
  return found;
}

Answer<std::vector<const Volume*>> Model::describe_volumes(
    const std::vector<std::string>& ids, const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    if (!is_well_formed(id, "vol")) {
      return refuse("InvalidVolumeID.Malformed", fmt::format("Invalid id: \"{}\"", id));
    }
    if (find_volume(id) == nullptr) {
      return refuse("InvalidVolume.NotFound", fmt::format("The volume '{}' does not exist.", id));
    }
  }
  using At = const Volume&;
  static const FilterTable<Volume> table{
      {"volume-id", [](At at, const Model&) { return one(at.id); }},
      {"status",
       [](At at, const Model&) { return one(at.instance.empty() ? "available" : "in-use"); }},
      {"attachment.instance-id", [](At at, const Model&) { return one(at.instance); }},
      {"attachment.device",
       [](At at, const Model&) { return one(at.instance.empty() ? "" : at.device); }},
      {"attachment.status",
       [](At at, const Model&) { return one(at.instance.empty() ? "" : "attached"); }},
      {"attachment.delete-on-termination",
       [](At at, const Model&) {
         return one(at.instance.empty() ? "" : text_of(at.deletes_on_termination));
       }},
      {"availability-zone", [](At at, const Model&) { return one(at.zone); }},
      {"size", [](At at, const Model&) { return one(std::to_string(at.size_gib)); }},
      {"snapshot-id", [](At at, const Model&) { return one(at.snapshot); }},
      {"volume-type", [](At at, const Model&) { return one(at.type); }},
      {"encrypted", [](At at, const Model&) { return one(text_of(at.is_encrypted)); }},
      {"create-time",
       [](At at, const Model&) { return one(muster::format_iso8601_millis(at.created_at)); }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const Volume*> found;
  for (const auto& [id, volume] : volumes_) {
    if (!is_listed(ids, id)) continue;
    if (passes(table, filters, volume, tags_of(id), *this)) found.push_back(&volume);
  }
  return found;
}

Answer<std::vector<const SpotRequest*>> Model::describe_spot_requests(
    const std::vector<std::string>& ids, const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    if (find_spot_request(id) == nullptr) {
      return refuse("InvalidSpotInstanceRequestID.NotFound",
                    fmt::format("The spot instance request ID '{}' does not exist", id));
    }
  }
  using At = const SpotRequest&;
  static const FilterTable<SpotRequest> table{
      {"spot-instance-request-id", [](At at, const Model&) { return one(at.id); }},
      {"instance-id", [](At at, const Model&) { return one(at.instance); }},
      {"state", [](At at, const Model&) { return one(at.state); }},
      {"status-code", [](At at, const Model&) { return one(at.status_code); }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const SpotRequest*> found;
  for (const auto& [id, request] : spot_requests_) {
    if (!is_listed(ids, id)) continue;
    if (passes(table, filters, request, tags_of(id), *this)) found.push_back(&request);
  }
  return found;
}

Answer<std::vector<const InstanceType*>> Model::describe_types(
    const std::vector<std::string>& names, const std::vector<Filter>& filters) const {
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (find_type(name) == nullptr) missing.push_back(name);
  }
  if (!missing.empty()) {
    return refuse("InvalidInstanceType",
                  fmt::format("The following supplied instance types do not exist: [{}]",
                              fmt::join(missing, ", ")));
  }
  using At = const InstanceType&;
  static const FilterTable<InstanceType> table{
      {"instance-type", [](At at, const Model&) { return one(std::string(at.name)); }},
      {"processor-info.supported-architecture",
       [](At at, const Model&) { return one(std::string(at.architecture)); }},
      {"current-generation",
       [](At at, const Model&) { return one(text_of(!at.name.starts_with("m1."))); }},
      {"hibernation-supported",
       [](At at, const Model&) { return one(text_of(at.can_hibernate())); }},
      {"supported-usage-class",
       [](At, const Model&) { return std::vector<std::string>{"on-demand", "spot"}; }},
      {"bare-metal", [](At, const Model&) { return one("false"); }},
      {"vcpu-info.default-vcpus",
       [](At at, const Model&) { return one(std::to_string(at.vcpu_count)); }},
      {"memory-info.size-in-mib",
       [](At at, const Model&) { return one(std::to_string(at.memory_mib)); }},
      {"burstable-performance-supported",
       [](At at, const Model&) { return one(text_of(at.is_burstable())); }},
  };
  if (auto fine = check_filters(table, filters, false); !fine) return again(fine);
  std::vector<const InstanceType*> found;
  for (const InstanceType& type : all_types()) {
    if (!is_listed(names, std::string(type.name))) continue;
    if (passes(table, filters, type, {}, *this)) found.push_back(&type);
  }
  return found;
}

Answer<std::vector<Model::Zone>> Model::describe_zones(const std::vector<std::string>& names,
                                                       const std::vector<std::string>& ids,
                                                       const std::vector<Filter>& filters) const {
  std::vector<Zone> all;
  for (const std::string& zone : world_.zones) all.push_back({zone, world_.zone_id(zone)});
  for (const std::string& name : names) {
    const bool is_known =
        std::any_of(all.begin(), all.end(), [&](const Zone& zone) { return zone.name == name; });
    if (!is_known) {
      return refuse("InvalidParameterValue", fmt::format("Invalid availability zone: [{}]", name));
    }
  }
  static const FilterTable<Zone> table{
      {"zone-name", [](const Zone& at, const Model&) { return one(at.name); }},
      {"zone-id", [](const Zone& at, const Model&) { return one(at.id); }},
      {"zone-type", [](const Zone&, const Model&) { return one("availability-zone"); }},
      {"state", [](const Zone&, const Model&) { return one("available"); }},
      {"region-name", [](const Zone&, const Model& model) { return one(model.world().region); }},
      {"opt-in-status", [](const Zone&, const Model&) { return one("opt-in-not-required"); }},
  };
  if (auto fine = check_filters(table, filters, false); !fine) return again(fine);
  std::vector<Zone> found;
  for (const Zone& zone : all) {
    if (!is_listed(names, zone.name) || !is_listed(ids, zone.id)) continue;
    if (passes(table, filters, zone, {}, *this)) found.push_back(zone);
  }
  return found;
}

Answer<std::vector<std::string>> Model::describe_regions(const std::vector<std::string>& names,
                                                         const std::vector<Filter>& filters) const {
  for (const std::string& name : names) {
    if (!is_listed(world_.regions, name, false)) {
      return refuse("InvalidParameterValue", fmt::format("Invalid region: [{}]", name));
    }
  }
  static const FilterTable<std::string> table{
      {"region-name", [](const std::string& at, const Model&) { return one(at); }},
      {"endpoint",
       [](const std::string& at, const Model&) { return one("ec2." + at + ".amazonaws.com"); }},
      {"opt-in-status",
       [](const std::string&, const Model&) { return one("opt-in-not-required"); }},
  };
  if (auto fine = check_filters(table, filters, false); !fine) return again(fine);
  std::vector<std::string> found;
  for (const std::string& region : world_.regions) {
    if (is_listed(names, region) && passes(table, filters, region, {}, *this))
      found.push_back(region);
  }
  return found;
}

}  // namespace ec2model
