#pragma once

#include <string>

#include "ec2model/error.hpp"
#include "ec2sim/authenticator.hpp"
#include "ports/http.hpp"

namespace ec2sim {

/// One call of a service behind the gateway.
struct ServiceCall {
  const muster::HttpServerRequest& request;
  const muster::wire::Parameters& parameters;  ///< Of a Query call: of the body, or of the URL.
  const Caller& caller;
  muster::TimePoint now;
};

/// What a service answered, without its envelope.
struct ServiceAnswer {
  std::string action;  ///< For the ledger; `(unknown)` if it is none.
  ec2model::Answer<std::string> body;
};

/// A service of AWS: its actions, and how its answers and errors look on the wire.
class ServiceApi {
 public:
  virtual ~ServiceApi() = default;
  virtual ServiceAnswer answer(const ServiceCall& call) = 0;
  [[nodiscard]] virtual muster::HttpServerResponse success(const std::string& action,
                                                           const std::string& body,
                                                           const std::string& request_id) const = 0;
  [[nodiscard]] virtual muster::HttpServerResponse refusal(const ec2model::Ec2Error& error,
                                                           const std::string& request_id) const = 0;
  /// How the service calls an error of the authenticator.
  [[nodiscard]] virtual ec2model::Ec2Error translate(ec2model::Ec2Error error) const = 0;
  /// The service's own words for throttling and for its own failure.
  [[nodiscard]] virtual ec2model::Ec2Error throttled() const = 0;
  [[nodiscard]] virtual ec2model::Ec2Error internal_failure() const = 0;
};

[[nodiscard]] muster::HttpServerResponse xml_response(int status, const std::string& request_id,
                                                      std::string body);

}  // namespace ec2sim
