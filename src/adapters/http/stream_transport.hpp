#pragma once

#include <memory>

#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "ports/machine.hpp"

namespace muster::http {

/// HTTP/1.1 over byte streams that someone else opens, such as a unix socket behind SSH: one
/// stream a request; host and port of the URL are only a name.
class StreamTransport : public HttpTransport {
 public:
  StreamTransport(StreamOpener& opener, Clock& clock) : opener_(opener), clock_(clock) {}

  Task<Result<HttpResponse>> send(HttpRequest request) override;

 private:
  Task<Result<HttpResponse>> exchange(HttpRequest request);

  StreamOpener& opener_;
  Clock& clock_;
};

}  // namespace muster::http
