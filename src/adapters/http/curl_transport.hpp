#pragma once

#include <memory>
#include <string>

#include "base/task.hpp"
#include "ports/http.hpp"

namespace muster::http {

struct CurlOptions {
  std::string user_agent = "muster/" MUSTER_VERSION;
  std::string ca_bundle;      ///< A PEM file; empty: the system's.
  std::string unix_socket{};  ///< All requests go there, whatever host they name; empty: by TCP.
};

/// HTTP/1.1 out by libcurl: connections are reused, certificates and host names are verified,
/// proxies come from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
class CurlTransport : public HttpTransport {
 public:
  CurlTransport(const Executor& executor, CurlOptions options);
  ~CurlTransport() override;

  Task<Result<HttpResponse>> send(HttpRequest request) override;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
  CurlOptions options_;
};

}  // namespace muster::http
