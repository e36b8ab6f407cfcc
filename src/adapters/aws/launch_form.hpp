#pragma once

#include "ports/cloud.hpp"
#include "wire/encoding.hpp"

namespace muster::aws {

/// RunInstances' parameters for a spec, without counts and token.
[[nodiscard]] wire::Parameters launch_form(const LaunchSpec& spec);

/// The same as the data of a launch template: without offering, market and counts.
[[nodiscard]] wire::Parameters template_form(LaunchSpec spec);

/// CreateFleet's parameters, without token.
[[nodiscard]] wire::Parameters fleet_form(const FleetSpec& spec);

/// `TagSpecification.N` for each of the resource types; nothing without tags.
void put_tag_specifications(wire::Parameters& to, const std::vector<std::string>& resources,
                            const std::map<std::string, std::string>& tags);

}  // namespace muster::aws
