#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/log.hpp"
#include "base/task.hpp"
#include "base/task_scope.hpp"
#include "pipeline/stage.hpp"
#include "ports/clock.hpp"
#include "ports/containers.hpp"
#include "ports/machine.hpp"
#include "ports/store.hpp"
#include "service/remote_step.hpp"
#include "service/run_observer.hpp"

namespace muster {

enum class StageOutcome { passed, failed, errored, killed };

struct StageResult {
  StageOutcome outcome = StageOutcome::passed;
  std::string error;             ///< Of the first step that could not be run.
  std::string failed_step;       ///< The first that failed.
  int failed_code = 0;           ///< Its exit code.
  bool is_machine_lost = false;  ///< Whether that step's machine went away under it.
};

/// Keeps what became of a run's steps, before and after each.
class StepJournal {
 public:
  virtual ~StepJournal() = default;
  virtual Task<Status> note(StepRecord record) = 0;
};

/// Keeps a run's steps in the store.
class StoredJournal : public StepJournal {
 public:
  StoredJournal(RunStore& runs, RunId run) : runs_(runs), run_(std::move(run)) {}
  Task<Status> note(StepRecord record) override {
    Task<Status> saving = runs_.save_step(run_, std::move(record));
    co_return co_await std::move(saving);
  }

 private:
  RunStore& runs_;
  RunId run_;
};

/// Runs a compiled stage on one machine: steps as soon as what they depend on has ended, each at
/// most once. Cancelling it leaves the machine as it is; whoever owns the machine ends it. A step
/// that was started is not given up before its machine has not answered for as long as `patience`.
class StageRunner {
 public:
  StageRunner(Executor executor, Machine& machine, Containers& containers, Clock& clock,
              RunObserver& observer, StepJournal& journal, RemoteStep::FindEnd find_end,
              const Log& log, Duration patience);

  /// `before` is what the journal has of an earlier part of the same run: steps that ended are not
  /// run again, those that were started are followed. Errors: unavailable (the machine was lost
  /// before the first step, or the journal cannot be written).
  Task<Result<StageResult>> run(pipeline::Stage stage, std::vector<StepRecord> before);

 private:
  enum class Mode { pending, running, ended };
  struct Progress {
    Mode mode = Mode::pending;
    StepResult result;
  };

  Task<bool> is_out_of_reach();
  template <class Value, class Attempt>
  Task<Result<Value>> insist(Attempt attempt);
  Task<Status> prepare();
  Task<> run_step(int number);
  Task<> skip_step(int number);
  Task<Result<int>> execute(const pipeline::StageStep* step);
  /// The same error, or why the machine is no more if that is behind it.
  Task<Error> explained(Error error);
  [[nodiscard]] std::string container_name(const pipeline::StageStep& step) const;
  Task<Result<std::string>> make_container(const pipeline::StageStep* step);
  Task<Status> ensure_engine();
  Task<Status> ensure_image(const pipeline::StageStep* step);
  void start_ready_steps(TaskScope& scope);
  [[nodiscard]] bool is_ready(const pipeline::StageStep& step) const;
  [[nodiscard]] bool should_run(const pipeline::StageStep& step) const;
  void finish(const pipeline::StageStep& step, StepResult result);
  void count(const pipeline::StageStep& step, const StepResult& result);
  void restore(const std::vector<StepRecord>& before);
  Task<> keep(int number, bool has_ended, StepResult result);
  void skip_pending();
  [[nodiscard]] std::string folder_of(const pipeline::StageStep& step) const;
  [[nodiscard]] std::map<std::string, std::string> environment_of(
      const pipeline::StageStep& step) const;
  [[nodiscard]] std::string host_script(const pipeline::StageStep& step) const;
  [[nodiscard]] const pipeline::StageStep& step_of(int number) const;

  Executor executor_;
  Machine& machine_;
  Containers& containers_;
  Clock& clock_;
  RunObserver& observer_;
  StepJournal& journal_;
  RemoteStep::FindEnd find_end_;
  const Log& log_;
  Duration patience_;
  pipeline::Stage stage_;
  std::vector<std::string> mask_;
  std::set<int> was_running_;
  Status journal_status_;
  std::map<std::string, Progress> progress_;
  Event changed_;
  Event engine_changed_;
  enum class Engine { unknown, preparing, ready } engine_ = Engine::unknown;
  bool has_failed_ = false;
  bool has_skipped_rest_ = false;
  bool fails_fast_ = false;
  std::string first_error_;
  std::string failed_step_;
  int failed_code_ = 0;
};

}  // namespace muster
