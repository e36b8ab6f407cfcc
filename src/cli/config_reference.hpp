#pragma once

#include <string>

namespace muster::cli {

/// JSON Schema (draft 2020-12) of `muster.yml`, for editors. It knows each key, its type, bounds
/// and choices; rules between keys are `muster config check`'s.
[[nodiscard]] std::string config_schema();

/// `docs/configuration.md`.
[[nodiscard]] std::string config_reference();

}  // namespace muster::cli
