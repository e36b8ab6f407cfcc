#pragma once

#include <memory>

#include "fleet/job.hpp"
#include "service/run_observer.hpp"

namespace muster {

/// Where the output of jobs goes.
class JobOutput {
 public:
  virtual ~JobOutput() = default;
  /// Of one job by one lease; a job that is gone on with writes what it wrote before again.
  virtual std::unique_ptr<RunObserver> open(const Job& job, const LeaseId& lease) = 0;
};

}  // namespace muster
