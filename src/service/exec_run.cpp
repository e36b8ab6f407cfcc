#include "service/exec_run.hpp"

#include <fmt/format.h>

#include "base/race.hpp"
#include "base/task.hpp"
#include "service/boot_data.hpp"
#include "service/bundle.hpp"
#include "service/run_record.hpp"

namespace muster {
namespace {

// With a machine that does not answer: somebody waits.
constexpr Duration kPatience = std::chrono::minutes{2};

RunState state_of(StageOutcome outcome) {
  switch (outcome) {
    case StageOutcome::passed: return RunState::passed;
    case StageOutcome::failed: return RunState::failed;
    case StageOutcome::errored: return RunState::errored;
    case StageOutcome::killed: return RunState::killed;
  }
  return RunState::errored;
}

}  // namespace

ExecRun::ExecRun(Executor executor, Parts parts)
    : executor_(std::move(executor)), parts_(parts), interrupted_(executor_) {}

void ExecRun::interrupt() {
  is_interrupted_ = true;
  interrupted_.notify_all();
}

std::string ExecRun::machine_id() const {
  return machine_ ? machine_->instance.id.value() : std::string();
}

Task<> ExecRun::keep_alive(Machine* machine, Duration dead_man) {
  while (true) {
    ExecRequest request;
    request.command = extend_dead_man_command(dead_man);
    Task<Result<ExecResult>> running = machine->run(std::move(request));
    const Result<ExecResult> result = co_await std::move(running);
    const bool is_set = result && result->exit.code == 0;
    if (result && !is_set) {
      parts_.observer.note(
          "the dead-man timer cannot be extended: the machine's user needs password-less sudo for "
          "shutdown, or the run must end in time");
      co_return;
    }
    // After a lost connection try again soon: the timer runs on.
    const Duration pause = is_set ? dead_man / 3 : dead_man / 20;
    co_await parts_.clock.sleep(pause);
  }
}

/// The machine of the run's earlier part, or a new one.
Task<Status> ExecRun::obtain_machine(const ExecRunRequest* request) {
  if (request->earlier) {
    is_debt_unknown_ = true;
    Task<Result<std::optional<LaunchedMachine>>> finding = parts_.launcher.find_owed(request->run);
    Result<std::optional<LaunchedMachine>> owed = co_await std::move(finding);
    if (!owed) co_return tl::unexpected<Error>(owed.error());
    is_debt_unknown_ = false;
    if (*owed) {
      machine_ = std::move(**owed);
      Task<Result<LaunchedMachine>> refreshing = parts_.launcher.refresh(*machine_);
      Result<LaunchedMachine> refreshed = co_await std::move(refreshing);
      if (!refreshed) co_return tl::unexpected<Error>(refreshed.error());
      machine_ = std::move(*refreshed);
      machine_->host_keys = request->earlier->host_keys;
      co_return Status();
    }
    if (!request->earlier->steps.empty()) {
      co_return fail(ErrorKind::unavailable, "the machine on which the run's steps were is gone",
                     "Run the pipeline again.", "E0423");
    }
  }
  Task<Result<LaunchedMachine>> launching = parts_.launcher.launch(request->pool, request->run);
  Result<LaunchedMachine> launched = co_await std::move(launching);
  if (!launched) co_return tl::unexpected<Error>(launched.error());
  machine_ = std::move(*launched);
  co_return Status();
}

Task<Result<ExecRunResult>> ExecRun::work_on_machine(const ExecRunRequest* request) {
  const Duration started = parts_.clock.monotonic();
  Task<Status> obtaining = obtain_machine(request);
  const Status obtained = co_await std::move(obtaining);
  if (!obtained) co_return tl::unexpected<Error>(obtained.error());
  const Duration launched_at = parts_.clock.monotonic();
  parts_.observer.phase_done(
      request->earlier ? "found" : "launch",
      fmt::format("{}  {}  {} {}", machine_id(), machine_->instance.zone,
                  machine_->offering.instance_type, to_string(machine_->offering.capacity_type)),
      launched_at - started);
  Task<Result<ReachedMachine>> reaching = parts_.launcher.reach(*machine_, request->pool);
  const Result<ReachedMachine> reached = co_await std::move(reaching);
  if (!reached) co_return tl::unexpected<Error>(reached.error());
  const std::unique_ptr<Machine>* machine = &reached->machine;
  if (machine_->host_keys.empty()) {
    // Later the console is no longer to be trusted: jobs may write to it.
    std::string keys = write_host_keys(reached->host_keys);
    Task<Status> pinning = parts_.runs.set_run_host_keys(request->run, std::move(keys));
    const Status pinned = co_await std::move(pinning);
    if (!pinned) co_return tl::unexpected<Error>(pinned.error());
  }
  parts_.observer.phase_done(
      "boot", fmt::format("{}  ssh up, host key checked", machine_->instance.private_address),
      parts_.clock.monotonic() - launched_at);

  TaskScope background(executor_);
  background.spawn(keep_alive(machine->get(), request->pool.dead_man));
  Result<StageResult> ended = fail(ErrorKind::cancelled, "interrupted");
  std::exception_ptr cancelled;
  try {
    Bundle bundle{request->bundle, request->bundle_ref, request->bundle_commit};
    Task<Status> unpacking =
        unpack_bundle(**machine, parts_.clock, kPatience, request->stage.root, std::move(bundle));
    const Status unpacked = co_await std::move(unpacking);
    if (!unpacked) {
      ended = tl::unexpected<Error>(unpacked.error());
    } else {
      const std::unique_ptr<Containers> containers = parts_.containers.containers_of(**machine);
      StoredJournal journal(parts_.runs, request->run);
      StageRunner runner(
          executor_, **machine, *containers, parts_.clock, parts_.observer, journal,
          [this] { return parts_.launcher.find_end(machine_->instance.id); }, parts_.log,
          kPatience);
      std::vector<StepRecord> before;
      if (request->earlier) before = request->earlier->steps;
      Task<Result<StageResult>> running = runner.run(request->stage, std::move(before));
      ended = co_await std::move(running);
    }
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) co_await forget_cancellation();
  background.cancel();
  Task<> joining = background.join();
  co_await std::move(joining);
  if (cancelled) std::rethrow_exception(cancelled);
  Task<> closing = (*machine)->close();
  co_await std::move(closing);
  if (!ended) co_return tl::unexpected<Error>(ended.error());
  ExecRunResult result;
  result.stage = *ended;
  result.took = parts_.clock.monotonic() - started;
  co_return result;
}

Task<> ExecRun::work(const ExecRunRequest* request, std::optional<Result<ExecRunResult>>* result) {
  Task<Result<ExecRunResult>> working = work_on_machine(request);
  *result = co_await std::move(working);
}

Task<> ExecRun::wait_for_end(Duration time_max) {
  const auto wait = [](ExecRun* self) -> Task<> {
    while (!self->is_interrupted_) co_await self->interrupted_.wait();
  };
  Task<> interruption = wait(this);
  Task<> sleeping = parts_.clock.sleep(time_max);
  co_await race(std::move(interruption), std::move(sleeping));
}

Task<> ExecRun::clean_up(ExecRunResult* result) {
  Status ended;
  if (machine_) {
    Task<Status> ending = parts_.launcher.terminate(*machine_);
    ended = co_await std::move(ending);
  } else {
    Task<Status> ending = parts_.launcher.terminate_unfinished();
    ended = co_await std::move(ending);
  }
  if (ended && !is_debt_unknown_) {
    machine_.reset();
    co_return;
  }
  result->is_clean = false;
  result->left_behind =
      ended ? "whether the run still has a machine could not be found out; resume it again"
            : fmt::format(
                  "{} could not be ended: {}. Its dead-man timer ends it; or terminate it by hand.",
                  machine_ ? machine_id() : "a machine that may have been launched",
                  ended.error().describe());
}

Task<> ExecRun::note_end(RunId run, StageOutcome outcome) {
  Task<Status> noting = parts_.runs.set_run_state(std::move(run), state_of(outcome));
  const Status noted = co_await std::move(noting);
  if (!noted) parts_.log.error("run_not_closed", {{"error", noted.error().describe()}});
}

/// Nothing is owed any more: what was kept to go on with, secrets and all, may go.
Task<> ExecRun::forget_plan(RunId run) {
  Task<Status> forgetting = parts_.runs.forget_run_plan(std::move(run));
  const Status forgotten = co_await std::move(forgetting);
  if (!forgotten) parts_.log.error("plan_not_forgotten", {{"error", forgotten.error().describe()}});
}

/// The run came to its end, and its program was killed before the machine's.
Task<Result<ExecRunResult>> ExecRun::finish_ended(ExecRunRequest request) {
  Task<Result<std::optional<LaunchedMachine>>> finding = parts_.launcher.find_owed(request.run);
  Result<std::optional<LaunchedMachine>> owed = co_await std::move(finding);
  if (!owed) co_return tl::unexpected<Error>(owed.error());
  machine_ = std::move(*owed);
  ExecRunResult result;
  result.stage.outcome = *request.earlier->outcome;
  Task<> cleanup = clean_up(&result);
  co_await std::move(cleanup);
  if (result.is_clean) {
    Task<> forgetting = forget_plan(request.run);
    co_await std::move(forgetting);
  } else {
    parts_.observer.note(result.left_behind);
  }
  co_return result;
}

Task<Result<ExecRunResult>> ExecRun::run(ExecRunRequest request) {
  if (request.earlier && request.earlier->outcome) {
    Task<Result<ExecRunResult>> finishing = finish_ended(std::move(request));
    co_return co_await std::move(finishing);
  }
  std::optional<Result<ExecRunResult>> result;
  Task<> working = work(&request, &result);
  Task<> ending = wait_for_end(request.time_max);
  co_await race(std::move(working), std::move(ending));
  const bool has_error = result && !*result;
  if (!has_error) {
    // Committed before the machine is ended: a run that is cut off now has its result.
    Task<> noting = note_end(request.run, result ? (*result)->stage.outcome : StageOutcome::killed);
    co_await std::move(noting);
  }
  ExecRunResult cleaning;
  if (is_interrupted_ && machine_) {
    parts_.observer.note(fmt::format("interrupted: ending {}", machine_id()));
  }
  Task<> cleanup = clean_up(&cleaning);
  co_await std::move(cleanup);
  if (!cleaning.is_clean && !is_interrupted_) parts_.observer.note(cleaning.left_behind);
  // A run that could not go on stays open for as long as it may owe a machine.
  if (cleaning.is_clean) {
    if (has_error) {
      Task<> noting = note_end(request.run, StageOutcome::errored);
      co_await std::move(noting);
    }
    Task<> forgetting = forget_plan(request.run);
    co_await std::move(forgetting);
  }
  if (is_interrupted_) {
    co_return fail(ErrorKind::cancelled, cleaning.is_clean ? "" : cleaning.left_behind);
  }
  if (!result) {
    co_return fail(ErrorKind::timeout,
                   fmt::format("the run took longer than {}", format_duration(request.time_max)),
                   "Raise it with --timeout.", "E0440");
  }
  if (!*result) co_return *result;
  (*result)->is_clean = cleaning.is_clean;
  (*result)->left_behind = cleaning.left_behind;
  co_return *result;
}

}  // namespace muster
