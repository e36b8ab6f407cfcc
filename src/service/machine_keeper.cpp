#include "service/machine_keeper.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "service/boot_data.hpp"
#include "service/machine_identity.hpp"
#include "service/run_record.hpp"
#include "wire/console.hpp"

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kConnectTimeMax = 5s;
constexpr Duration kKnockTimeMax = 2s;  // TCP asks a second time after one second.
constexpr Duration kCommandTimeMax = 20s;
constexpr Duration kPauseMin = 30ms;
constexpr Duration kPauseMax = 1s;
constexpr int kFailuresMax = 3;  // In a row; then the machine is not fit to rest.
constexpr const char* kJobFolders = "/tmp/muster-lea-*";

/// Gives the machine its own key in place of the launch's, and says whether a job has been there.
/// The old key's line goes only when the new one is on disk.
std::string fit_command(const std::string& user_key, const IntentId& intent) {
  return fmt::format(
      "umask 077; f=$HOME/.ssh/authorized_keys; k={0}; "
      "grep -qxF \"$k\" \"$f\" || echo \"$k\" >> \"$f\" || exit 8; "
      "if grep -q {1} \"$f\"; then grep -v {1} \"$f\" > \"$f.new\" && cat \"$f.new\" > \"$f\"; "
      "rm -f \"$f.new\"; fi; "
      "for d in {2}; do [ -d \"$d/started\" ] && exit 7; done; exit 0",
      shell_quote(user_key), shell_quote("muster:" + intent.value() + "$"), kJobFolders);
}

}  // namespace

std::string job_folder(const LeaseId& lease) { return "/tmp/muster-" + lease.value(); }

MachineKeeper::MachineKeeper(ControlLoop& loop, InstanceId id, Event& changed)
    : loop_(loop), id_(std::move(id)), changed_(changed) {}

bool MachineKeeper::is_needed(InstancePhase phase) {
  switch (phase) {
    case InstancePhase::pending:
    case InstancePhase::booting:
    case InstancePhase::idle:
    case InstancePhase::busy:
    case InstancePhase::draining: return true;
    default: return false;
  }
}

bool MachineKeeper::is_needed() const {
  const Instance* at = instance();
  return at != nullptr && is_needed(at->phase);
}

/// Of one that is no more in the configuration, the usual way in is tried.
const Pool* MachineKeeper::pool() const {
  static const Pool kUsual;
  const Instance* at = instance();
  if (at == nullptr) return nullptr;
  const Pool* of = loop_.controller().find_pool(at->pool);
  return of == nullptr ? &kUsual : of;
}

Task<> MachineKeeper::pause(Duration time_max) {
  Task<> waiting = loop_.parts().clock.wait(changed_, time_max);
  co_await std::move(waiting);
}

Task<> MachineKeeper::run() {
  while (true) {
    Task<> storing = loop_.wait_committed();
    co_await std::move(storing);
    if (!is_needed()) break;
    const InstancePhase phase = instance()->phase;
    Task<> step = phase == InstancePhase::busy       ? work()
                  : phase == InstancePhase::idle     ? rest()
                  : phase == InstancePhase::draining ? watch_leftover()
                                                     : bring_up();
    co_await std::move(step);
  }
  if (!machine_) co_return;
  Task<> closing = machine_->close();
  Task<Result<void>> done = [](Task<> inner) -> Task<Result<void>> {
    co_await std::move(inner);
    co_return Result<void>();
  }(std::move(closing));
  Task<Result<void>> bounded = with_deadline(loop_.parts().clock, 1s, std::move(done));
  static_cast<void>(co_await std::move(bounded));
}

/// One attempt: where no host keys are known the console is read, then the way in.
Task<Status> MachineKeeper::connect() {
  const Instance* at = instance();
  const Pool* of = pool();
  if (at == nullptr || of == nullptr) co_return fail(ErrorKind::not_found, "its pool is gone");
  MachineTarget target;
  target.address = at->address;
  target.port = of->ssh.port;
  target.user = of->ssh.user;
  target.host_keys = read_host_keys(at->host_keys);
  const IntentId intent = at->intent;
  // It keeps its place among many that wait for the call budget.
  const Duration wait_max = of->boot_timeout;
  // Its own key is tried first once it has one; before that the launch's.
  const bool has_own = !at->host_keys.empty() || at->is_adopted;
  if (target.address.empty()) co_return fail(ErrorKind::unavailable, "it has no address yet");
  if (target.host_keys.empty()) {
    Task<Status> knocking =
        loop_.parts().connector.knock(target.address, target.port, kKnockTimeMax);
    const Status knocked = co_await std::move(knocking);
    if (!knocked) co_return knocked;
    Task<Result<std::string>> reading = loop_.parts().control.console_output(id_);
    Task<Result<std::string>> bounded =
        with_deadline(loop_.parts().clock, wait_max, std::move(reading));
    const Result<std::string> console = co_await std::move(bounded);
    if (!console) co_return tl::unexpected<Error>(console.error());
    target.host_keys = wire::parse_console_host_keys(*console);
  }
  if (target.host_keys.empty()) {
    co_return fail(ErrorKind::unavailable, "no host keys on the console yet");
  }
  host_keys_ = write_host_keys(target.host_keys);
  const MakeKey& make = loop_.options().make_key;
  if (!own_key_) own_key_ = machine_key(make, intent, id_);
  // Both: the machine is given its own key meanwhile, and the connection may be made again.
  target.private_keys = {own_key_->private_key, launch_key(make, intent).private_key};
  if (!has_own) std::swap(target.private_keys.front(), target.private_keys.back());
  Task<Result<std::unique_ptr<Machine>>> connecting =
      loop_.parts().connector.connect(target, kConnectTimeMax);
  Result<std::unique_ptr<Machine>> reached = co_await std::move(connecting);
  if (!reached) co_return tl::unexpected<Error>(reached.error());
  machine_ = std::move(*reached);
  co_return Status();
}

/// Whether a job has been there.
Task<Result<bool>> MachineKeeper::make_fit() {
  const Instance* at = instance();
  const Pool* of = pool();
  if (at == nullptr || of == nullptr) co_return fail(ErrorKind::not_found, "its pool is gone");
  ExecRequest request;
  request.command = fit_command(own_key_->public_line, at->intent);
  const Duration dead_man = of->dead_man;
  Task<Result<ExecResult>> running = machine_->run(std::move(request));
  Task<Result<ExecResult>> bounded =
      with_deadline(loop_.parts().clock, kCommandTimeMax, std::move(running));
  const Result<ExecResult> result = co_await std::move(bounded);
  if (!result) co_return tl::unexpected<Error>(result.error());
  const bool is_used = result->exit.code == 7;
  if (result->exit.code != 0 && !is_used) {
    co_return fail(ErrorKind::conflict,
                   fmt::format("it cannot be given its key: {}", result->err.substr(0, 200)));
  }
  // A job that is there may have set it further.
  Task<Status> winding = wind(is_used ? loop_.options().job_time_max + dead_man : dead_man);
  const Status wound = co_await std::move(winding);
  if (!wound) co_return tl::unexpected<Error>(wound.error());
  co_return is_used;
}

Task<Status> MachineKeeper::wind(Duration dead_man) {
  ExecRequest request;
  request.command = extend_dead_man_command(dead_man);
  Task<Result<ExecResult>> running = machine_->run(std::move(request));
  Task<Result<ExecResult>> bounded =
      with_deadline(loop_.parts().clock, kCommandTimeMax, std::move(running));
  const Result<ExecResult> result = co_await std::move(bounded);
  if (!result) co_return tl::unexpected<Error>(result.error());
  if (result->exit.code != 0) {
    co_return fail(ErrorKind::conflict,
                   "its dead-man timer cannot be set: the user needs password-less sudo for "
                   "shutdown");
  }
  wound_at_ = loop_.parts().clock.now();
  loop_.post(MachineSeen{id_});
  co_return Status();
}

Task<> MachineKeeper::bring_up() {
  Duration wait = kPauseMin;
  while (is_needed()) {
    const InstancePhase phase = instance()->phase;
    if (phase != InstancePhase::pending && phase != InstancePhase::booting) co_return;
    Status reached;
    if (!machine_) {
      Task<Status> connecting = connect();
      reached = co_await std::move(connecting);
    }
    Result<bool> is_used = fail(ErrorKind::unavailable, "");
    if (reached) {
      Task<Result<bool>> fitting = make_fit();
      is_used = co_await std::move(fitting);
      if (!is_used) reached = tl::unexpected<Error>(is_used.error());
    }
    if (reached) {
      // Who claims the job that was there, only the CI servers can say.
      if (*is_used && !loop_.has_listed_sources()) {
        Task<> waiting = pause(10s);
        co_await std::move(waiting);
        continue;
      }
      Task<> telling = loop_.submit(MachineReady{id_, host_keys_, *is_used});
      co_await std::move(telling);
      co_return;
    }
    const Error& error = reached.error();
    const bool is_final = error.code == "HostKeyMismatch" || error.kind == ErrorKind::conflict;
    if (is_final) {
      loop_.parts().log.error("machine_unfit", {{"instance_id", id_}, {"error", error.describe()}});
      Task<> telling = loop_.submit(MachineUnfit{id_, error.describe()});
      co_await std::move(telling);
      co_return;
    }
    if (std::string trouble = error.describe(); trouble != trouble_) {
      trouble_ = std::move(trouble);
      loop_.post(MachineTrouble{id_, trouble_});
    }
    if (!is_retryable(error.kind) || error.code.empty()) machine_.reset();
    // Where nobody answered, time enough has gone by.
    if (error.kind == ErrorKind::timeout) continue;
    co_await loop_.parts().clock.sleep(wait);
    wait = std::min<Duration>(wait + wait / 2, kPauseMax);
  }
}

/// Idle: keep the timer wound, and be there when a lease comes.
Task<> MachineKeeper::rest() {
  failures_ = 0;
  while (is_needed() && instance()->phase == InstancePhase::idle) {
    const Pool* of = pool();
    const Duration dead_man = of == nullptr ? Duration(10min) : of->dead_man;
    const TimePoint due = wound_at_ + dead_man / 3;
    const TimePoint now = loop_.parts().clock.now();
    if (now < due) {
      Task<> waiting = pause(due - now);
      co_await std::move(waiting);
      continue;
    }
    Status done;
    if (!machine_) {
      Task<Status> connecting = connect();
      done = co_await std::move(connecting);
    }
    if (done && instance() != nullptr && instance()->contact_at == TimePoint{}) {
      // Known from the store alone, which may be older than what the machine has seen.
      Task<Result<bool>> fitting = make_fit();
      const Result<bool> is_used = co_await std::move(fitting);
      if (is_used && *is_used && !loop_.has_listed_sources()) {
        // Who claims the job that was there, only the CI servers can say.
        Task<> waiting = pause(10s);
        co_await std::move(waiting);
        continue;
      }
      if (is_used) {
        Task<> telling = loop_.submit(MachineReady{id_, host_keys_, *is_used});
        co_await std::move(telling);
      } else {
        done = tl::unexpected<Error>(is_used.error());
      }
    } else if (done) {
      Task<Status> winding = wind(dead_man);
      done = co_await std::move(winding);
    }
    if (done) {
      failures_ = 0;
      continue;
    }
    ++failures_;
    const bool is_final = done.error().code == "HostKeyMismatch" || failures_ >= kFailuresMax;
    if (is_final) {
      Task<> telling = loop_.submit(MachineUnfit{id_, "while idle: " + done.error().describe()});
      co_await std::move(telling);
      co_return;
    }
    machine_.reset();
    Task<> waiting = pause(dead_man / 20);
    co_await std::move(waiting);
  }
}

/// A job runs there that nobody claims: it may end, then the machine does.
Task<> MachineKeeper::watch_leftover() {
  constexpr Duration kLook = 15s;
  ExecRequest request;
  request.command = fmt::format(
      "for d in {} $(cat {}/root 2> /dev/null); do for s in \"$d\" \"$d\"/steps/*; do "
      "[ -d \"$s/started\" ] && [ ! -e \"$s/exit\" ] && p=$(cat \"$s/pid\" 2> /dev/null) && "
      "kill -0 $p 2> /dev/null && exit 7; done; done; exit 0",
      kJobFolders, kJobFolders);
  int unreachable = 0;
  while (is_needed() && instance()->phase == InstancePhase::draining) {
    Status reached;
    if (!machine_) {
      Task<Status> connecting = connect();
      reached = co_await std::move(connecting);
    }
    bool has_ended = false;
    if (reached) {
      Task<Result<ExecResult>> running = machine_->run(request);
      const Result<ExecResult> result = co_await std::move(running);
      has_ended = result && result->exit.code == 0;
      if (!result) machine_.reset();
    }
    // Without word for long its own timer has ended it, or will.
    unreachable = reached ? 0 : unreachable + 1;
    if (has_ended || unreachable > 40) {
      Task<> telling =
          loop_.submit(MachineUnfit{id_, "the job that was found there has ended", true});
      co_await std::move(telling);
      co_return;
    }
    const Pool* of = pool();
    if (machine_ && of != nullptr) {
      Task<Status> winding = wind(loop_.options().job_time_max + of->dead_man);
      static_cast<void>(co_await std::move(winding));
    }
    Task<> waiting = pause(kLook);
    co_await std::move(waiting);
  }
}

}  // namespace muster
