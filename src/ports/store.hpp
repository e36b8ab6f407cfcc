#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/strong.hpp"
#include "base/task.hpp"
#include "ports/cloud.hpp"

namespace muster {

/// How far a launch has come. `open` and `launched` still owe an end.
enum class IntentState {
  open,      ///< Committed; the call may or may not have been made.
  launched,  ///< The cloud has answered with instances.
  refused,   ///< The cloud has said no; nothing was made.
  ended,     ///< The instances were seen to be gone, or told to go.
};

/// A durable record of a launch about to be made.
struct LaunchIntent {
  IntentId id;
  RunId run;
  std::string cluster;
  PoolName pool;
  std::string region;
  FrozenCall call;
  IntentState state = IntentState::open;
  std::vector<InstanceId> instances;
  TimePoint created_at;
};

/// Durable state. A call that returned success survives kill -9 and power loss.
/// Errors: unavailable (disk full, locked), corrupt.
class Store {
 public:
  virtual ~Store() = default;
  virtual Task<Status> add_intent(LaunchIntent intent) = 0;
  virtual Task<Status> set_intent(IntentId id, IntentState state,
                                  std::vector<InstanceId> instances) = 0;
  /// Intents that still owe an end, oldest first.
  virtual Task<Result<std::vector<LaunchIntent>>> list_owing() = 0;
};

}  // namespace muster
