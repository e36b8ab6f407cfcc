#pragma once

#include <memory>

#include "ports/http.hpp"
#include "ports/machine.hpp"

namespace muster::http {

/// HTTP/1.1 over byte streams that someone else opens, such as a unix socket behind SSH: one
/// stream a request; host and port of the URL are only a name.
class StreamTransport : public HttpTransport {
 public:
  explicit StreamTransport(StreamOpener& opener) : opener_(opener) {}

  Task<Result<HttpResponse>> send(HttpRequest request) override;

 private:
  StreamOpener& opener_;
};

}  // namespace muster::http
