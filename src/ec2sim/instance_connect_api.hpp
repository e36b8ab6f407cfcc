#pragma once

#include <functional>
#include <string>

#include "ec2sim/json_api.hpp"
#include "ec2sim/universe.hpp"

namespace ec2sim {

/// EC2 Instance Connect: a key of one's own for a minute (EC2 Instance Connect API reference).
class InstanceConnectApi : public JsonApi {
 public:
  /// Lets the key in for that user of the machine.
  using Admit = std::function<void(const ec2model::Instance& instance, const std::string& user,
                                   const std::string& key)>;

  InstanceConnectApi(Universe& universe, Admit admit)
      : universe_(universe), admit_(std::move(admit)) {}

  ServiceAnswer answer(const ServiceCall& call) override;
  [[nodiscard]] ec2model::Ec2Error internal_failure() const override;

 private:
  Universe& universe_;
  Admit admit_;
};

}  // namespace ec2sim
