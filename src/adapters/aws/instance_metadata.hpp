#pragma once

#include <string>

#include "adapters/aws/profile.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"

namespace muster::aws {

/// IMDS as a client (EC2 user guide, "Use instance metadata"): sessions of version 2, version 1
/// only where the service is too old for 2 and the settings allow it.
class InstanceMetadata {
 public:
  InstanceMetadata(HttpTransport& transport, Clock& clock, const Environment& environment,
                   const Profile& profile);

  [[nodiscard]] bool is_disabled() const { return is_disabled_; }

  /// The text at a path such as `/latest/meta-data/placement/region`.
  /// Errors: not_found, unavailable, timeout, forbidden.
  Task<Result<std::string>> get(std::string path);

 private:
  Task<Result<std::string>> get_once(std::string path);
  Task<Status> open_session();
  [[nodiscard]] HttpRequest request_to(const std::string& path) const;

  HttpTransport& transport_;
  Clock& clock_;
  std::string endpoint_;
  std::string token_;
  TimePoint token_ends_at_{};
  Duration time_max_;
  int attempts_max_;
  bool is_disabled_ = false;
  bool allows_v1_ = true;
  bool is_v1_ = false;
  bool was_reached_ = false;
};

}  // namespace muster::aws
