#include "ec2sim/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/document.hpp"

namespace ec2sim {
namespace {

using ec2model::refuse;

/// Known to AWS and without a bearing on what is simulated: accepted and ignored.
constexpr std::array<std::string_view, 49> kIgnored{"AdditionalInfo",
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
                                                    "SpreadDomain",
                                                    "VirtualName"};

/// Known to AWS, and refused because it would change where or how a machine runs.
constexpr std::array<std::string_view, 6> kNotPlayed{
    "InstanceRequirements",    "CapacityReservationTarget", "CapacityReservationOptions",
    "ReservedCapacityOptions", "HostResourceGroupArn",      "HostId"};

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
  constexpr std::array<std::string_view, 5> kEnds{
      "IamInstanceProfile.Name", "Placement.AvailabilityZone", "SubnetId", "UserData", "VpcId"};
  return std::any_of(kEnds.begin(), kEnds.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

/// `GroupId` is a security group's everywhere but below `Placement`.
bool is_not_played(std::string_view name) {
  return contains_any(name, kNotPlayed) || name.ends_with("Placement.GroupId");
}

}  // namespace

tl::unexpected<Ec2Error> invalid_value(const std::string& value, const std::string& name) {
  return refuse("InvalidParameterValue", fmt::format("Invalid value '{}' for {}.", value, name));
}

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
    } else if (is_not_played(name)) {
      return refuse("UnsupportedOperation",
                    fmt::format("The simulator does not play the parameter {}", name));
    } else if (contains_any(name, kIgnored)) {
      // A template gives back what it was given.
      if (name.starts_with("LaunchTemplateData.")) out.values_[name] = value;
    } else {
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

Answer<std::optional<double>> Parameters::real(const std::string& name) const {
  if (!has(name)) return std::optional<double>();
  const std::string value = text(name);
  double number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc{} || stop != end || !std::isfinite(number)) {
    return invalid_value(value, name);
  }
  return std::optional<double>(number);
}

Answer<std::optional<muster::TimePoint>> Parameters::time(const std::string& name) const {
  if (!has(name)) return std::optional<muster::TimePoint>();
  const auto at = muster::parse_iso8601(text(name));
  if (!at) return invalid_value(text(name), name);
  return at;
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

Answer<std::map<std::string, std::optional<std::string>>> Parameters::tag_keys(
    const std::string& prefix) const {
  std::map<std::string, std::optional<std::string>> out;
  for (const int index : indices(prefix)) {
    const std::string at = fmt::format("{}.{}.", prefix, index);
    if (!has(at + "Key")) {
      return refuse("MissingParameter",
                    fmt::format("The request must contain the parameter {}Key", at));
    }
    out[text(at + "Key")] =
        has(at + "Value") ? std::optional<std::string>(text(at + "Value")) : std::nullopt;
  }
  return out;
}

Parameters Parameters::of(std::map<std::string, std::string> values) {
  Parameters out;
  out.values_ = std::move(values);
  return out;
}

std::map<std::string, std::string> Parameters::below(const std::string& prefix) const {
  std::map<std::string, std::string> out;
  for (auto at = values_.lower_bound(prefix); at != values_.end() && at->first.starts_with(prefix);
       ++at) {
    out.emplace(at->first.substr(prefix.size()), at->second);
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

bool ParameterReader::boolean(const std::string& name, bool otherwise) {
  return take(given_.boolean(name)).value_or(otherwise);
}
std::optional<bool> ParameterReader::maybe_boolean(const std::string& name) {
  return take(given_.boolean(name));
}
int ParameterReader::integer(const std::string& name, int otherwise) {
  return take(given_.integer(name)).value_or(otherwise);
}
std::optional<int> ParameterReader::maybe_integer(const std::string& name) {
  return take(given_.integer(name));
}
std::optional<double> ParameterReader::maybe_real(const std::string& name) {
  return take(given_.real(name));
}
std::optional<muster::TimePoint> ParameterReader::maybe_time(const std::string& name) {
  return take(given_.time(name));
}
std::string ParameterReader::word(const std::string& name,
                                  const std::vector<std::string_view>& allowed) {
  return take(given_.word(name, allowed));
}
std::vector<ec2model::Filter> ParameterReader::filters() { return take(given_.filters()); }
std::map<std::string, ec2model::Tags> ParameterReader::tag_specifications(
    const std::vector<std::string_view>& allowed) {
  return take(given_.tag_specifications(allowed));
}
void ParameterReader::refuse(std::string code, std::string message) {
  note(Ec2Error{std::move(code), 400, std::move(message)});
}

}  // namespace ec2sim
