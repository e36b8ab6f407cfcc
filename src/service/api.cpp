#include "service/api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "service/api_call.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster {
namespace {

constexpr Duration kRefusalsToldEvery = std::chrono::seconds{10};

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input: return 400;
    case ErrorKind::unauthenticated: return 401;
    case ErrorKind::forbidden: return 403;
    case ErrorKind::not_found: return 404;
    case ErrorKind::conflict: return 409;
    case ErrorKind::throttled: return 429;
    case ErrorKind::unavailable:
    case ErrorKind::timeout: return 503;
    default: return 500;
  }
}

std::string_view code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input: return "invalid_input";
    case ErrorKind::unauthenticated: return "unauthenticated";
    case ErrorKind::forbidden: return "forbidden";
    case ErrorKind::not_found: return "not_found";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::throttled: return "throttled";
    case ErrorKind::unavailable: return "unavailable";
    case ErrorKind::timeout: return "timeout";
    default: return "internal";
  }
}

HttpServerResponse json_response(int status, const Node& document) {
  HttpServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"},
                      {"Cache-Control", "no-store"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.body = wire::to_json(document) + "\n";
  return response;
}

HttpServerResponse refusal(const Error& error, int status = 0) {
  Node inner = Node::mapping();
  inner.set("code", Node::string(std::string(code_of(error.kind))));
  inner.set("page", Node::string(error.code));
  inner.set("message", Node::string(error.message)).set("remedy", Node::string(error.remedy));
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.error/1")).set("error", std::move(inner));
  HttpServerResponse response =
      json_response(status == 0 ? status_of(error.kind) : status, document);
  if (error.kind == ErrorKind::unauthenticated)
    response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"muster\"");
  if (error.kind == ErrorKind::throttled) response.headers.emplace_back("Retry-After", "60");
  return response;
}

/// C0, DEL, and C1 in UTF-8.
bool has_control_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (c < 0x20 || c == 0x7F || (c == 0xC2 && next >= 0x80 && next < 0xA0)) return true;
  }
  return false;
}

}  // namespace
HttpServerResponse Api::answer_unreadable(int status, const std::string& why) const {
  return refusal(fail(ErrorKind::invalid_input, fmt::format("the request cannot be read: {}", why),
                      "Is it HTTP/1.1, and small? GET /api/v1/openapi.json lists what there is.")
                     .value(),
                 status);
}

/// Whoever guesses must not fill the log.
void Api::note_refused(const HttpServerRequest& request, const Error& error) {
  parts_.metrics.note_refused(code_of(error.kind));
  const TimePoint now = parts_.loop.parts().clock.now();
  if (refusal_told_at_ && now - *refusal_told_at_ < kRefusalsToldEvery) {
    ++refusals_untold_;
    return;
  }
  refusal_told_at_ = now;
  parts_.loop.parts().log.warn("request_refused", {{"peer", request.peer_address},
                                                   {"error", error.describe()},
                                                   {"untold_before", refusals_untold_}});
  refusals_untold_ = 0;
}

Task<HttpServerResponse> Api::handle(HttpServerRequest request) {
  Call call;
  Result<ApiCaller> caller = parts_.authenticate(request);
  if (!caller) {
    note_refused(request, caller.error());
    co_return refusal(caller.error());
  }
  call.caller = std::move(*caller);
  const std::size_t mark = request.target.find('?');
  const std::string path = request.target.substr(0, mark);
  const std::string query = mark == std::string::npos ? "" : request.target.substr(mark + 1);
  const auto parameters = wire::form_decode(query, 100);
  const bool is_below = path.starts_with(std::string(kApiPrefix) + "/");
  if (!parameters || !is_below) {
    co_return refusal(fail(parameters ? ErrorKind::not_found : ErrorKind::invalid_input,
                           fmt::format("there is nothing at {}", path),
                           "GET /api/v1/openapi.json lists what there is.")
                          .value());
  }
  const std::vector<std::string> parts = segments_of(path.substr(kApiPrefix.size()));
  const Route* route = nullptr;
  std::string allowed;  // Methods of this path.
  for (const Route& one : routes()) {
    const std::vector<std::string> wanted = segments_of(one.path);
    if (wanted.size() != parts.size()) continue;
    std::vector<std::string> arguments;
    bool fits = true;
    for (std::size_t i = 0; i < parts.size() && fits; ++i) {
      if (!wanted[i].starts_with('{')) {
        fits = wanted[i] == parts[i];
        continue;
      }
      const auto text = wire::percent_decode(parts[i]);
      fits = text && !text->empty();
      if (fits) arguments.push_back(*text);
    }
    if (fits) allowed += (allowed.empty() ? "" : ", ") + std::string(one.method);
    if (!fits || one.method != request.method) continue;
    route = &one;
    call.arguments = std::move(arguments);
    break;
  }
  if (route == nullptr) {
    const bool is_known = !allowed.empty();
    HttpServerResponse refused =
        refusal(fail(is_known ? ErrorKind::invalid_input : ErrorKind::not_found,
                     fmt::format("there is no {} {}", request.method, path),
                     "GET /api/v1/openapi.json lists what there is.")
                    .value(),
                is_known ? 405 : 0);
    if (is_known) refused.headers.emplace_back("Allow", allowed);
    co_return refused;
  }
  if (call.caller.role < route->role) {
    const Error error = fail(ErrorKind::forbidden,
                             fmt::format("{} is {}, and this needs {}", call.caller.name,
                                         to_string(call.caller.role), to_string(route->role)),
                             "Ask with a token of that role, or on the daemon's own machine.")
                            .value();
    note_refused(request, error);
    co_return refusal(error);
  }
  if (!parts_.loop.has_recovered() && route->kind != Route::kEarly) {
    co_return refusal(fail(ErrorKind::unavailable,
                           "the daemon is starting: it lists EC2's instances and reads its store",
                           "Try again in a moment; its log says if EC2 does not answer.")
                          .value());
  }
  for (const auto& [name, value] : *parameters) {
    const bool is_wanted =
        std::find(route->query.begin(), route->query.end(), name) != route->query.end();
    if (is_wanted && call.query.emplace(name, value).second) continue;
    co_return refusal(
        fail(ErrorKind::invalid_input,
             fmt::format("{} {} {}", path, is_wanted ? "takes only one" : "does not take", name),
             "GET /api/v1/openapi.json lists what it takes.")
            .value());
  }
  if (!request.body.empty()) {
    const Result<Node> body = wire::parse_json(request.body);
    const Node* reason = body ? body->find("reason") : nullptr;
    const bool is_fine = route->kind == Route::kReason && body && body->is_mapping() &&
                         body->members.size() == (reason == nullptr ? 0U : 1U) &&
                         (reason == nullptr || (reason->is_scalar() && reason->is_quoted));
    if (reason != nullptr) call.reason = reason->text;
    const bool is_plain = !has_control_characters(call.reason);
    if (!is_fine) {
      co_return refusal(fail(ErrorKind::invalid_input, "the body is not {\"reason\": \"…\"}",
                             "Send that, or no body.")
                            .value());
    }
    if (!is_plain || call.reason.size() > kReasonBytesMax) {
      co_return refusal(
          fail(ErrorKind::invalid_input,
               "the reason has more than one line, control characters, or is too long",
               fmt::format("Say it on one line of at most {} bytes.", kReasonBytesMax))
              .value());
    }
  }
  call.request = std::move(request);
  Task<Result<Node>> answering = (this->*route->answer)(&call);
  const Result<Node> answered = co_await std::move(answering);
  if (answered && call.response) co_return std::move(*call.response);
  co_return answered ? json_response(200, *answered) : refusal(answered.error());
}

}  // namespace muster
