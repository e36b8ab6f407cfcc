#pragma once

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/api.hpp"

namespace muster {

/// What stands before the path of every route; a slash follows.
constexpr std::string_view kApiPrefix = "/api/v1";
/// Of lists, unless they are asked for otherwise, and at most.
constexpr long long kPageDefault = 1000;
constexpr long long kPageMax = 100'000;
/// Of what people give as a reason.
constexpr std::size_t kReasonBytesMax = 500;

/// The parts of a path that begins with a slash.
[[nodiscard]] std::vector<std::string> segments_of(std::string_view path);
/// `{"schema": SCHEMA, NAME: ITEMS}`
[[nodiscard]] Node list_document(const char* schema, const char* name, std::vector<Node> items);

/// One request, as its route sees it.
struct Api::Call {
  ApiCaller caller;
  std::vector<std::string> arguments;  // Of the path, in its order.
  std::map<std::string, std::string> query;
  std::string reason;  // Of the body.
  HttpServerRequest request;
  std::optional<HttpServerResponse> response{};  // In place of a document.

  [[nodiscard]] std::string text(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? std::string() : found->second;
  }
  /// Errors: invalid_input.
  [[nodiscard]] Result<long long> number(const std::string& name, long long usual,
                                         long long most) const {
    const auto found = query.find(name);
    if (found == query.end()) return usual;
    const auto value = parse_integer(found->second);
    if (value && *value >= 0 && *value <= most) return *value;
    return fail(ErrorKind::invalid_input,
                fmt::format("{}={} is no whole number from 0 to {}", name, found->second, most),
                "Correct the query.");
  }
};

/// One method of one path.
struct Api::Route {
  std::string_view method;
  std::string_view path;  // `{name}` stands for one segment.
  ApiRole role;
  std::string_view summary;
  std::string_view schema;  // Of the answer.
  std::vector<std::string_view> query;
  enum Kind { kPlain, kReason, kEarly } kind;  // With a reason in its body; also at the start.
  Task<Result<Node>> (Api::*answer)(Call*);
};

}  // namespace muster
