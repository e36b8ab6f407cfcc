#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/strong.hpp"
#include "base/task.hpp"
#include "fleet/states.hpp"
#include "ports/cloud.hpp"

namespace muster {

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

/// How far a run has come.
enum class RunState { running, passed, failed, errored, killed };

/// One `muster exec`, recorded before anything is launched for it.
struct RunRecord {
  RunId id;
  RunState state = RunState::running;
  std::string sealed;     ///< What is to be run, encrypted: it holds secrets.
  std::string host_keys;  ///< Of its machine, pinned at the first contact; empty before.
  TimePoint created_at{};
};

/// How a step of a run ended; its presence alone says that it was started.
struct StepRecord {
  int number = 0;
  bool has_ended = false;
  int outcome = 0;
  int exit_code = 0;
  std::string error;
  Duration took{};
};

/// Runs, so that one goes on where it was after a crash. Errors as for `Store`.
class RunStore {
 public:
  virtual ~RunStore() = default;
  virtual Task<Status> add_run(RunRecord run) = 0;
  virtual Task<Status> set_run_state(RunId id, RunState state) = 0;
  virtual Task<Status> set_run_host_keys(RunId id, std::string host_keys) = 0;
  /// Drops what was sealed: the run will not be gone on with.
  virtual Task<Status> forget_run_plan(RunId id) = 0;
  /// Errors: not_found.
  virtual Task<Result<RunRecord>> find_run(RunId id) = 0;
  /// Those that wait to be gone on with, without what is sealed; newest first.
  virtual Task<Result<std::vector<RunRecord>>> list_open_runs(int count_max) = 0;
  virtual Task<Status> save_step(RunId id, StepRecord step) = 0;
  virtual Task<Result<std::vector<StepRecord>>> steps_of(RunId id) = 0;
};

}  // namespace muster
