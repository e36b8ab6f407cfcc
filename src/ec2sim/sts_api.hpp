#pragma once

#include <string>

#include "ec2sim/authenticator.hpp"
#include "ec2sim/service_api.hpp"
#include "ec2sim/universe.hpp"
#include "ports/random.hpp"

namespace ec2sim {

/// STS: who am I, and temporary keys for the roles of the world (STS API 2011-06-15).
class StsApi : public ServiceApi {
 public:
  StsApi(Universe& universe, Authenticator& authenticator, muster::Random& random)
      : universe_(universe), authenticator_(authenticator), random_(random) {}

  ServiceAnswer answer(const ServiceCall& call) override;
  [[nodiscard]] muster::HttpServerResponse success(const std::string& action,
                                                   const std::string& body,
                                                   const std::string& request_id) const override;
  [[nodiscard]] muster::HttpServerResponse refusal(const ec2model::Ec2Error& error,
                                                   const std::string& request_id) const override;
  [[nodiscard]] ec2model::Ec2Error translate(ec2model::Ec2Error error) const override;
  [[nodiscard]] ec2model::Ec2Error throttled() const override;
  [[nodiscard]] ec2model::Ec2Error internal_failure() const override;

  /// Keys of a session of the role, known to the authenticator until they expire.
  muster::wire::AwsCredentials open_session(const std::string& account, const std::string& role,
                                            const std::string& session,
                                            muster::TimePoint expires_at);

 private:
  ec2model::Answer<std::string> assume(const ServiceCall& call, bool is_web_identity);

  Universe& universe_;
  Authenticator& authenticator_;
  muster::Random& random_;
};

}  // namespace ec2sim
