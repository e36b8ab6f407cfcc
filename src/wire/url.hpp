#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace muster::wire {

/// The parts of an `http` or `https` URL. No user, no fragment: both are refused.
struct Url {
  std::string scheme;
  std::string host;  ///< IPv6 addresses without their brackets.
  int port = 0;
  std::string path;   ///< As written, still encoded; at least `/`.
  std::string query;  ///< Without the `?`.

  /// What stands in the `Host` header: the port only when it is not the scheme's own.
  [[nodiscard]] std::string authority() const;
};

/// Errors: invalid_input.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

}  // namespace muster::wire
