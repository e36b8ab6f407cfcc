#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "ec2sim/universe.hpp"

namespace ec2sim {

/// What the simulator has without a world file: one account, us-east-1, a fresh account's network.
[[nodiscard]] Settings default_settings(unsigned second_octet);

/// Reads a world file (docs/simulator.md): accounts with their access keys and roles, regions with
/// their networks, images with their aliases, quotas, how long each state takes. What it does not
/// name is as without it. Errors: invalid_input with every problem, a line each.
[[nodiscard]] muster::Result<Settings> read_world(std::string_view text, const std::string& file,
                                                  unsigned second_octet);

}  // namespace ec2sim
