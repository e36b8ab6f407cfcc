#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"

namespace muster {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// The first header of that name, whatever its case; empty if there is none.
[[nodiscard]] std::string header_value(const HttpHeaders& headers, std::string_view name);

/// One request to the outside, with all its limits.
struct HttpRequest {
  std::string method = "GET";
  std::string url;
  HttpHeaders headers;
  std::string body;
  Duration connect_time_max = std::chrono::seconds{3};
  Duration time_max = std::chrono::seconds{15};  ///< For the whole exchange.
  std::size_t response_bytes_max = 32 << 20;
  bool uses_proxy = true;  ///< The proxies of the environment; never for 169.254.0.0/16.
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;
};

/// HTTP out. Errors: unavailable (no connection, TLS refused), timeout, corrupt (no HTTP, or over
/// a limit). An answer of any status is a success here.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  virtual Task<Result<HttpResponse>> send(HttpRequest request) = 0;
};

/// A request that came in, read whole and within the server's limits.
struct HttpServerRequest {
  std::string method;
  std::string target;  ///< Path and query as sent.
  HttpHeaders headers;
  std::string body;
  std::string peer_address;   ///< Numeric, without port.
  std::string local_address;  ///< Where it arrived.
  /// Of a local socket: the user at the other end, as the kernel says.
  std::optional<std::uint32_t> peer_user{};
};

struct HttpServerResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;
  std::optional<int> ip_ttl;  ///< Of the packets that carry it: IMDS's hop limit.
  /// Only so many bytes of the whole answer are sent, then the connection ends: a fault.
  std::optional<std::size_t> bytes_max{};
  /// The body comes in pieces for as long as these are not empty, and the connection ends with it.
  std::function<Task<std::string>()> next_piece{};
};

/// HTTP in. Decides everything; the server only speaks the protocol.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual Task<HttpServerResponse> handle(HttpServerRequest request) = 0;
  /// The answer to what is no request, or a larger one than is taken.
  [[nodiscard]] virtual HttpServerResponse answer_unreadable(int status,
                                                             const std::string& why) const {
    HttpServerResponse answer;
    answer.status = status;
    answer.headers = {{"Content-Type", "text/plain"}};
    answer.body = why + "\n";
    return answer;
  }
};

}  // namespace muster
