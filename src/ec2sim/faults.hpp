#pragma once

#include <string>

#include "base/document.hpp"
#include "base/result.hpp"
#include "ec2model/world.hpp"

namespace ec2sim {

/// Sets one fault by its name, as `--fault NAME=VALUE` and the admin API do. `no_capacity` and
/// `actions` take several values with commas between. Errors: invalid_input.
[[nodiscard]] muster::Status set_fault(ec2model::Faults& faults, const std::string& name,
                                       const std::string& value);

/// All faults with their values.
[[nodiscard]] muster::Node describe(const ec2model::Faults& faults);

/// A pattern that fits nothing would strike nothing, and nobody would notice. Errors:
/// invalid_input.
[[nodiscard]] muster::Status check_action(const std::string& pattern);
[[nodiscard]] muster::Status check_offering(const std::string& pattern);

/// The names that `set_fault` knows, for help texts.
[[nodiscard]] std::string fault_names();

}  // namespace ec2sim
