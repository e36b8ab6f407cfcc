#pragma once

#include <string>

#include "ec2sim/json_api.hpp"
#include "ec2sim/universe.hpp"

namespace ec2sim {

/// SSM Parameter Store over the JSON protocol (SSM API reference).
class SsmApi : public JsonApi {
 public:
  explicit SsmApi(Universe& universe) : universe_(universe) {}

  ServiceAnswer answer(const ServiceCall& call) override;

 private:
  Universe& universe_;
};

}  // namespace ec2sim
