#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace muster {

/// What a caller can do about a failure; see the table in docs/ARCHITECTURE.md.
enum class ErrorKind {
  invalid_input,
  unauthenticated,
  forbidden,
  not_found,
  conflict,
  throttled,
  unavailable,
  timeout,
  capacity_unavailable,
  quota_exceeded,
  cancelled,
  corrupt,
};

[[nodiscard]] std::string_view to_string(ErrorKind kind);

/// What was asked for is not to be had there, and may be elsewhere.
[[nodiscard]] constexpr bool is_out_of_room(ErrorKind kind) {
  return kind == ErrorKind::capacity_unavailable || kind == ErrorKind::quota_exceeded;
}

/// An expected failure. Logged once, where it is handled; never carries a secret.
struct Error {
  ErrorKind kind = ErrorKind::unavailable;
  std::string code;     ///< The provider's own code (`InsufficientInstanceCapacity`), or ours.
  std::string message;  ///< What is wrong, with the offending value; for people.
  std::string remedy;   ///< The one thing to do next; may be empty.
  std::optional<Duration> retry_after{};
  std::vector<std::string> context{};  ///< Step and subject of each layer, outermost last.

  /// `message (code) while a while b`, one line.
  [[nodiscard]] std::string describe() const;
};

template <class T>
using Result = tl::expected<T, Error>;

using Status = Result<void>;

/// A failure ready to be returned from any `Result`.
[[nodiscard]] tl::unexpected<Error> fail(ErrorKind kind, std::string message,
                                         std::string remedy = {}, std::string code = {});

/// Passes an error on, with the step and its subject added to the context.
[[nodiscard]] tl::unexpected<Error> within(std::string_view step, std::string_view subject,
                                           Error error);

/// Whether trying the same again later may help.
[[nodiscard]] bool is_retryable(ErrorKind kind);

}  // namespace muster
