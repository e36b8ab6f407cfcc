#pragma once

#include <map>
#include <string>

#include "ec2model/model.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "wire/sigv4.hpp"

namespace ec2sim {

/// IMDS at 169.254.169.254: which instance asks is told by the source address (EC2 user guide,
/// "Use instance metadata").
class MetadataService : public muster::HttpHandler {
 public:
  MetadataService(ec2model::Model& model, muster::Clock& clock,
                  muster::wire::AwsCredentials role_credentials)
      : model_(model), clock_(clock), role_credentials_(std::move(role_credentials)) {}

  muster::Task<muster::HttpServerResponse> handle(muster::HttpServerRequest request) override;

 private:
  struct Session {
    std::string instance;
    muster::TimePoint expires_at;
  };

  muster::HttpServerResponse open_session(const muster::HttpServerRequest& request,
                                          const ec2model::Instance& instance);
  [[nodiscard]] std::map<std::string, std::string> tree_of(
      const ec2model::Instance& instance) const;

  ec2model::Model& model_;
  muster::Clock& clock_;
  muster::wire::AwsCredentials role_credentials_;
  std::map<std::string, Session> sessions_;
};

}  // namespace ec2sim
