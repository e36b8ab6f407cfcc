#pragma once

#include <optional>
#include <string>

#include "adapters/aws/profile.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "wire/sigv4.hpp"

namespace muster::aws {

/// The provider chain: environment, shared profile, instance metadata. Temporary credentials are
/// read again when less than ten minutes remain.
class CredentialsChain {
 public:
  CredentialsChain(HttpTransport& transport, Clock& clock, Environment environment,
                   Profile profile);

  /// Errors: unauthenticated (none found, or a kind that is not supported), unavailable.
  Task<Result<wire::AwsCredentials>> get();

  /// Forgets what is cached: the next `get` reads anew.
  void forget();

  /// Where the credentials came from; empty before the first success.
  [[nodiscard]] const std::string& origin() const { return origin_; }

  /// The region of the instance that muster runs on. Errors: unavailable.
  Task<Result<std::string>> instance_region();

 private:
  Result<std::optional<wire::AwsCredentials>> from_environment();
  Result<std::optional<wire::AwsCredentials>> from_profile();
  Task<Result<wire::AwsCredentials>> from_instance();
  Task<Result<std::string>> read_metadata(std::string path);

  HttpTransport& transport_;
  Clock& clock_;
  Environment environment_;
  Profile profile_;
  std::optional<wire::AwsCredentials> cached_;
  std::string origin_;
};

}  // namespace muster::aws
