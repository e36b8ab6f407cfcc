#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "fleet/fleet.hpp"
#include "ports/clock.hpp"
#include "ports/cloud.hpp"

namespace muster {

/// What one decision changes, all or nothing.
struct FleetCommit {
  FleetChanges changes;
  std::vector<std::pair<IntentId, FrozenCall>> calls;  ///< Of the intents that are new.
  std::optional<ClockBase> clock;  ///< When the moments of all rows count from another one.
};

/// Everything that was committed.
struct StoredFleet {
  FleetSnapshot fleet;
  std::map<IntentId, FrozenCall> calls;  ///< Of open intents.
  ClockBase clock;                       ///< That the moments of all rows count from.
  bool is_new = false;                   ///< Nothing was ever committed.
};

/// The controller's state. A commit that returned success survives kill -9 and power loss; one that
/// failed may have happened all the same, and is committed again. Errors: unavailable, corrupt.
class FleetStore {
 public:
  virtual ~FleetStore() = default;
  virtual Task<Result<StoredFleet>> load_fleet() = 0;
  virtual Task<Status> commit(FleetCommit commit) = 0;
};

}  // namespace muster
