#pragma once

#include <string>

#include "base/log.hpp"
#include "base/task.hpp"
#include "ports/ci_server.hpp"
#include "ports/clock.hpp"
#include "ports/machine.hpp"
#include "ports/store.hpp"
#include "service/remote_step.hpp"
#include "service/run_observer.hpp"

namespace muster {

/// What running a pipeline for a job needs; all of it outlives the run.
struct StageWorkParts {
  Executor executor;
  Machine& machine;
  ContainersConnector& containers;
  RunStore& runs;
  Clock& clock;
  RunObserver& observer;
  RemoteStep::FindEnd find_end;
  const Log& log;
  bool is_used = false;  ///< Another job was on the machine: what it left there is removed first.
  Duration patience;     ///< With a machine that does not answer while a step runs.
};

/// Runs the pipeline of a work order on a machine, going on where an earlier part of the same
/// lease was. `marker` is a folder that says on the machine that a job was there.
/// Errors: unavailable (the machine was lost), corrupt (the order cannot be read).
Task<Result<JobResult>> run_stage_work(StageWorkParts parts, LeaseId lease, std::string marker,
                                       WorkOrder order);

}  // namespace muster
