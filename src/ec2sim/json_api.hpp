#pragma once

#include <string>

#include "ec2sim/service_api.hpp"

namespace ec2sim {

/// What services of the JSON 1.1 protocol have in common: how answers and errors look.
class JsonApi : public ServiceApi {
 public:
  [[nodiscard]] muster::HttpServerResponse success(const std::string& action,
                                                   const std::string& body,
                                                   const std::string& request_id) const override;
  [[nodiscard]] muster::HttpServerResponse refusal(const ec2model::Ec2Error& error,
                                                   const std::string& request_id) const override;
  [[nodiscard]] ec2model::Ec2Error translate(ec2model::Ec2Error error) const override;
  [[nodiscard]] ec2model::Ec2Error throttled() const override;
  [[nodiscard]] ec2model::Ec2Error internal_failure() const override;
};

}  // namespace ec2sim
