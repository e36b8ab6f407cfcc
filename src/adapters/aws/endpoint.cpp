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

std::string dns_suffix(std::string_view region) {
  if (region.starts_with("cn-")) return "amazonaws.com.cn";
  if (region.starts_with("eusc-")) return "amazonaws.eu";
  if (region.starts_with("us-iso-")) return "c2s.ic.gov";
  if (region.starts_with("us-isob-")) return "sc2s.sgov.gov";
  if (region.starts_with("eu-isoe-")) return "cloud.adc-e.uk";
  if (region.starts_with("us-isof-")) return "csp.hci.ic.gov";
  return "amazonaws.com";
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
  take(fmt::format("https://{}.{}.{}", service, region, dns_suffix(region)), "AWS");
  const Result<wire::Url> url = wire::parse_url(found.value);
  if (!url) return within("endpoint from", found.origin, url.error());
  return found;
}

}  // namespace muster::aws
