#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "fleet/events.hpp"

namespace muster {

/// What is to be run on the machine for a job.
struct WorkOrder {
  enum class Kind {
    script,  ///< A POSIX script.
    stage,   ///< A compiled pipeline (muster.stage/1).
  };
  Kind kind = Kind::script;
  Secret body;
  std::string bundle;         ///< A git bundle of the repository, for a stage; may be empty.
  std::string bundle_ref;     ///< A ref that the bundle does not have.
  std::string bundle_commit;  ///< What that ref names.
};

/// How a job ended, as its CI server is told.
struct JobResult {
  JobOutcome outcome = JobOutcome::passed;
  int exit_code = 0;
  std::string reason;
};

/// What a CI server tells between two listings.
struct CiNews {
  std::vector<CiJob> jobs;     ///< That are new or were ended there.
  bool needs_listing = false;  ///< There may be more than that.
};

/// Where jobs come from. Every call may be repeated with the same lease, and then does nothing
/// more and answers the same: what was asked for before a crash is asked for again after it.
/// Errors of all: unavailable, timeout, throttled (ask again); those named (an answer).
class CiServer {
 public:
  virtual ~CiServer() = default;
  /// Of one word; the first part of its jobs' ids.
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// Every job that is for us: all that wait, and all that are claimed and not long ended.
  virtual Task<Result<std::vector<CiJob>>> list_jobs() = 0;
  /// Ends when there may be news since the last listing began, or since the last news, at the
  /// latest after `time_max`. A hint: what is true, the listing says.
  virtual Task<CiNews> wait_for_news(Duration time_max) = 0;
  /// Takes the job for this lease. Errors: conflict, not_found (it is not to be had any more),
  /// invalid_input (what it is to run cannot be read, and never will be).
  virtual Task<Result<WorkOrder>> claim(std::string job, LeaseId lease, InstanceId instance) = 0;
  /// The job was not started, and waits again. One that is not claimed by the lease is left alone.
  virtual Task<Status> give_back(std::string job, LeaseId lease) = 0;
  /// Tells how it ended. Errors: conflict, not_found (it is not ours any more).
  virtual Task<Status> finish(std::string job, LeaseId lease, JobResult result) = 0;
};

}  // namespace muster
