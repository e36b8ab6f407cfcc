#pragma once

#include <string>

#include "adapters/http/curl_transport.hpp"
#include "base/document.hpp"
#include "cli/cloud_wiring.hpp"

namespace muster::cli {

/// The local socket of the daemon on this state folder.
[[nodiscard]] std::string daemon_socket();

/// Asks the daemon that runs on this state folder, or the one at MUSTER_URL with the token in the
/// file MUSTER_TOKEN_FILE. Errors: unavailable with code E0604 (none runs),
/// and what it answers.
class DaemonClient {
 public:
  DaemonClient();

  /// `path` begins after `/api/v1`; its segments are encoded already.
  [[nodiscard]] Result<Node> get(const std::string& path,
                                 Duration time_max = std::chrono::seconds{15});
  /// An answer that is no JSON.
  [[nodiscard]] Result<std::string> get_text(const std::string& path);
  /// A reason may be empty.
  [[nodiscard]] Result<Node> post(const std::string& path, const std::string& reason = "");

  void sleep(Duration time);

 private:
  [[nodiscard]] Result<HttpResponse> exchange(HttpRequest request);
  [[nodiscard]] HttpRequest request(const std::string& path) const;
  [[nodiscard]] static Result<Node> read(const HttpResponse& response);

  std::string url_;  // Empty: the local socket.
  Wiring wiring_;
  http::CurlTransport transport_;
};

/// One segment of a path.
[[nodiscard]] std::string path_segment(const std::string& text);

}  // namespace muster::cli
