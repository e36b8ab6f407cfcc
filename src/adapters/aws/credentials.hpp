#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/aws/instance_metadata.hpp"
#include "adapters/aws/profile.hpp"
#include "adapters/aws/sts_client.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "ports/random.hpp"
#include "wire/sigv4.hpp"

namespace muster::aws {

/// Runs a program without a shell and gives its standard output. Errors: not_found, timeout,
/// unavailable with what it wrote to standard error.
using RunProgram = std::function<Task<Result<std::string>>(std::vector<std::string> arguments)>;

/// Where credentials come from (AWS SDKs and Tools Reference Guide, "Standardized credential
/// providers"), the first that has some: keys in the environment, web identity in the environment,
/// the shared profile (assumed roles, web identity, keys, credential_process), the container's
/// endpoint, the instance's role.
///
/// Temporary credentials are refreshed by one caller when less than 15 minutes remain, while the
/// others go on with the old ones; below 10 minutes all wait. Old ones are kept until they really
/// expire when a refresh fails.
class CredentialsChain {
 public:
  struct Parts {
    HttpTransport& transport;
    Clock& clock;
    Random& random;
    const Log& log;
    RunProgram run_program;
  };

  CredentialsChain(Parts parts, Environment environment, Profile profile);

  /// Where roles are assumed; before it is told, roles cannot be.
  void use_sts(StsOptions options) { sts_options_ = std::move(options); }

  /// Errors: unauthenticated (none found, refused, or of a kind that is not supported),
  /// invalid_input (a profile that contradicts itself), unavailable, timeout.
  Task<Result<wire::AwsCredentials>> get();

  /// The next `get` reads anew, whatever remains: a service has called them stale.
  void forget();

  /// Where the credentials came from; empty before the first success.
  [[nodiscard]] const std::string& origin() const { return origin_; }

  /// The region of the instance that muster runs on. Errors: unavailable.
  Task<Result<std::string>> instance_region();

 private:
  using Found = Result<std::optional<wire::AwsCredentials>>;

  Task<Result<wire::AwsCredentials>> refresh();
  Task<Result<wire::AwsCredentials>> read();
  Found from_environment();
  Task<Found> from_profile(std::string name, std::vector<std::string> chain);
  Task<Found> from_web_identity(std::string file, std::string role, std::string session,
                                std::string where);
  Task<Found> from_role(std::string name, std::vector<std::string> chain);
  Task<Found> from_process(std::string command, std::string where);
  Task<Found> from_container();
  Task<Found> from_instance();
  [[nodiscard]] tl::unexpected<Error> none_found(const std::string& why) const;
  [[nodiscard]] std::string session_name(const std::string& configured) const;

  Parts parts_;
  Environment environment_;
  Profile profile_;
  InstanceMetadata metadata_;
  std::optional<StsOptions> sts_options_;
  std::optional<wire::AwsCredentials> cached_;
  bool is_stale_ = false;
  bool is_refreshing_ = false;
  std::string origin_;
};

/// Splits a command into words as a POSIX shell does, without expansions. Errors: invalid_input.
[[nodiscard]] Result<std::vector<std::string>> split_words(const std::string& command);

}  // namespace muster::aws
