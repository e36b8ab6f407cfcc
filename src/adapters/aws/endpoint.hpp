#pragma once

#include <string>

#include "adapters/aws/profile.hpp"
#include "base/result.hpp"

namespace muster::aws {

/// A value and where it came from, for people.
struct Sourced {
  std::string value;
  std::string origin;  ///< `AWS_REGION`, `profile ci`, `muster.yml`
};

/// Explicit, `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile; empty if none says it.
[[nodiscard]] Sourced find_region(const std::string& configured, const Environment& environment,
                                  const Profile& profile);

/// The URL of a service (`ec2`) in a region: configured endpoints first, then the partition's
/// pattern (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
/// Errors: invalid_input.
[[nodiscard]] Result<Sourced> find_endpoint(const std::string& service, const std::string& region,
                                            const Environment& environment, const Profile& profile);

}  // namespace muster::aws
