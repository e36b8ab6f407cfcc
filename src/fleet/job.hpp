#pragma once

#include <string>
#include <vector>

#include "base/strong.hpp"
#include "base/time.hpp"
#include "fleet/states.hpp"

namespace muster {

/// How a job ended.
enum class JobOutcome {
  none,       ///< It has not.
  passed,     ///< Exit code 0.
  failed,     ///< Another one.
  cancelled,  ///< Its CI server or a person wanted it to end.
  timed_out,  ///< It took longer than it may.
  lost,       ///< Its machine went away under it, or could not be used.
};

/// `passed`, `failed`, …
[[nodiscard]] std::string to_string(JobOutcome outcome);

/// One unit of work that a CI server wants run once, on one machine.
struct Job {
  JobId id;
  std::string source;               ///< The CI server's name.
  std::vector<std::string> labels;  ///< Sorted, each once.
  std::string repository;
  std::string tenant;  ///< Whose fair share it counts towards.
  int priority = 0;
  TimePoint queued_at{};
  Duration time_max{};  ///< Of its run; 0: the pool's.
  JobState state = JobState::queued;
  LeaseId lease;  ///< Of a job that is leased or running.
  int lease_count = 0;
  InstanceId instance;     ///< Of its last lease.
  TimePoint started_at{};  ///< When that one began to run.
  JobOutcome outcome = JobOutcome::none;
  int exit_code = 0;
  std::string reason;  ///< Why it ended as it did, for people.
  TimePoint changed_at{};
  int absence_count = 0;  ///< Complete listings in a row without it.
};

/// The binding of one job to one instance.
struct Lease {
  LeaseId id;
  JobId job;
  InstanceId instance;
  LeaseState state = LeaseState::held;
  TimePoint created_at{};
  TimePoint started_at{};
  JobOutcome outcome = JobOutcome::none;
  int exit_code = 0;
  std::string reason;
  bool is_cancelled = false;  ///< The CI server wants the job to end.
  // What only this process needs to know.
  bool is_restored =
      false;  ///< From the store, which may be old; its CI server has not confirmed it.
};

}  // namespace muster
