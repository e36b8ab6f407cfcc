#pragma once

#include <string>

#include "ec2sim/service_api.hpp"
#include "ec2sim/universe.hpp"

namespace ec2sim {

/// SSM Parameter Store over the JSON protocol (SSM API reference).
class SsmApi : public ServiceApi {
 public:
  explicit SsmApi(Universe& universe) : universe_(universe) {}

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
};

}  // namespace ec2sim
