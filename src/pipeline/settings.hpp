#pragma once

#include <optional>
#include <string>

#include "base/document.hpp"

namespace muster::pipeline {

/// What a plugin sees of a setting: scalars by their YAML 1.1 meaning, lists of scalars joined by
/// commas, all else as JSON with sorted keys. Nothing for null, whose variable is not set.
[[nodiscard]] std::optional<std::string> setting_text(const Node& value);

/// `512MiB`, `100Mi`, `1g`, `1024`: bytes, by powers of 1024. Nothing for anything else.
[[nodiscard]] std::optional<long> parse_bytes(std::string_view text);

/// `PLUGIN_` and the key in upper case; other characters stay.
[[nodiscard]] std::string setting_name(const std::string& key);

}  // namespace muster::pipeline
