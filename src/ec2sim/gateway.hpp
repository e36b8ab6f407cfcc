#pragma once

#include <functional>
#include <string>

#include "ec2sim/ec2_api.hpp"
#include "ec2sim/instance_connect_api.hpp"
#include "ec2sim/ssm_api.hpp"
#include "ec2sim/sts_api.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"

namespace ec2sim {

/// The one port: tells services apart by the scope of the signature (or the target header), checks
/// signatures, and plays the faults of calls. Every error is in the service's own format.
class Gateway : public muster::HttpHandler {
 public:
  struct Events {
    /// After each call, with when it came; the code is empty for a success.
    std::function<void(muster::TimePoint at, const std::string& action,
                       const std::string& error_code)>
        called;
    std::function<void(const std::string& fault)> struck;
  };

  Gateway(Universe& universe, const Authenticator& authenticator, Ec2Api& ec2, StsApi& sts,
          SsmApi& ssm, InstanceConnectApi& connect, HttpHandler& admin, muster::Clock& clock,
          muster::Random& random, Events events);

  muster::Task<muster::HttpServerResponse> handle(muster::HttpServerRequest request) override;

 private:
  [[nodiscard]] ServiceApi& service_of(const muster::HttpServerRequest& request,
                                       const std::string& scope_service);
  [[nodiscard]] bool strikes(const std::string& fault, double chance);

  Universe& universe_;
  const Authenticator& authenticator_;
  Ec2Api& ec2_;
  StsApi& sts_;
  SsmApi& ssm_;
  InstanceConnectApi& connect_;
  HttpHandler& admin_;
  muster::Clock& clock_;
  muster::Random& random_;
  Events events_;
};

/// The port as machines see it: without the admin calls.
class InnerGateway : public muster::HttpHandler {
 public:
  explicit InnerGateway(Gateway& gateway) : gateway_(gateway) {}

  muster::Task<muster::HttpServerResponse> handle(muster::HttpServerRequest request) override;

 private:
  Gateway& gateway_;
};

}  // namespace ec2sim
