#pragma once

#include <string>

#include "ec2sim/call.hpp"
#include "ec2sim/service_api.hpp"
#include "ec2sim/universe.hpp"

namespace ec2sim {

/// EC2's Query protocol in front of the models: parameters, XML, errors.
class Ec2Api : public ServiceApi {
 public:
  using ConsoleReader = std::function<std::string(const std::string& instance_id)>;

  Ec2Api(Universe& universe, ConsoleReader console);

  ServiceAnswer answer(const ServiceCall& call) override;
  [[nodiscard]] muster::HttpServerResponse success(const std::string& action,
                                                   const std::string& body,
                                                   const std::string& request_id) const override;
  [[nodiscard]] muster::HttpServerResponse refusal(const ec2model::Ec2Error& error,
                                                   const std::string& request_id) const override;
  [[nodiscard]] ec2model::Ec2Error translate(ec2model::Ec2Error error) const override;
  [[nodiscard]] ec2model::Ec2Error throttled() const override;
  [[nodiscard]] ec2model::Ec2Error internal_failure() const override;

 private:
  Universe& universe_;
  Surroundings around_;
};

/// Every action that the simulator plays.
[[nodiscard]] const ActionTable& all_actions();

}  // namespace ec2sim
