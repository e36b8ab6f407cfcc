#include "fleet/wait_reason.hpp"

#include <array>

namespace muster {

std::string to_string(WaitCause cause) {
  static constexpr std::array<std::string_view, 23> kNames{
      "none",          "no-pool",      "booting",          "launching",    "pool-limit",
      "schedule",      "growth-limit", "cluster-limit",    "vcpu-limit",   "launch-rate-limit",
      "budget",        "label-limit",  "repository-limit", "paused",       "draining",
      "capacity",      "quota",        "throttled",        "circuit-open", "launch-error",
      "launch-freeze", "stopping",     "cloud-unlisted"};
  return std::string(kNames.at(static_cast<std::size_t>(cause)));
}

bool waits_for_room(WaitCause cause) {
  switch (cause) {
    case WaitCause::pool_limit:
    case WaitCause::schedule:
    case WaitCause::cluster_limit:
    case WaitCause::vcpu_limit:
    case WaitCause::budget:
    case WaitCause::quota:
    case WaitCause::launch_freeze: return true;
    default: return false;
  }
}

}  // namespace muster
