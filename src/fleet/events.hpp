#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "fleet/config.hpp"
#include "fleet/instance.hpp"
#include "fleet/job.hpp"
#include "fleet/market.hpp"
#include "fleet/planner.hpp"

namespace muster {

/// How a job stands at its CI server.
enum class CiJobState {
  queued,     ///< Waits to be claimed.
  claimed,    ///< Ours, by a lease.
  cancelled,  ///< Is to end, or need not begin.
  finished,   ///< Has ended there.
};

/// A job as its CI server has it.
struct CiJob {
  std::string id;  ///< Of one attempt: a job that is run again has another.
  std::vector<std::string> labels;
  std::string repository;
  int priority = 0;
  TimePoint queued_at{};
  Duration time_max{};
  CiJobState state = CiJobState::queued;
  LeaseId lease;        ///< Of a claimed one.
  InstanceId instance;  ///< Of a claimed one, where the CI server keeps it.
  std::string reason;   ///< Of a cancelled one, for people; may be empty.
};

/// An instance as the cloud has it.
struct SeenInstance {
  enum class State { pending, running, ending, stopping, stopped };

  InstanceId id;
  State state = State::pending;
  std::string reason;  ///< Of its end.
  IntentId intent;
  PoolName pool;
  std::string size;
  Offering offering;
  std::string address;
  bool is_protected = false;
  TimePoint launched_at{};
};

/// What a CI server has for us: all of it. Asked before `asked_at` means: not known then.
struct JobsListed {
  std::string source;
  std::vector<CiJob> jobs;
  TimePoint asked_at{};
};

/// News of some jobs, which may be late, or wrong by now: a listing is the truth.
struct JobsTold {
  std::string source;
  std::vector<CiJob> jobs;
};

/// What became of a launch. With an error: no more will come of it, and the error says why.
struct LaunchAnswered {
  IntentId intent;
  std::vector<SeenInstance> instances;
  std::vector<std::pair<Offering, Error>> refusals;
  std::optional<Error> error;
};

/// Every instance of the cluster: all pages.
struct InstancesListed {
  std::vector<SeenInstance> instances;
  TimePoint asked_at{};
};

/// The machine was reached and is fit for a job. `is_used`: a job has been there that nobody knows.
struct MachineReady {
  InstanceId instance;
  std::string host_keys;
  bool is_used = false;
};

/// The machine answered.
struct MachineSeen {
  InstanceId instance;
};

/// The machine will not do: another one answers there, or it cannot be made ready.
struct MachineUnfit {
  InstanceId instance;
  std::string why;
  bool is_leftover = false;  ///< Its job, which nobody claims, has ended.
};

/// The CI server has given us the job.
struct LeaseAccepted {
  LeaseId lease;
};

/// The job is about to be started on the machine; said again, only now: it had not been.
struct LeaseStarting {
  LeaseId lease;
};

/// The job was not started, and will not be by this lease.
struct LeaseGivenBack {
  LeaseId lease;
  std::string why;
  bool is_job_gone = false;  ///< The CI server has it no more.
};

/// The job has ended on the machine, or with it.
struct LeaseFinished {
  LeaseId lease;
  JobOutcome outcome = JobOutcome::passed;
  int exit_code = 0;
  std::string why;
};

/// The CI server knows how the lease ended.
struct LeaseReported {
  LeaseId lease;
};

/// The cloud took the order to end these.
struct TerminateAccepted {
  std::vector<InstanceId> instances;
};

/// The cloud refused to stop or start an instance.
struct PowerRefused {
  InstanceId instance;
  Error error;
};

/// What a pool can be launched from.
struct PoolResolved {
  PoolName pool;
  PoolOffers offers;
};

/// A spot instance is about to be taken back.
struct InterruptionNoticed {
  InstanceId instance;
  TimePoint ends_at{};  ///< When the cloud takes it, or the drill does.
  std::string by{};     ///< Whose drill it is; empty: none.
};

struct ConfigReplaced {
  Config config;
};

/// A person pauses, drains or resumes a pool.
struct PoolOrdered {
  PoolName pool;
  PoolMode mode = PoolMode::open;
  std::string by;
  std::string why;
};

/// What a person wants of an instance.
enum class InstanceOrder {
  drained,     ///< It takes no further job, and ends when it has none.
  terminated,  ///< It ends now; a job that runs there is lost.
  taken_back,  ///< The same at the end of a drill, as when the cloud takes a spot instance back.
  protected_,  ///< It is never ended for want of jobs.
  unprotected,
};

/// What was done, for people: `drained`
[[nodiscard]] std::string to_string(InstanceOrder order);

struct InstanceOrdered {
  InstanceId instance;
  InstanceOrder order = InstanceOrder::drained;
  std::string by;
};

/// Why the cloud has not answered a launch yet.
struct LaunchTrouble {
  IntentId intent;
  Error error;
};

/// Why there is no way into a machine that is coming, for people.
struct MachineTrouble {
  InstanceId instance;
  std::string what;
};

using FleetEvent =
    std::variant<JobsListed, JobsTold, LaunchAnswered, InstancesListed, MachineReady, MachineSeen,
                 MachineUnfit, LeaseAccepted, LeaseStarting, LeaseGivenBack, LeaseFinished,
                 LeaseReported, TerminateAccepted, PowerRefused, PoolResolved, InterruptionNoticed,
                 ConfigReplaced, PoolOrdered, InstanceOrdered, MachineTrouble, LaunchTrouble>;

}  // namespace muster
