#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

/// The resource type that an id's prefix stands for; empty for none.
std::string type_of(const std::string& id) {
  static const std::map<std::string, std::string> types{{"i", "instance"},
                                                        {"ami", "image"},
                                                        {"vol", "volume"},
                                                        {"eni", "network-interface"},
                                                        {"sg", "security-group"},
                                                        {"sgr", "security-group-rule"},
                                                        {"subnet", "subnet"},
                                                        {"vpc", "vpc"},
                                                        {"key", "key-pair"},
                                                        {"lt", "launch-template"},
                                                        {"sir", "spot-instances-request"},
                                                        {"fleet", "fleet"},
                                                        {"snap", "snapshot"}};
  const auto found = types.find(id.substr(0, id.find('-')));
  return found == types.end() ? "" : found->second;
}

}  // namespace

const Tags& Model::tags_of(const std::string& resource) const {
  static const Tags none;
  if (const Instance* instance = find(resource)) return instance->tags;
  const auto found = tags_.find(resource);
  return found == tags_.end() ? none : found->second;
}

namespace {

/// How EC2 refuses an id of each kind that it does not know, and one that is none.
tl::unexpected<Ec2Error> unknown_resource(const std::string& id) {
  struct Kind {
    std::string_view prefix;
    std::string_view malformed;
    std::string_view unknown;
    std::string_view text;
  };
  static constexpr std::array<Kind, 10> kKinds{{
      {"i", "InvalidInstanceID", "InvalidInstanceID.NotFound",
       "The instance ID '{}' does not exist"},
      {"ami", "InvalidAMIID", "InvalidAMIID.NotFound", "The image id '[{}]' does not exist"},
      {"vol", "InvalidVolumeID", "InvalidVolume.NotFound", "The volume '{}' does not exist."},
      {"snap", "InvalidSnapshotID", "InvalidSnapshot.NotFound",
       "The snapshot '{}' does not exist."},
      {"sg", "InvalidGroupId", "InvalidGroup.NotFound", "The security group '{}' does not exist"},
      {"subnet", "InvalidSubnetID", "InvalidSubnetID.NotFound",
       "The subnet ID '{}' does not exist"},
      {"vpc", "InvalidVpcID", "InvalidVpcID.NotFound", "The vpc ID '{}' does not exist"},
      {"eni", "InvalidNetworkInterfaceID", "InvalidNetworkInterfaceID.NotFound",
       "The network interface ID '{}' does not exist"},
      {"lt", "InvalidLaunchTemplateId", "InvalidLaunchTemplateId.NotFound",
       "The specified launch template, with template ID {}, does not exist."},
      {"sir", "InvalidSpotInstanceRequestID", "InvalidSpotInstanceRequestID.NotFound",
       "The spot instance request ID '{}' does not exist"},
  }};
  const std::string prefix = id.substr(0, id.find('-'));
  for (const Kind& kind : kKinds) {
    if (prefix != kind.prefix) continue;
    if (!is_well_formed(id, prefix)) {
      return refuse(std::string(kind.malformed) + ".Malformed",
                    fmt::format("Invalid id: \"{}\"", id));
    }
    return refuse(std::string(kind.unknown), fmt::format(fmt::runtime(kind.text), id));
  }
  return refuse("InvalidID", fmt::format("The ID '{}' is not valid", id));
}

template <class Map, class Id>
bool has_id(const Map& map, const Id& id) {
  return std::any_of(map.begin(), map.end(), [&](const auto& one) { return one.second.id == id; });
}

}  // namespace

Answer<void> Model::create_tags(const std::vector<std::string>& resources, const Tags& tags,
                                const Gate& gate) {
  if (auto fine = check_tag_keys(tags); !fine) return fine;
  for (const std::string& id : resources) {
    const bool has_rule =
        std::any_of(world_.groups.begin(), world_.groups.end(), [&](const SecurityGroup& group) {
          return std::any_of(group.rules.begin(), group.rules.end(),
                             [&](const GroupRule& rule) { return rule.id == id; });
        });
    const bool is_known =
        find(id) != nullptr || find_image(id) != nullptr || find_volume(id) != nullptr ||
        find_interface(id) != nullptr || find_group(id) != nullptr || find_subnet(id) != nullptr ||
        find_vpc(id) != nullptr || find_spot_request(id) != nullptr || fleets_.contains(id) ||
        templates_.contains(id) || has_id(key_pairs_, id) || has_rule ||
        std::any_of(world_.images.begin(), world_.images.end(),
                    [&](const Image& image) { return image.snapshot() == id; });
    if (!is_known) return unknown_resource(id);
    Tags merged = tags_of(id);
    for (const auto& [key, value] : tags) merged[key] = value;
    const auto own = std::count_if(merged.begin(), merged.end(),
                                   [](const auto& tag) { return !tag.first.starts_with("aws:"); });
    if (static_cast<std::size_t>(own) > kTagsMax) {
      return refuse("TagLimitExceeded",
                    "The maximum number of Tags for a resource has been reached.");
    }
    const Instance* instance = find(id);
    if (instance != nullptr && instance->metadata.shows_tags) {
      if (auto fine = check_metadata_tag_keys(tags); !fine) return fine;
    }
  }
  if (auto open = gate.pass(); !open) return open;
  for (const std::string& id : resources) {
    const auto found = instances_.find(id);
    Tags& to = found != instances_.end() ? found->second.tags : tags_[id];
    for (const auto& [key, value] : tags) to[key] = value;
  }
  return {};
}

Answer<void> Model::delete_tags(const std::vector<std::string>& resources,
                                const std::map<std::string, std::optional<std::string>>& tags,
                                const Gate& gate) {
  for (const auto& [key, value] : tags) {
    if (key.starts_with("aws:")) {
      return refuse("InvalidParameterValue",
                    "Tag keys starting with 'aws:' are reserved for internal use");
    }
  }
  for (const std::string& id : resources) {
    if (type_of(id).empty())
      return refuse("InvalidID", fmt::format("The ID '{}' is not valid", id));
  }
  if (auto open = gate.pass(); !open) return open;
  for (const std::string& id : resources) {
    const auto instance = instances_.find(id);
    const auto other = tags_.find(id);
    if (instance == instances_.end() && other == tags_.end()) continue;
    Tags& from = instance != instances_.end() ? instance->second.tags : other->second;
    if (tags.empty()) {
      // Without tags in the call all of the user's own go.
      std::erase_if(from, [](const auto& tag) { return !tag.first.starts_with("aws:"); });
    }
    for (const auto& [key, value] : tags) {
      const auto found = from.find(key);
      if (found != from.end() && (!value || *value == found->second)) from.erase(found);
    }
  }
  return {};
}

Answer<std::vector<Model::TagEntry>> Model::describe_tags(
    const std::vector<Filter>& filters) const {
  constexpr std::array<std::string_view, 4> kNames{"resource-id", "resource-type", "key", "value"};
  for (const Filter& filter : filters) {
    const bool is_known = filter.name.starts_with("tag:") ||
                          std::find(kNames.begin(), kNames.end(), filter.name) != kNames.end();
    if (!is_known) {
      return refuse("InvalidParameterValue",
                    fmt::format("The filter '{}' is invalid", filter.name));
    }
  }
  std::vector<TagEntry> found;
  const auto add = [&](const std::string& id, const Tags& tags) {
    for (const auto& [key, value] : tags) {
      const bool matches = std::all_of(filters.begin(), filters.end(), [&](const Filter& filter) {
        if (filter.name == "resource-id") return matches_any(filter, id);
        if (filter.name == "resource-type") return matches_any(filter, type_of(id));
        if (filter.name == "key") return matches_any(filter, key);
        if (filter.name == "value") return matches_any(filter, value);
        return filter.name.substr(4) == key && matches_any(filter, value);
      });
      if (matches) found.push_back({id, type_of(id), key, value});
    }
  };
  for (const Instance* instance : order_) {
    if (instance->state != State::terminated) add(instance->id, instance->tags);
  }
  for (const auto& [id, tags] : tags_) add(id, tags);
  return found;
}

}  // namespace ec2model
