#pragma once

#include <string>
#include <string_view>

#include "base/document.hpp"
#include "base/result.hpp"

namespace muster::wire {

struct JsonLimits {
  std::size_t bytes_max = 16 << 20;
  std::size_t depth_max = 64;
};

/// Reads one JSON text (RFC 8259, strict). Duplicate keys are refused.
/// Errors: corrupt, with line and column.
[[nodiscard]] Result<Node> parse_json(std::string_view text, const JsonLimits& limits = {});

/// Writes a document as JSON. With `indent` 0 on one line. A plain scalar that is no JSON number,
/// boolean or null is written as a string.
[[nodiscard]] std::string to_json(const Node& node, int indent = 0);

/// A JSON string literal with its quotes.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace muster::wire
