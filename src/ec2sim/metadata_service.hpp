#pragma once

#include <map>
#include <string>

#include "ec2sim/sts_api.hpp"
#include "ec2sim/universe.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "wire/sigv4.hpp"

namespace ec2sim {

/// IMDS: which instance asks is told by the source address, and for machines that share the host's
/// network by the address asked (EC2 user guide, "Use instance metadata").
class MetadataService : public muster::HttpHandler {
 public:
  MetadataService(Universe& universe, muster::Clock& clock, StsApi& sts)
      : universe_(universe), clock_(clock), sts_(sts) {}

  muster::Task<muster::HttpServerResponse> handle(muster::HttpServerRequest request) override;

 private:
  struct Session {
    std::string instance;
    muster::TimePoint expires_at;
  };

  muster::HttpServerResponse open_session(const muster::HttpServerRequest& request,
                                          ec2model::Model& model,
                                          const ec2model::Instance& instance);
  [[nodiscard]] std::map<std::string, std::string> tree_of(const ec2model::Model& model,
                                                           const ec2model::Instance& instance);
  /// Keys of the instance's role, new ones an hour before they end.
  muster::wire::AwsCredentials role_keys(const ec2model::Model& model,
                                         const ec2model::Instance& instance);

  Universe& universe_;
  muster::Clock& clock_;
  StsApi& sts_;
  std::map<std::string, muster::wire::AwsCredentials> role_keys_;  // By instance.
  std::map<std::string, Session> sessions_;
};

}  // namespace ec2sim
