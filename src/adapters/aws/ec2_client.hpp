#pragma once

#include <functional>
#include <string>

#include "adapters/aws/clock_skew.hpp"
#include "adapters/aws/credentials.hpp"
#include "adapters/aws/retry.hpp"
#include "base/log.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "ports/random.hpp"
#include "wire/encoding.hpp"
#include "wire/xml.hpp"

namespace muster::aws {

struct Ec2ClientOptions {
  std::string endpoint;  ///< `https://ec2.us-east-1.amazonaws.com`
  std::string region;    ///< Signed for.
  int attempts_max = 3;  ///< Of one call.
  /// Awaited before each further request of one call, a retry or a next page: the budget, which
  /// they must not go around.
  std::function<Task<>(std::string action)> before_repetition{};
  /// Told of each attempt that was answered by "too fast".
  std::function<void(const std::string& action)> throttled{};
};

/// EC2's Query protocol: signs, sends, retries by the standard mode and reads the answer. The
/// budget of calls stands above it.
class Ec2Client {
 public:
  Ec2Client(HttpTransport& transport, CredentialsChain& credentials, Clock& clock, Random& random,
            const Log& log, Ec2ClientOptions options);

  /// Sends a body made by `form_of`, unchanged in every attempt, each signed anew. The root element
  /// of a 2xx answer, or the error with EC2's own code.
  Task<Result<wire::XmlElement>> call(std::string action, std::string body, Duration time_max);

  /// To be awaited before each further request of one call, such as the next page of a listing.
  Task<> before_repetition(std::string action);

  /// The time as the service sees it.
  [[nodiscard]] TimePoint now() const { return clock_.now() + skew_.offset(); }

 private:
  Task<Result<wire::XmlElement>> attempt(const std::string* action, const std::string* body,
                                         std::string invocation_id, int number, Duration time_max,
                                         std::optional<Duration>* retry_after, bool* has_new_time);
  /// Learns the clock's offset from an answer; true if it moved so far that the call is worth
  /// another try at once.

  HttpTransport& transport_;
  CredentialsChain& credentials_;
  Clock& clock_;
  Random& random_;
  const Log& log_;
  Ec2ClientOptions options_;
  RetryPolicy retry_;
  ClockSkew skew_;
};

/// The form body of an action.
[[nodiscard]] std::string form_of(const std::string& action, wire::Parameters parameters);

/// The error in an answer that is no 2xx; a body that is no EC2 error counts by its status.
[[nodiscard]] Error error_of(const std::string& action, int status, const std::string& body);

}  // namespace muster::aws
