#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace muster::wire {

/// One part of a multi-part document: its media type in lower case and its decoded body.
struct MimePart {
  std::string media_type;
  std::string body;
};

/// Reads a `multipart/*` document (RFC 2046) of one level; bodies 7bit, 8bit or base64.
/// Errors: invalid_input.
[[nodiscard]] Result<std::vector<MimePart>> parse_multipart(std::string_view text);

/// Writes parts as `multipart/mixed`, as cloud-init reads it.
[[nodiscard]] std::string write_multipart(const std::vector<MimePart>& parts);

}  // namespace muster::wire
