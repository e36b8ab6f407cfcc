#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

/// The values that an object has for a filter; nothing if the filter is not known.
using Values = std::optional<std::vector<std::string>>;

tl::unexpected<Ec2Error> unknown_filter(const std::string& name) {
  return refuse("InvalidParameterValue", fmt::format("The filter '{}' is invalid", name));
}

std::string text_of(bool value) { return value ? "true" : "false"; }

/// `tag:<key>` and `tag-key`, which every taggable object has.
Values tag_values(const std::string& name, const Tags& tags) {
  std::vector<std::string> values;
  if (name.starts_with("tag:")) {
    const auto found = tags.find(name.substr(4));
    if (found != tags.end()) values.push_back(found->second);
    return values;
  }
  if (name != "tag-key") return std::nullopt;
  for (const auto& [key, value] : tags) values.push_back(key);
  return values;
}

std::vector<std::string> one(std::string value) {
  if (value.empty()) return {};
  return {std::move(value)};
}

std::string private_name(const Instance& instance) {
  std::string name = "ip-" + instance.private_address;
  std::replace(name.begin(), name.end(), '.', '-');
  return name + ".ec2.internal";
}

/// DescribeInstances' filters (API reference, DescribeInstances).
Values values_of(const Instance& at, const World& world, const std::string& name) {
  if (auto tags = tag_values(name, at.tags)) return tags;
  using Reader = std::function<std::vector<std::string>()>;
  const auto groups = [&](bool by_id) {
    std::vector<std::string> values;
    for (const SecurityGroup& group : at.groups) values.push_back(by_id ? group.id : group.name);
    return values;
  };
  const std::map<std::string, Reader> readers{
      {"instance-id", [&] { return one(at.id); }},
      {"instance-state-name", [&] { return one(name_of(at.state)); }},
      {"instance-state-code", [&] { return one(std::to_string(code_of(at.state))); }},
      {"client-token", [&] { return one(at.client_token); }},
      {"reservation-id", [&] { return one(at.reservation); }},
      {"image-id", [&] { return one(at.image); }},
      {"instance-type", [&] { return one(at.instance_type); }},
      {"instance-lifecycle", [&] { return one(at.spot_request.empty() ? "" : "spot"); }},
      {"spot-instance-request-id", [&] { return one(at.spot_request); }},
      {"availability-zone", [&] { return one(at.zone); }},
      {"availability-zone-id", [&] { return one(at.zone_id); }},
      {"subnet-id", [&] { return one(at.subnet); }},
      {"vpc-id", [&] { return one(at.vpc); }},
      {"launch-time", [&] { return one(muster::format_iso8601_millis(at.launched_at)); }},
      {"private-ip-address", [&] { return one(at.private_address); }},
      {"ip-address", [&] { return one(at.public_address); }},
      {"key-name", [&] { return one(at.key_name); }},
      {"iam-instance-profile.arn", [&] { return one(at.profile ? at.profile->arn : ""); }},
      {"hibernation-options.configured", [&] { return one("false"); }},
      {"state-reason-code", [&] { return one(at.state_reason_code); }},
      {"instance.group-id", [&] { return groups(true); }},
      {"instance.group-name", [&] { return groups(false); }},
      {"network-interface.network-interface-id", [&] { return one(at.interface_id); }},
      {"network-interface.subnet-id", [&] { return one(at.subnet); }},
      {"network-interface.vpc-id", [&] { return one(at.vpc); }},
      {"metadata-options.http-tokens",
       [&] { return one(at.metadata.needs_token ? "required" : "optional"); }},
      {"architecture", [&] { return one(at.architecture); }},
      {"dns-name", [&] { return one(""); }},
      {"private-dns-name", [&] { return one(private_name(at)); }},
      {"owner-id", [&] { return one(world.account); }},
      {"platform", [&] { return one(""); }},
      {"platform-details", [&] { return one("Linux/UNIX"); }},
      {"root-device-name", [&] { return one(at.root_device); }},
      {"root-device-type", [&] { return one("ebs"); }},
      {"virtualization-type", [&] { return one("hvm"); }},
      {"tenancy", [&] { return one("default"); }},
      {"monitoring-state", [&] { return one(at.is_monitored ? "enabled" : "disabled"); }},
      {"ebs-optimized", [&] { return one(text_of(at.is_ebs_optimized)); }},
      {"reason", [&] { return one(at.transition_reason); }},
      {"launch-index", [&] { return one(std::to_string(at.launch_index)); }},
      {"source-dest-check", [&] { return one("true"); }},
      {"block-device-mapping.volume-id",
       [&] {
         std::vector<std::string> values;
         for (const Volume& volume : at.volumes) values.push_back(volume.id);
         return values;
       }},
      {"block-device-mapping.delete-on-termination",
       [&] {
         std::vector<std::string> values;
         for (const Volume& volume : at.volumes) {
           values.push_back(text_of(volume.deletes_on_termination));
         }
         return values;
       }},
  };
  const auto found = readers.find(name);
  if (found == readers.end()) return std::nullopt;
  return found->second();
}

Values values_of(const Image& at, const Tags& tags, const std::string& name) {
  if (auto found = tag_values(name, tags)) return found;
  if (name == "name") return one(at.name);
  if (name == "architecture") return one(at.architecture);
  if (name == "state") return one("available");
  if (name == "owner-alias") return one("");
  if (name == "owner-id") return one(at.owner);
  if (name == "creation-date") return one(at.creation_date);
  if (name == "image-id") return one(at.id);
  if (name == "is-public") return one("false");
  if (name == "platform") return one("");
  if (name == "root-device-type") return one("ebs");
  if (name == "virtualization-type") return one("hvm");
  if (name == "source-instance-id") return one("");
  return std::nullopt;
}

Values values_of(const Subnet& at, const Tags& tags, const std::string& name) {
  if (auto found = tag_values(name, tags)) return found;
  if (name == "vpc-id") return one(at.vpc);
  if (name == "availability-zone" || name == "availabilityZone") return one(at.zone);
  if (name == "availability-zone-id") return one(at.zone_id);
  if (name == "state") return one("available");
  if (name == "default-for-az" || name == "defaultForAz") return one(text_of(at.is_default));
  if (name == "subnet-id") return one(at.id);
  return std::nullopt;
}

Values values_of(const SecurityGroup& at, const Tags& tags, const std::string& name) {
  if (auto found = tag_values(name, tags)) return found;
  if (name == "group-id") return one(at.id);
  if (name == "group-name") return one(at.name);
  if (name == "vpc-id") return one(at.vpc);
  if (name == "description") return one(at.description);
  return std::nullopt;
}

/// Whether all filters match; unknown ones are refused, since a filter that is accepted and not
/// applied would widen a sweep.
template <class Reader>
Answer<bool> passes(const std::vector<Filter>& filters, const Reader& read) {
  bool passes_all = true;
  for (const Filter& filter : filters) {
    const Values values = read(filter.name);
    if (!values) return unknown_filter(filter.name);
    passes_all = passes_all && matches_any(filter, *values);
  }
  return passes_all;
}

bool is_listed(const std::vector<std::string>& ids, const std::string& id) {
  return ids.empty() || std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Answer<std::vector<const Instance*>> Model::describe_instances(const std::vector<std::string>& ids,
                                                               const std::vector<Filter>& filters,
                                                               TimePoint now) const {
  const auto is_visible = [&](const Instance& instance) {
    // Terminated instances stay describable for about an hour.
    return instance.state != State::terminated || now - instance.ended_at < std::chrono::hours{1};
  };
  const auto known = check_instance_ids(ids, [&](const std::string& id) {
    const Instance* instance = find(id);
    return instance != nullptr && is_visible(*instance);
  });
  if (!known) return tl::unexpected<Ec2Error>(known.error());
  // Names are checked even when there is nothing to match.
  const Answer<bool> fine =
      passes(filters, [&](const std::string& name) { return values_of(Instance{}, world_, name); });
  if (!fine) return tl::unexpected<Ec2Error>(fine.error());
  std::vector<const Instance*> found;
  for (const std::string& id : order_) {
    const Instance& instance = instances_.at(id);
    if (!is_visible(instance) || !is_listed(ids, id)) continue;
    const Answer<bool> matches =
        passes(filters, [&](const std::string& name) { return values_of(instance, world_, name); });
    if (*matches) found.push_back(&instance);
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
    if (find_image(id) == nullptr) missing.push_back(id);
  }
  if (!missing.empty()) {
    return refuse("InvalidAMIID.NotFound",
                  fmt::format("The image id{} '[{}]' do{} not exist", missing.size() > 1 ? "s" : "",
                              fmt::join(missing, ", "), missing.size() > 1 ? "" : "es"));
  }
  const Answer<bool> fine =
      passes(filters, [](const std::string& name) { return values_of(Image{}, Tags{}, name); });
  if (!fine) return tl::unexpected<Ec2Error>(fine.error());
  std::vector<const Image*> found;
  for (const Image& image : world_.images) {
    const bool is_owned =
        owners.empty() || std::any_of(owners.begin(), owners.end(), [&](const std::string& owner) {
          return owner == image.owner || (owner == "self" && image.owner == world_.account);
        });
    if (!is_owned || !is_listed(ids, image.id)) continue;
    const Answer<bool> matches = passes(filters, [&](const std::string& name) {
      return values_of(image, tags_of(image.id), name);
    });
    if (*matches) found.push_back(&image);
  }
  return found;
}

Answer<std::vector<const Subnet*>> Model::describe_subnets(
    const std::vector<std::string>& ids, const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    const bool is_known = std::any_of(world_.subnets.begin(), world_.subnets.end(),
                                      [&](const Subnet& subnet) { return subnet.id == id; });
    if (!is_known) {
      return refuse("InvalidSubnetID.NotFound",
                    fmt::format("The subnet ID '{}' does not exist", id));
    }
  }
  const Answer<bool> fine =
      passes(filters, [](const std::string& name) { return values_of(Subnet{}, Tags{}, name); });
  if (!fine) return tl::unexpected<Ec2Error>(fine.error());
  std::vector<const Subnet*> found;
  for (const Subnet& subnet : world_.subnets) {
    if (!is_listed(ids, subnet.id)) continue;
    const Answer<bool> matches = passes(filters, [&](const std::string& name) {
      return values_of(subnet, tags_of(subnet.id), name);
    });
    if (*matches) found.push_back(&subnet);
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
    const bool is_known = std::any_of(world_.groups.begin(), world_.groups.end(),
                                      [&](const SecurityGroup& group) { return group.id == id; });
    if (!is_known) {
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
  const Answer<bool> fine = passes(
      filters, [](const std::string& name) { return values_of(SecurityGroup{}, Tags{}, name); });
  if (!fine) return tl::unexpected<Ec2Error>(fine.error());
  std::vector<const SecurityGroup*> found;
  for (const SecurityGroup& group : world_.groups) {
    if (!is_listed(ids, group.id) || !is_listed(names, group.name)) continue;
    const Answer<bool> matches = passes(filters, [&](const std::string& name) {
      return values_of(group, tags_of(group.id), name);
    });
    if (*matches) found.push_back(&group);
  }
  return found;
}

}  // namespace ec2model
