#include "ec2sim/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/document.hpp"

namespace ec2sim {
namespace {

using ec2model::refuse;

/// Known to AWS and without a bearing on what is simulated: accepted and ignored.
constexpr std::array<std::string_view, 48> kIgnored{"AdditionalInfo",
                                                    "AddressingType",
                                                    "Affinity",
                                                    "AmdSevSnp",
                                                    "AssociateCarrierIpAddress",
                                                    "AvailabilityZoneGroup",
                                                    "BlockDurationMinutes",
                                                    "CapacityReservationPreference",
                                                    "ConnectionTrackingSpecification",
                                                    "Context",
                                                    "CpuOptions",
                                                    "EbsCardIndex",
                                                    "ElasticGpuSpecification",
                                                    "ElasticInferenceAccelerator",
                                                    "EnablePrimaryIpv6",
                                                    "EnaQueueCount",
                                                    "EnaSrdSpecification",
                                                    "EnclaveOptions",
                                                    "HttpProtocolIpv6",
                                                    "IncludeManagedResources",
                                                    "IncludeUnsupportedInRegion",
                                                    "InstancePoolsToUseCount",
                                                    "Ipv4Prefix",
                                                    "Ipv4PrefixCount",
                                                    "Ipv6Address",
                                                    "Ipv6AddressCount",
                                                    "Ipv6Addresses",
                                                    "Ipv6Prefix",
                                                    "Ipv6PrefixCount",
                                                    "KernelId",
                                                    "LaunchGroup",
                                                    "LicenseSpecification",
                                                    "MaintenanceOptions",
                                                    "MaintenanceStrategies",
                                                    "MaxTotalPrice",
                                                    "MetricCategoryId",
                                                    "NetworkCardIndex",
                                                    "NetworkPerformanceOptions",
                                                    "Operator",
                                                    "OutpostArn",
                                                    "PartitionNumber",
                                                    "PrimaryIpv6",
                                                    "PrivateDnsNameOptions",
                                                    "RamDiskId",
                                                    "RamdiskId",
                                                    "SecondaryInterface",
                                                    "SecondaryPrivateIpAddressCount",
                                                    "VirtualName"};

/// Known to AWS, and refused because it would change where or how a machine runs.
constexpr std::array<std::string_view, 18> kNotPlayed{"InstanceRequirements",
                                                      "CapacityReservationTarget",
                                                      "CapacityReservationOptions",
                                                      "ReservedCapacityOptions",
                                                      "HostResourceGroupArn",
                                                      "HostId",
                                                      "LaunchTemplate",
                                                      "HibernationOptions",
                                                      "NetworkInterfaceId",
                                                      "PrivateIpAddresses",
                                                      "GroupName",
                                                      "SpreadDomain",
                                                      "AvailabilityZoneId",
                                                      "SnapshotId",
                                                      "NoDevice",
                                                      "VolumeInitializationRate",
                                                      "ValidUntil",
                                                      "ExecutableBy"};

std::vector<std::string_view> segments_of(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name = name.substr(dot + 1);
  }
}

std::optional<int> index_of(std::string_view text) {
  const auto number = muster::parse_integer(text);
  if (!number || *number < 1 || *number > 100'000) return std::nullopt;
  return static_cast<int>(*number);
}

bool matches(std::string_view name, std::string_view pattern) {
  const auto given = segments_of(name);
  const auto known = segments_of(pattern);
  if (given.size() != known.size()) return false;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (known[i] == "N" ? !index_of(given[i]) : given[i] != known[i]) return false;
  }
  return true;
}

bool contains_any(std::string_view name, const auto& words) {
  const auto given = segments_of(name);
  return std::any_of(given.begin(), given.end(), [&](std::string_view segment) {
    return std::find(words.begin(), words.end(), segment) != words.end();
  });
}

/// Parameters whose empty value counts as absent; elsewhere an empty value is a value.
bool is_absent_when_empty(std::string_view name) {
  constexpr std::array<std::string_view, 5> kNames{
      "IamInstanceProfile.Name", "Placement.AvailabilityZone", "SubnetId", "UserData", "VpcId"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

tl::unexpected<Ec2Error> invalid_value(const std::string& value, const std::string& name) {
  return refuse("InvalidParameterValue", fmt::format("Invalid value '{}' for {}.", value, name));
}

}  // namespace

Answer<Parameters> Parameters::check(const muster::wire::Parameters& given,
                                     const std::vector<std::string_view>& known,
                                     const std::vector<std::string_view>& required) {
  Parameters out;
  for (const auto& [name, value] : given) {
    if (name == "Action" || name == "Version" || name == "DryRun") {
      out.values_[name] = value;
      continue;
    }
    const bool is_known = std::any_of(known.begin(), known.end(), [&](std::string_view pattern) {
      return matches(name, pattern);
    });
    if (is_known) {
      if (!value.empty() || !is_absent_when_empty(name)) out.values_[name] = value;
    } else if (contains_any(name, kNotPlayed)) {
      return refuse("UnsupportedOperation",
                    fmt::format("The simulator does not play the parameter {}", name));
    } else if (!contains_any(name, kIgnored)) {
      return refuse("UnknownParameter", fmt::format("The parameter {} is not recognized", name));
    }
  }
  for (const std::string_view name : required) {
    const bool is_list = name.ends_with(".N");
    const std::string plain(is_list ? name.substr(0, name.size() - 2) : name);
    if (is_list ? out.indices(plain).empty() : !out.has(plain)) {
      return refuse("MissingParameter",
                    fmt::format("The request must contain the parameter {}", plain));
    }
  }
  return out;
}

bool Parameters::has_prefix(const std::string& prefix) const {
  const auto at = values_.lower_bound(prefix);
  return at != values_.end() && at->first.starts_with(prefix);
}

std::string Parameters::text(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string() : found->second;
}

Answer<std::optional<int>> Parameters::integer(const std::string& name) const {
  if (!has(name)) return std::optional<int>();
  const auto number = muster::parse_integer(text(name));
  if (!number || *number > 2'000'000'000 || *number < -2'000'000'000) {
    return invalid_value(text(name), name);
  }
  return std::optional<int>(static_cast<int>(*number));
}

Answer<std::optional<bool>> Parameters::boolean(const std::string& name) const {
  if (!has(name)) return std::optional<bool>();
  const std::string value = text(name);
  if (value != "true" && value != "false") return invalid_value(value, name);
  return std::optional<bool>(value == "true");
}

Answer<std::string> Parameters::word(const std::string& name,
                                     const std::vector<std::string_view>& allowed) const {
  if (!has(name)) return std::string();
  std::string value = text(name);
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    return invalid_value(value, name);
  }
  return value;
}

std::vector<int> Parameters::indices(const std::string& name) const {
  std::set<int> found;
  const std::string prefix = name + ".";
  for (auto at = values_.lower_bound(prefix); at != values_.end() && at->first.starts_with(prefix);
       ++at) {
    const std::string_view rest = std::string_view(at->first).substr(prefix.size());
    if (const auto index = index_of(rest.substr(0, rest.find('.')))) found.insert(*index);
  }
  return {found.begin(), found.end()};
}

std::vector<std::string> Parameters::list(const std::string& name) const {
  std::vector<std::string> out;
  for (const int index : indices(name)) out.push_back(text(fmt::format("{}.{}", name, index)));
  return out;
}

Answer<std::vector<ec2model::Filter>> Parameters::filters() const {
  std::vector<ec2model::Filter> out;
  for (const int index : indices("Filter")) {
    const std::string at = fmt::format("Filter.{}", index);
    ec2model::Filter filter{text(at + ".Name"), list(at + ".Value")};
    if (filter.name.empty()) {
      return refuse("MissingParameter",
                    fmt::format("The request must contain the parameter {}.Name", at));
    }
    if (filter.values.size() > 200) {
      return refuse("FilterLimitExceeded",
                    fmt::format("The filter '{}' has over 200 values", filter.name));
    }
    out.push_back(std::move(filter));
  }
  if (out.size() > 50) {
    return refuse("FilterLimitExceeded", "The request has over 50 filters");
  }
  return out;
}

Answer<ec2model::Tags> Parameters::tags(const std::string& prefix) const {
  ec2model::Tags out;
  for (const int index : indices(prefix)) {
    const std::string at = fmt::format("{}.{}.", prefix, index);
    if (!has(at + "Key")) {
      return refuse("MissingParameter",
                    fmt::format("The request must contain the parameter {}Key", at));
    }
    const auto [place, is_new] = out.emplace(text(at + "Key"), text(at + "Value"));
    if (!is_new) {
      return refuse("InvalidParameterValue",
                    fmt::format("Duplicate tag key '{}' specified.", place->first));
    }
  }
  return out;
}

Answer<std::map<std::string, ec2model::Tags>> Parameters::tag_specifications(
    const std::vector<std::string_view>& allowed) const {
  std::map<std::string, ec2model::Tags> out;
  for (const int index : indices("TagSpecification")) {
    const std::string at = fmt::format("TagSpecification.{}", index);
    const std::string type = text(at + ".ResourceType");
    if (std::find(allowed.begin(), allowed.end(), type) == allowed.end()) {
      return refuse(
          "InvalidParameterValue",
          fmt::format("'{}' is not a valid taggable resource type for this operation.", type));
    }
    Answer<ec2model::Tags> read = tags(at + ".Tag");
    if (!read) return tl::unexpected<Ec2Error>(read.error());
    if (read->empty()) {
      return refuse("InvalidParameterValue", "Tag specification must have at least one tag");
    }
    out[type].insert(read->begin(), read->end());
  }
  return out;
}

std::string Parameters::fingerprint() const {
  muster::wire::Parameters rest;
  for (const auto& [name, value] : values_) {
    if (name != "ClientToken" && name != "DryRun") rest.emplace_back(name, value);
  }
  return muster::wire::form_encode(rest);
}

}  // namespace ec2sim
