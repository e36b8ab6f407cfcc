#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fleet/controller.hpp"

namespace muster {

/// Why a job stands as it does, for people: the one cause, and what would change it. Taken from the
/// planner's reasons and the job's own history.
struct Explanation {
  std::string cause;     ///< One word: `pool-limit`, `booting`, `step-failed`, …
  std::string headline;  ///< `waiting for room in pool linux since 12:04 (38 s): …`
  TimePoint since{};
  std::string next;  ///< What muster does next; may be empty.
  std::optional<TimePoint> next_at;
  std::string change;  ///< What would change it: a command, or a key of muster.yml; may be empty.
  std::string queue;   ///< Its place among those that wait for the same; empty where it does not.
  std::vector<std::pair<TimePoint, std::string>> timeline;
};

[[nodiscard]] Explanation explain(const Controller& controller, const Job& job, TimePoint now);

}  // namespace muster
