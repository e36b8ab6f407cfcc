#include <fmt/format.h>

#include <algorithm>

#include "base/race.hpp"
#include "base/shell.hpp"
#include "service/machine_keeper.hpp"
#include "service/persist.hpp"
#include "service/remote_step.hpp"
#include "service/stage_work.hpp"

// A job on a machine: claimed once, started once, followed to its end.

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kPauseAtFirst = 100ms;
constexpr Duration kPatience = 2min;          // With a machine that does not answer.
constexpr Duration kClaimTimeMax = 2min;      // With a CI server that does not.
constexpr Duration kAnswerTimeMax = 30s;      // Of one call.
constexpr Duration kListingsTimeMax = 10min;  // For the CI servers to say whose jobs are whose.
constexpr Duration kWindEvery = 2min;         // While a job runs.
constexpr Duration kAfterLimit = 10min;       // What the timer has beyond the job's limit.
constexpr Duration kCatchUp = 1min;           // To read what ended while nobody watched.

}  // namespace

Duration MachineKeeper::time_limit(const Lease& lease) const {
  const Job* job = loop_.fleet().find(lease.job);
  const bool has_own = job != nullptr && job->time_max > Duration{};
  return has_own ? job->time_max : loop_.options().job_time_max;
}

Task<std::optional<Error>> MachineKeeper::find_end() {
  if (is_needed()) co_return std::nullopt;
  co_return fail(ErrorKind::unavailable, "its instance has ended", "", "E0424").value();
}

Task<> MachineKeeper::work() {
  const LeaseId lease = instance()->lease;
  Task<std::optional<WorkOrder>> obtaining = obtain(lease);
  std::optional<WorkOrder> order = co_await std::move(obtaining);
  if (!order) co_return;
  const Lease* held = loop_.fleet().find(lease);
  if (held == nullptr || held->state == LeaseState::reported) co_return;
  bool has_job_begun = false;
  if (held->state == LeaseState::accepted) {
    if (held->is_cancelled) {
      Task<> telling = loop_.submit(LeaseFinished{lease, JobOutcome::cancelled, 0, held->reason});
      co_await std::move(telling);
      co_return;
    }
    // From the moment at which this is committed, it may have been started.
    Task<> telling = loop_.submit(LeaseStarting{lease});
    co_await std::move(telling);
  } else {
    Task<bool> looking = has_begun(lease);
    has_job_begun = co_await std::move(looking);
    held = loop_.fleet().find(lease);
    if (held == nullptr || held->state != LeaseState::started) co_return;
    // Its limit does not run while nobody could start it.
    FleetEvent told = LeaseStarting{lease};
    if (held->is_cancelled) told = LeaseFinished{lease, JobOutcome::cancelled, 0, held->reason};
    if (!has_job_begun) {
      Task<> telling = loop_.submit(std::move(told));
      co_await std::move(telling);
    }
  }
  held = loop_.fleet().find(lease);
  if (held == nullptr || held->state != LeaseState::started) co_return;
  const Duration limit = time_limit(*held);
  Duration rest = limit;
  if (has_job_begun) {
    rest -= loop_.parts().clock.now() - held->started_at;
    rest = std::max(rest, std::min(limit, kCatchUp));
  }
  std::optional<JobResult> result;
  Task<> working = [](MachineKeeper* self, LeaseId id, WorkOrder todo,
                      std::optional<JobResult>* to) -> Task<> {
    Task<Result<JobResult>> carrying = self->carry_out(std::move(id), std::move(todo));
    Result<JobResult> done = co_await std::move(carrying);
    *to = done ? *done : JobResult{JobOutcome::lost, 0, done.error().describe()};
  }(this, lease, std::move(*order), &result);
  Task<> ending = watch_end(lease, rest, &result);
  co_await race(std::move(working), std::move(ending));
  // Wound for the whole job: an idle machine gets less.
  wound_at_ = TimePoint{};
  held = loop_.fleet().find(lease);
  if (held == nullptr || !result) co_return;
  Task<> telling =
      loop_.submit(LeaseFinished{lease, result->outcome, result->exit_code, result->reason});
  co_await std::move(telling);
}

/// Whether the job was started on the machine, by an earlier process for one. A machine that cannot
/// be asked is taken to have it.
Task<bool> MachineKeeper::has_begun(LeaseId lease) {
  ExecRequest request;
  request.command =
      fmt::format("[ -d {}/started ] && exit 7; exit 0", shell_quote(job_folder(lease)));
  Task<Result<ExecResult>> asking = persist<ExecResult>(
      loop_.parts().clock, kPatience, [this, &request]() -> Task<Result<ExecResult>> {
        Task<Result<ExecResult>> running = machine_->run(request);
        return with_deadline(loop_.parts().clock, kAnswerTimeMax, std::move(running));
      });
  const Result<ExecResult> asked = co_await std::move(asking);
  co_return !asked || asked->exit.code != 0;
}

/// Reaches the machine, and has the job from its CI server. Nothing: the lease is over.
Task<std::optional<WorkOrder>> MachineKeeper::obtain(LeaseId lease) {
  const Duration began = loop_.parts().clock.monotonic();
  Duration wait = kPauseAtFirst;
  while (true) {
    const Lease* held = loop_.fleet().find(lease);
    if (held == nullptr || held->state == LeaseState::reported || !is_needed()) {
      co_return std::nullopt;
    }
    const bool may_have_started = held->state == LeaseState::started;
    const Duration limit = time_limit(*held) + kAfterLimit;
    if (may_have_started) {
      // Nobody has to reach its machine for that.
      std::optional<FleetEvent> end;
      const bool was_tried = loop_.parts().clock.monotonic() - began > kPatience;
      if (held->is_cancelled) {
        end = LeaseFinished{lease, JobOutcome::cancelled, 0, held->reason};
      } else if (was_tried && loop_.parts().clock.now() - held->started_at > limit) {
        end = LeaseFinished{lease, JobOutcome::timed_out, 0,
                            fmt::format("took longer than {}, and its machine cannot be reached",
                                        format_duration(time_limit(*held)))};
      }
      if (end) {
        Task<> telling = loop_.submit(std::move(*end));
        co_await std::move(telling);
        co_return std::nullopt;
      }
    }
    Status ready;
    if (!machine_) {
      Task<Status> connecting = connect();
      ready = co_await std::move(connecting);
    }
    if (ready) {
      // Health, and a timer that outlives the job even if nobody winds it again.
      Task<Status> winding = wind(limit);
      ready = co_await std::move(winding);
    }
    if (ready) {
      Task<Result<WorkOrder>> claiming = claim(lease);
      Result<WorkOrder> order = co_await std::move(claiming);
      if (order) co_return std::move(*order);
      if (held = loop_.fleet().find(lease); held != nullptr && held->is_restored) {
        Task<> waiting = hear_claims(lease);
        co_await std::move(waiting);
      }
      const ErrorKind kind = order.error().kind;
      const bool is_gone = kind == ErrorKind::conflict || kind == ErrorKind::not_found;
      FleetEvent told = LeaseGivenBack{lease, order.error().describe(), is_gone};
      if (kind == ErrorKind::invalid_input) {
        // What it is to run cannot be read: another machine could not either.
        told = LeaseFinished{lease, JobOutcome::failed, 1, order.error().describe()};
      } else if (may_have_started) {
        told = LeaseFinished{lease, JobOutcome::cancelled, 0,
                             "its CI server says: " + order.error().describe()};
      }
      Task<> telling = loop_.submit(std::move(told));
      co_await std::move(telling);
      co_return std::nullopt;
    }
    machine_.reset();
    const Duration patience = may_have_started ? limit : kPatience / 4;
    const bool is_over = ready.error().code == "HostKeyMismatch" ||
                         loop_.parts().clock.monotonic() - began > patience;
    if (is_over) {
      Task<> telling = loop_.submit(MachineUnfit{id_, ready.error().describe()});
      co_await std::move(telling);
      co_return std::nullopt;
    }
    co_await loop_.parts().clock.sleep(wait);
    wait = std::min<Duration>(wait * 2, 5s);
  }
}

/// Where the store is old, another job may run here: the listings of the CI servers say.
Task<> MachineKeeper::hear_claims(LeaseId lease) {
  const Duration until = loop_.parts().clock.monotonic() + kListingsTimeMax;
  while (!loop_.has_listed_sources() && loop_.parts().clock.monotonic() < until) {
    const Lease* held = loop_.fleet().find(lease);
    const bool is_over = held == nullptr || held->state == LeaseState::reported;
    if (is_over || held->is_cancelled || !is_needed()) co_return;
    Task<> waiting = pause(10s);
    co_await std::move(waiting);
  }
}

/// What it is to run. A claim that was made before a crash is made again, with the same answer.
Task<Result<WorkOrder>> MachineKeeper::claim(LeaseId lease) {
  const Lease* held = loop_.fleet().find(lease);
  const Job* job = held == nullptr ? nullptr : loop_.fleet().find(held->job);
  CiServer* server = job == nullptr ? nullptr : loop_.source(job->source);
  if (server == nullptr) co_return fail(ErrorKind::not_found, "its CI server is not configured");
  const std::string ci_id = ci_id_of(*job);
  const Duration began = loop_.parts().clock.monotonic();
  Duration wait = 200ms;
  while (true) {
    Task<Result<WorkOrder>> asking = server->claim(ci_id, lease, id_);
    Task<Result<WorkOrder>> bounded =
        with_deadline(loop_.parts().clock, kAnswerTimeMax, std::move(asking));
    Result<WorkOrder> order = co_await std::move(bounded);
    if (order) {
      Task<> telling = loop_.submit(LeaseAccepted{lease});
      co_await std::move(telling);
      co_return order;
    }
    held = loop_.fleet().find(lease);
    const bool is_over = held == nullptr || held->state == LeaseState::reported || !is_needed();
    // What has begun is not given up because nobody answers.
    const bool may_wait = !is_over && (held->state == LeaseState::started ||
                                       loop_.parts().clock.monotonic() - began < kClaimTimeMax);
    // An answer that cannot be read may have been a yes: it is asked for again.
    const bool may_help =
        is_retryable(order.error().kind) || order.error().kind == ErrorKind::corrupt;
    if (!may_help || !may_wait) co_return order;
    co_await loop_.parts().clock.sleep(wait);
    wait = std::min<Duration>(wait * 2, 10s);
  }
}

Task<> MachineKeeper::watch_end(LeaseId lease, Duration time_max, std::optional<JobResult>* end) {
  const Duration until = loop_.parts().clock.monotonic() + time_max;
  while (true) {
    const Lease* held = loop_.fleet().find(lease);
    if (held == nullptr || held->state == LeaseState::reported) co_return;
    if (*end) co_return;  // Its own end came first.
    if (held->is_cancelled) {
      *end = JobResult{JobOutcome::cancelled, 0, held->reason};
      co_return;
    }
    const Duration rest = until - loop_.parts().clock.monotonic();
    if (rest <= Duration{}) {
      *end = JobResult{JobOutcome::timed_out, 0,
                       fmt::format("took longer than {}", format_duration(time_limit(*held)))};
      co_return;
    }
    Task<> waiting = pause(std::min(rest, kWindEvery));
    co_await std::move(waiting);
    if (loop_.parts().clock.now() - wound_at_ < kWindEvery || !is_needed()) continue;
    // Also a sign of life: a listing without it counts for nothing while it answers.
    Task<Status> winding = wind(until - loop_.parts().clock.monotonic() + kAfterLimit);
    static_cast<void>(co_await std::move(winding));
  }
}

Task<Result<JobResult>> MachineKeeper::carry_out(LeaseId lease, WorkOrder order) {
  Task<Result<JobResult>> running = order.kind == WorkOrder::Kind::script
                                        ? run_script(lease, std::move(order))
                                        : run_stage(lease, std::move(order));
  co_return co_await std::move(running);
}

/// A cut connection ends no job: its time limit and the end of its instance do.
Duration MachineKeeper::lease_patience(const LeaseId& lease) const {
  return time_limit(*loop_.fleet().find(lease)) + kAfterLimit;
}

Task<Result<JobResult>> MachineKeeper::run_script(LeaseId lease, WorkOrder order) {
  const Job job = *loop_.fleet().find(loop_.fleet().find(lease)->job);
  const std::unique_ptr<RunObserver> observer = loop_.parts().output.open(job, lease);
  RunObserver* out = observer.get();
  RemoteStep step(*machine_, loop_.parts().clock, job_folder(lease));
  const Duration patience = lease_patience(lease);
  Task<Status> starting = step.start(order.body.reveal(), patience);
  const Status started = co_await std::move(starting);
  if (!started) co_return tl::unexpected<Error>(started.error());
  out->step_started("script");
  const auto write = [out](std::string_view bytes) { out->step_output("script", bytes); };
  const auto note = [this](const Error& error) {
    loop_.parts().log.warn("job_out_of_reach", {{"instance", id_}, {"error", error.message}});
  };
  Task<Result<int>> following =
      step.follow(0, write, patience, note, [this] { return find_end(); });
  const Result<int> code = co_await std::move(following);
  if (!code) co_return tl::unexpected<Error>(code.error());
  StepResult result;
  result.outcome = *code == 0 ? StepOutcome::passed : StepOutcome::failed;
  result.exit_code = *code;
  out->step_finished("script", result);
  co_return JobResult{*code == 0 ? JobOutcome::passed : JobOutcome::failed, *code, ""};
}

Task<Result<JobResult>> MachineKeeper::run_stage(LeaseId lease, WorkOrder order) {
  const Job job = *loop_.fleet().find(loop_.fleet().find(lease)->job);
  const std::unique_ptr<RunObserver> observer = loop_.parts().output.open(job, lease);
  Task<Result<JobResult>> running =
      run_stage_work({loop_.executor_, *machine_, loop_.parts().containers, loop_.parts().runs,
                      loop_.parts().clock, *observer, [this] { return find_end(); },
                      loop_.parts().log, instance()->job_count > 1, lease_patience(lease)},
                     lease, job_folder(lease), std::move(order));
  co_return co_await std::move(running);
}

}  // namespace muster
