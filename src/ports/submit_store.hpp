#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "fleet/events.hpp"

namespace muster {

/// A pipeline that a person has submitted.
struct SubmittedJob {
  std::string id;
  CiJobState state = CiJobState::queued;
  std::vector<std::string> labels;
  std::string repository;
  int priority = 0;
  Duration time_max{};
  std::string sealed;  ///< What is to be run, encrypted: it holds secrets.
  TimePoint created_at{};
  LeaseId lease;
  InstanceId instance;
  JobOutcome outcome = JobOutcome::none;
  int exit_code = 0;
  std::string reason;
  TimePoint ended_at{};
};

/// The queue of `muster submit`, shared by the command and the daemon. Errors: unavailable,
/// corrupt; those named.
class SubmitStore {
 public:
  virtual ~SubmitStore() = default;
  virtual Task<Status> add_submitted(SubmittedJob job) = 0;
  /// Those that have not ended, and those that ended after `since`; without what is sealed.
  virtual Task<Result<std::vector<SubmittedJob>>> list_submitted(TimePoint since) = 0;
  /// Errors: not_found.
  virtual Task<Result<SubmittedJob>> find_submitted(std::string id) = 0;
  /// Gives it to the lease if it waits, or has it already. Errors: conflict, not_found.
  virtual Task<Status> claim_submitted(std::string id, LeaseId lease, InstanceId instance) = 0;
  /// Lets it wait again, if the lease has it.
  virtual Task<Status> give_back_submitted(std::string id, LeaseId lease) = 0;
  /// Ends it, if the lease has it, and drops what was sealed. Errors: conflict.
  virtual Task<Status> finish_submitted(SubmittedJob ended) = 0;
  /// It need not begin, or is to end; one that was ended already stays as it is. Errors: not_found.
  virtual Task<Status> cancel_submitted(std::string id, std::string why, TimePoint now) = 0;
  /// Ends one that is cancelled and that no lease runs.
  virtual Task<Status> settle_cancelled(std::string id, TimePoint now) = 0;
  /// A number that changes when another process has written.
  virtual Task<Result<long>> submit_version() = 0;
};

}  // namespace muster
