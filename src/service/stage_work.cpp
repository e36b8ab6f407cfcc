#include "service/stage_work.hpp"

#include <fmt/format.h>

#include "pipeline/stage.hpp"
#include "service/bundle.hpp"
#include "service/persist.hpp"
#include "service/stage_runner.hpp"
#include "wire/json.hpp"

namespace muster {
namespace {

// A store that cannot be written holds steps up; it does not end them.
constexpr Duration kStoreTime = std::chrono::hours{24};

class PatientJournal : public StoredJournal {
 public:
  PatientJournal(RunStore& runs, Clock& clock, RunId run)
      : StoredJournal(runs, std::move(run)), clock_(clock) {}
  Task<Status> note(StepRecord record) override {
    Task<Status> noting = persist<void>(clock_, kStoreTime, [this, &record]() -> Task<Status> {
      return StoredJournal::note(record);
    });
    co_return co_await std::move(noting);
  }

 private:
  Clock& clock_;
};

Result<pipeline::Stage> stage_of(const WorkOrder& order) {
  const Result<Node> document = wire::parse_json(order.body.reveal());
  if (!document) return tl::unexpected<Error>(document.error());
  return pipeline::read_stage(*document);
}

JobResult result_of(const StageResult& stage) {
  switch (stage.outcome) {
    case StageOutcome::passed: return {JobOutcome::passed, 0, ""};
    case StageOutcome::failed:
      return {JobOutcome::failed, stage.failed_code,
              fmt::format("step {} exited with {}", stage.failed_step, stage.failed_code)};
    case StageOutcome::killed: return {JobOutcome::cancelled, 0, stage.error};
    case StageOutcome::errored: break;
  }
  return {stage.is_machine_lost ? JobOutcome::lost : JobOutcome::failed, 1, stage.error};
}

constexpr Duration kCleanTimeMax = std::chrono::minutes{1};

/// Of every job before but `$r` with its containers `$n-…`: what runs is ended, what lies about is
/// removed. The marks of their leases stay. Never through a mount: what is there is not the job's.
constexpr std::string_view kClean = R"sh(exec > /dev/null
left=0
s=
if sudo -n true 2>&1; then s='sudo -n'; fi
if command -v docker; then
  for c in $(docker ps -a --format '{{.Names}}' --filter name=muster-); do
    case $c in "$n"-*) ;; muster-*) docker rm -fv "$c" || left=1 ;; esac
  done
  for v in $(docker volume ls -q --filter name=muster-); do
    case $v in "$n"-*) ;; muster-*) docker volume rm "$v" || left=1 ;; esac
  done
  for w in $(docker network ls --format '{{.Name}}' --filter name=muster-); do
    case $w in "$n") ;; muster-*) docker network rm "$w" || left=1 ;; esac
  done
fi
for d in /tmp/muster-*; do
  case $d in "$r" | /tmp/muster-lea-*) continue ;; esac
  [ -d "$d" ] || continue
  for p in $($s grep -lsF "$d/" /proc/[0-9]*/environ | cut -d/ -f3); do $s kill -9 "$p" 2>&1; done
  if grep -qF " $d/" /proc/self/mountinfo; then
    echo "a mount is left below $d" >&2
    left=1
  else
    rm -rf "$d" 2>&1 || { sleep 0.2; $s rm -rf "$d" || left=1; }
  fi
done
exit $left
)sh";

/// Removes what jobs before have left on the machine.
Task<Status> clean(StageWorkParts parts, const pipeline::Stage* stage) {
  ExecRequest request;
  request.command =
      fmt::format("r={}; n={}; {}", shell_quote(stage->root), shell_quote(stage->network), kClean);
  Task<Result<ExecResult>> cleaning = persist<ExecResult>(
      parts.clock, parts.patience, [&parts, &request]() -> Task<Result<ExecResult>> {
        Task<Result<ExecResult>> running = parts.machine.run(request);
        return with_deadline(parts.clock, kCleanTimeMax, std::move(running));
      });
  const Result<ExecResult> cleaned = co_await std::move(cleaning);
  if (!cleaned) co_return tl::unexpected<Error>(cleaned.error());
  if (cleaned->exit.code == 0) co_return Status();
  co_return fail(
      ErrorKind::unavailable,
      fmt::format("what a job before has left on the machine cannot be removed: {}", cleaned->err),
      "Let pools of such jobs use each machine once.");
}

}  // namespace

Task<Result<JobResult>> run_stage_work(StageWorkParts parts, LeaseId lease, std::string marker,
                                       WorkOrder order) {
  const RunId run(lease.value());
  Result<pipeline::Stage> stage = stage_of(order);
  if (!stage) co_return tl::unexpected<Error>(stage.error());
  Task<Result<std::vector<StepRecord>>> reading = persist<std::vector<StepRecord>>(
      parts.clock, kStoreTime, [&parts, &run] { return parts.runs.steps_of(run); });
  Result<std::vector<StepRecord>> before = co_await std::move(reading);
  if (!before) co_return tl::unexpected<Error>(before.error());
  if (parts.is_used && before->empty()) {
    Task<Status> cleaning = clean(parts, &*stage);
    const Status cleaned = co_await std::move(cleaning);
    if (!cleaned) co_return tl::unexpected<Error>(cleaned.error());
  }
  ExecRequest mark;
  // Whoever finds the machine later looks at the steps below that root.
  mark.command = fmt::format("mkdir -p {0}/started && echo {1} > {0}/root", shell_quote(marker),
                             shell_quote(stage->root));
  Task<Result<ExecResult>> marking = persist<ExecResult>(
      parts.clock, parts.patience,
      [&parts, &mark]() -> Task<Result<ExecResult>> { return parts.machine.run(mark); });
  const Result<ExecResult> marked = co_await std::move(marking);
  if (!marked) co_return tl::unexpected<Error>(marked.error());
  if (marked->exit.code != 0) {
    co_return fail(ErrorKind::unavailable,
                   fmt::format("the machine cannot note that it has a job: {}", marked->err),
                   "Is its disk full?");
  }
  Bundle bundle{std::move(order.bundle), order.bundle_ref, order.bundle_commit};
  Task<Status> unpacking =
      unpack_bundle(parts.machine, parts.clock, parts.patience, stage->root, std::move(bundle));
  const Status unpacked = co_await std::move(unpacking);
  if (!unpacked) co_return tl::unexpected<Error>(unpacked.error());
  const std::unique_ptr<Containers> containers = parts.containers.containers_of(parts.machine);
  PatientJournal journal(parts.runs, parts.clock, run);
  StageRunner runner(parts.executor, parts.machine, *containers, parts.clock, parts.observer,
                     journal, parts.find_end, parts.log, parts.patience);
  Task<Result<StageResult>> running = runner.run(std::move(*stage), std::move(*before));
  const Result<StageResult> ended = co_await std::move(running);
  if (!ended) co_return tl::unexpected<Error>(ended.error());
  co_return result_of(*ended);
}

}  // namespace muster
