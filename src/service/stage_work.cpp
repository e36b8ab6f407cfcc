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

/// Ends what the stage has left running and removes what it has left lying: its containers, its
/// network and volumes, processes that know its folder, and the folder. False: something may be
/// left.
Task<bool> clean(StageWorkParts parts, const pipeline::Stage* stage) {
  std::string volumes;
  for (const pipeline::Volume& volume : stage->volumes) volumes += " " + shell_quote(volume.name);
  ExecRequest request;
  request.command = fmt::format(
      "exec > /dev/null; r={0}; n={1}; left=0; "
      "if command -v docker; then "
      "for c in $(docker ps -aq --filter \"name=$n-\"); do "
      "docker rm -fv \"$c\" || left=1; done; "
      "for v in{2}; do docker volume rm \"$v\" 2>&1; done; docker network rm \"$n\" 2>&1; fi; "
      "for p in $(grep -lsF \"$r/\" /proc/[0-9]*/environ | cut -d/ -f3); do kill -9 \"$p\"; done; "
      "rm -rf \"$r\" 2>&1 || sudo -n rm -rf \"$r\" || left=1; exit $left",
      shell_quote(stage->root), shell_quote(stage->network), volumes);
  Task<Result<ExecResult>> running = parts.machine.run(std::move(request));
  Task<Result<ExecResult>> bounded = with_deadline(parts.clock, kCleanTimeMax, std::move(running));
  const Result<ExecResult> cleaned = co_await std::move(bounded);
  if (cleaned && cleaned->exit.code == 0) co_return true;
  parts.log.warn(
      "machine_not_clean",
      {{"folder", stage->root}, {"error", cleaned ? cleaned->err : cleaned.error().message}});
  co_return false;
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
  Task<Result<StageResult>> running = runner.run(*stage, std::move(*before));
  const Result<StageResult> ended = co_await std::move(running);
  if (!ended) co_return tl::unexpected<Error>(ended.error());
  JobResult result = result_of(*ended);
  if (parts.cleans) {
    Task<bool> cleaning = clean(parts, &*stage);
    result.is_clean = co_await std::move(cleaning);
  }
  co_return result;
}

}  // namespace muster
