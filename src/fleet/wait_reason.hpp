#pragma once

#include <optional>
#include <string>

#include "base/time.hpp"

namespace muster {

/// What keeps a job from running.
enum class WaitCause {
  none,
  no_pool,            ///< No pool has its labels.
  booting,            ///< An instance is on its way.
  launching,          ///< A launch was asked for and is not answered.
  pool_limit,         ///< `max_instances` of the pool.
  schedule,           ///< `max_instances` of a schedule that holds now.
  growth_limit,       ///< As many as may be on their way are.
  cluster_limit,      ///< `limits.instances`
  vcpu_limit,         ///< `limits.vcpus`
  launch_rate_limit,  ///< `limits.launches_per_minute`
  budget,             ///< `limits.usd_per_day`
  label_limit,        ///< `limits.labels`
  repository_limit,   ///< `limits.repository_jobs`
  paused,             ///< A person has paused the pool.
  draining,           ///< The pool is being emptied.
  capacity,           ///< Every offering was refused lately.
  quota,              ///< The account's quota is used up.
  throttled,          ///< The cloud's rate of launches is used up.
  circuit_open,       ///< Launches of the pool kept failing.
  launch_error,       ///< What the pool says was refused by the cloud.
  launch_freeze,      ///< More instances than the plan needs: nothing is launched until that ends.
  stopping,           ///< The daemon is being stopped.
  cloud_unlisted,     ///< What is known of the cloud is too old to launch on.
};

/// `pool-limit`, …
[[nodiscard]] std::string to_string(WaitCause cause);

/// Whether an instance that is gone can end it.
[[nodiscard]] bool waits_for_room(WaitCause cause);

/// Why, in words, since when, and when that may change.
struct WaitReason {
  WaitCause cause = WaitCause::none;
  std::string text;
  TimePoint since{};
  std::optional<TimePoint> next;
  std::string pool{};  ///< Whose instance it waits for; may be empty.
};

}  // namespace muster
