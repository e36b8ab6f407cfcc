#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.hpp"
#include "base/result.hpp"

namespace muster::wire {

struct YamlOptions {
  std::string file;                ///< Named in marks and errors.
  int first_line = 1;              ///< The line in `file` at which the text starts.
  bool allows_duplicates = false;  ///< The last one wins (Drone's dialect); otherwise an error.
  std::size_t bytes_max = 4 << 20;
  std::size_t depth_max = 64;
  std::size_t nodes_max = 200'000;  ///< After the expansion of aliases.
};

/// Reads one YAML document: anchors, aliases and merge keys (`<<`) are resolved, within the limits.
/// An empty text is a null node. Errors: invalid_input, the message with file, line and column.
[[nodiscard]] Result<Node> parse_yaml(std::string_view text, const YamlOptions& options);

}  // namespace muster::wire
