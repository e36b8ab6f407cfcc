#pragma once

#include <optional>
#include <string>

#include "base/event.hpp"
#include "base/log.hpp"
#include "base/task.hpp"
#include "pipeline/stage.hpp"
#include "ports/store.hpp"
#include "service/launcher.hpp"
#include "service/stage_runner.hpp"

namespace muster {

/// What `muster exec` is asked for.
struct ExecRunRequest {
  RunId run;
  Pool pool;
  pipeline::Stage stage;
  std::string bundle;  ///< A git bundle of the local repository; empty for a remote one.
  /// A ref that the bundle does not have, such as a tag, and the commit that it names.
  std::string bundle_ref;
  std::string bundle_commit;
  Duration time_max = std::chrono::hours{1};
  /// What is kept of an earlier part of the same run; absent: it begins now.
  struct Earlier {
    std::vector<HostKey> host_keys;
    std::vector<StepRecord> steps;
    std::optional<StageOutcome> outcome;  ///< It came to its end; only the machine's is owed.
  };
  std::optional<Earlier> earlier;
};

struct ExecRunResult {
  StageResult stage;
  Duration took{};          ///< From the launch call on.
  bool is_clean = true;     ///< The machine is gone, or was told to go.
  std::string left_behind;  ///< What is not, for people.
};

/// One pipeline on one machine of its own, which is ended in every case: also when the run is
/// interrupted, fails half-way, or is killed (then by the machine's own timer).
class ExecRun {
 public:
  struct Parts {
    Launcher& launcher;
    ContainersConnector& containers;
    Clock& clock;
    RunObserver& observer;
    RunStore& runs;
    const Log& log;
  };

  ExecRun(Executor executor, Parts parts);

  /// Errors: those of launching and reaching the machine; `cancelled` after `interrupt`.
  Task<Result<ExecRunResult>> run(ExecRunRequest request);

  /// Ends the run early; clean-up follows. Safe to call from a signal's handler task.
  void interrupt();

  /// The machine that would be left if the program ended now; empty if none.
  [[nodiscard]] std::string machine_id() const;

 private:
  Task<> work(const ExecRunRequest* request, std::optional<Result<ExecRunResult>>* result);
  Task<Result<ExecRunResult>> work_on_machine(const ExecRunRequest* request);
  Task<Status> obtain_machine(const ExecRunRequest* request);
  Task<> note_end(RunId run, StageOutcome outcome);
  Task<> forget_plan(RunId run);
  Task<Result<ExecRunResult>> finish_ended(ExecRunRequest request);
  Task<> keep_alive(Machine* machine, Duration dead_man);
  Task<> wait_for_end(Duration time_max);
  Task<> clean_up(ExecRunResult* result);

  Executor executor_;
  Parts parts_;
  std::optional<LaunchedMachine> machine_;
  Event interrupted_;
  bool is_interrupted_ = false;
  bool is_debt_unknown_ = false;  // Whether the run owes a machine could not be found out.
};

}  // namespace muster
