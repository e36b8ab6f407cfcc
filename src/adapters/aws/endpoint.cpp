#include "adapters/aws/endpoint.hpp"

#include <fmt/format.h>

#include <string_view>

#include "wire/url.hpp"

namespace muster::aws {
namespace {

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

/// A partition of AWS (botocore's partitions.json): where its regions live.
struct Partition {
  std::string_view name;
  std::string_view suffix;
  std::string_view dual_stack_suffix;  // Empty: it has none.
};

Partition partition_of(std::string_view region) {
  constexpr Partition kAws{"aws", "amazonaws.com", "api.aws"};
  if (region.starts_with("cn-")) {
    return {"aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"};
  }
  if (region.starts_with("us-gov-")) return {"aws-us-gov", "amazonaws.com", "api.aws"};
  if (region.starts_with("eusc-")) return {"aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"};
  if (region.starts_with("us-iso-")) return {"aws-iso", "c2s.ic.gov", ""};
  if (region.starts_with("us-isob-")) return {"aws-iso-b", "sc2s.sgov.gov", ""};
  if (region.starts_with("eu-isoe-")) return {"aws-iso-e", "cloud.adc-e.uk", ""};
  if (region.starts_with("us-isof-")) return {"aws-iso-f", "csp.hci.ic.gov", ""};
  return kAws;  // An unknown region counts as one of it.
}

/// Whether a setting of the environment, else of the profile, is switched on.
bool is_on(const Environment& environment, const char* variable_name, const Profile& profile,
           const char* key) {
  const std::string value = variable(environment, variable_name);
  return (value.empty() ? profile.get(key) : value) == "true";
}

/// The endpoint that AWS's own pattern gives.
Result<std::string> built_endpoint(const std::string& service, const std::string& region,
                                   const Environment& environment, const Profile& profile) {
  const Partition partition = partition_of(region);
  const bool is_fips = is_on(environment, "AWS_USE_FIPS_ENDPOINT", profile, "use_fips_endpoint");
  const bool is_dual =
      is_on(environment, "AWS_USE_DUALSTACK_ENDPOINT", profile, "use_dualstack_endpoint");
  if (is_dual && partition.dual_stack_suffix.empty()) {
    return fail(ErrorKind::invalid_input,
                fmt::format("partition {} has no dual-stack endpoints", partition.name),
                "Unset use_dualstack_endpoint.");
  }
  const std::string regional = variable(environment, "AWS_STS_REGIONAL_ENDPOINTS");
  const bool is_legacy =
      (regional.empty() ? profile.get("sts_regional_endpoints") : regional) == "legacy";
  if (service == "sts" && is_legacy && partition.name == "aws" && !is_fips && !is_dual) {
    return std::string("https://sts.amazonaws.com");
  }
  return fmt::format("https://{}{}.{}.{}", service, is_fips ? "-fips" : "", region,
                     is_dual ? partition.dual_stack_suffix : partition.suffix);
}

bool is_region_name(std::string_view region) {
  if (region.empty() || region.size() > 40) return false;
  for (const char c : region) {
    const bool is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!is_fine) return false;
  }
  return true;
}

}  // namespace

Sourced find_region(const std::string& configured, const Environment& environment,
                    const Profile& profile) {
  if (!configured.empty()) return {configured, "configuration"};
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    const std::string value = variable(environment, name);
    if (!value.empty()) return {value, name};
  }
  const std::string value = profile.get("region");
  return value.empty() ? Sourced{} : Sourced{value, "profile " + profile.name};
}

Result<Sourced> find_endpoint(const std::string& service, const std::string& region,
                              const Environment& environment, const Profile& profile) {
  if (!is_region_name(region)) {
    return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no region", region),
                "Name one such as us-east-1.");
  }
  Sourced found;
  const auto take = [&](const std::string& value, const std::string& origin) {
    if (found.value.empty() && !value.empty()) found = {value, origin};
  };
  if (variable(environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") != "true") {
    const std::string specific = "AWS_ENDPOINT_URL_" + upper(service);
    take(variable(environment, specific), specific);
    take(variable(environment, "AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL");
    take(profile.get(fmt::format("services.{}.endpoint_url", service)),
         fmt::format("services {} of profile {}", profile.get("services"), profile.name));
    take(profile.get("endpoint_url"), "profile " + profile.name);
  }
  if (found.value.empty()) {
    const Result<std::string> built = built_endpoint(service, region, environment, profile);
    if (!built) return tl::unexpected<Error>(built.error());
    take(*built, "AWS");
  }
  const Result<wire::Url> url = wire::parse_url(found.value);
  if (!url) return within("endpoint from", found.origin, url.error());
  return found;
}

}  // namespace muster::aws
