#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "adapters/aws/profile.hpp"
#include "base/result.hpp"
#include "ports/random.hpp"

namespace muster::aws {

/// The kind of an EC2 error code; the HTTP status counts only when the code is unknown, since a
/// capacity error is a 500 and a throttle a 503.
[[nodiscard]] ErrorKind classify(std::string_view code, int status);

/// Whether a code of the throttle list: it waits longer and costs less quota.
[[nodiscard]] bool is_throttle(std::string_view code, int status);

/// The standard retry mode: at most `attempts_max` attempts, full jitter, one quota for a service
/// and region (AWS SDKs and Tools Reference Guide, "Retry behavior").
class RetryPolicy {
 public:
  explicit RetryPolicy(Random& random, int attempts_max = 3)
      : random_(random), attempts_max_(attempts_max) {}

  [[nodiscard]] int attempts_max() const { return attempts_max_; }

  /// How long to wait before the next attempt, or nothing to give up. `attempt` counts from 1.
  std::optional<Duration> delay_after(int attempt, const Error& error,
                                      std::optional<Duration> retry_after);

  /// Gives quota back after a success at attempt `attempt`.
  void succeeded(int attempt);

 private:
  Random& random_;
  int attempts_max_;
  int quota_ = 500;
  int last_cost_ = 0;
};

/// `AWS_MAX_ATTEMPTS`, else `max_attempts` of the profile, else 3.
[[nodiscard]] int attempts_max(const Environment& environment, const Profile& profile);

}  // namespace muster::aws
