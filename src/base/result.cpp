#include "base/result.hpp"

#include <fmt/format.h>

namespace muster {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input: return "invalid_input";
    case ErrorKind::unauthenticated: return "unauthenticated";
    case ErrorKind::forbidden: return "forbidden";
    case ErrorKind::not_found: return "not_found";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::throttled: return "throttled";
    case ErrorKind::unavailable: return "unavailable";
    case ErrorKind::timeout: return "timeout";
    case ErrorKind::capacity_unavailable: return "capacity_unavailable";
    case ErrorKind::quota_exceeded: return "quota_exceeded";
    case ErrorKind::cancelled: return "cancelled";
    case ErrorKind::corrupt: return "corrupt";
  }
  return "unknown";
}

std::string Error::describe() const {
  std::string text = message;
  if (!code.empty()) text += fmt::format(" ({})", code);
  for (const std::string& step : context) text += fmt::format(", in {}", step);
  return text;
}

tl::unexpected<Error> fail(ErrorKind kind, std::string message, std::string remedy,
                           std::string code) {
  Error error;
  error.kind = kind;
  error.code = std::move(code);
  error.message = std::move(message);
  error.remedy = std::move(remedy);
  return tl::unexpected<Error>(std::move(error));
}

tl::unexpected<Error> within(std::string_view step, std::string_view subject, Error error) {
  error.context.push_back(subject.empty() ? std::string(step)
                                          : fmt::format("{} {}", step, subject));
  return tl::unexpected<Error>(std::move(error));
}

bool is_retryable(ErrorKind kind) {
  return kind == ErrorKind::throttled || kind == ErrorKind::unavailable ||
         kind == ErrorKind::timeout;
}

}  // namespace muster
