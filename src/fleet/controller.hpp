#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "fleet/events.hpp"
#include "fleet/fleet.hpp"
#include "fleet/market.hpp"
#include "fleet/planner.hpp"

namespace muster {

/// Why an instance drains whose job is in nobody's listing.
inline constexpr const char* kUnclaimed = "found with a job that nobody claims";

/// The core: what is known of jobs and instances, and what follows from each event. Pure and
/// deterministic: the same events at the same moments give the same state. What must be done in
/// the world follows from the state alone (an open intent is to be launched, a terminating
/// instance to be ended, …), so that after a crash the state that was committed says all of it.
class Controller {
 public:
  Controller(Config config, std::uint64_t id_seed);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  /// Takes over what was stored, before the first event. The moments in it are `behind` those of
  /// this process: by so much was the machine's clock set forward in between.
  void restore(FleetSnapshot snapshot, TimePoint now, Duration behind = {});

  void apply(const FleetEvent& event, TimePoint now);

  /// For so long nothing could be committed, and so nobody looked after what is on its way: it has
  /// that much more time.
  void allow_for(Duration stall);

  /// Decides what follows by policy. Gives the next moment at which time alone may change it.
  std::optional<TimePoint> plan(const PlanInputs& inputs) { return planner_.plan(inputs); }

  [[nodiscard]] FleetChanges take_changes() { return fleet_.take_changes(); }
  [[nodiscard]] bool has_changes() const { return fleet_.has_changes(); }
  [[nodiscard]] const Fleet& fleet() const { return fleet_; }
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const Pool* find_pool(const PoolName& name) const;
  [[nodiscard]] const Market& market() const { return market_; }
  [[nodiscard]] const Planner& planner() const { return planner_; }

 private:
  void on(const JobsListed& event, TimePoint now);
  void on(const JobsTold& event, TimePoint now);
  void on(const LaunchAnswered& event, TimePoint now);
  void on(const InstancesListed& event, TimePoint now);
  void on(const MachineReady& event, TimePoint now);
  void on(const MachineSeen& event, TimePoint now);
  void on(const MachineUnfit& event, TimePoint now);
  void on(const LeaseAccepted& event, TimePoint now);
  void on(const LeaseStarting& event, TimePoint now);
  void on(const LeaseGivenBack& event, TimePoint now);
  void on(const LeaseFinished& event, TimePoint now);
  void on(const LeaseReported& event, TimePoint now);
  void on(const TerminateAccepted& event, TimePoint now);
  void on(const PowerRefused& event, TimePoint now);
  void on(const PoolResolved& event, TimePoint now);
  void on(const InterruptionNoticed& event, TimePoint now);
  void on(const ConfigReplaced& event, TimePoint now);
  void on(const PoolOrdered& event, TimePoint now);
  void on(const InstanceOrdered& event, TimePoint now);
  void on(const MachineTrouble& event, TimePoint now);
  void on(const LaunchTrouble& event, TimePoint now);

  // Jobs.
  void list_job(const JobId& id, const std::string& source, const CiJob& listed, TimePoint asked_at,
                TimePoint now);
  bool place_claim(const InstanceId& id, TimePoint now);
  void add_job(const JobId& id, const std::string& source, const CiJob& listed, TimePoint now);
  void claim_found(const std::string& source, const CiJob& listed, TimePoint now);
  void job_absent(const JobId& id, TimePoint asked_at, TimePoint now);
  void cancel(const Job& job, const std::string& why, TimePoint now);

  // Instances.
  void take_unanswered(const InstancesListed& event, TimePoint now);
  void see(const SeenInstance& seen, TimePoint asked_at, TimePoint now);
  void see_known(const Instance& known, const SeenInstance& seen, TimePoint now);
  void adopt(const SeenInstance& seen, TimePoint now);
  void absent(const InstanceId& id, TimePoint asked_at, TimePoint now);
  /// One that was found, and not told of, may have a job that nobody here knows of.
  void add_launched(const Intent& intent, const SeenInstance& made, bool is_found, TimePoint now);
  void instance_gone(const InstanceId& id, const std::string& why, TimePoint now);
  void terminate(const InstanceId& id, const std::string& why, TimePoint now);
  /// Takes the job away from an instance that will not do it any more.
  void take_job(const Instance& instance, const std::string& why, TimePoint now);
  /// After a job: to the next one where the pool reuses its instances, else to its end.
  void free_instance(const Lease& lease, bool was_touched, bool is_fit, TimePoint now);
  void forget_intent(const IntentId& id);

  // Leases.
  /// The lease ends without the job having been started: the job waits again.
  void give_back(const LeaseId& id, const std::string& why, TimePoint now);
  void finish(const LeaseId& id, JobOutcome outcome, int exit_code, const std::string& why,
              TimePoint now);

  Config config_;
  Fleet fleet_;
  Market market_;
  IdSource ids_;
  /// What a CI server says is ours, on a machine that is not known.
  struct UnplacedClaim {
    TimePoint since{};
    std::string source;
    CiJob job;
  };
  std::map<JobId, UnplacedClaim> unplaced_claims_;
  Planner planner_;
};

/// `SOURCE/ID`
[[nodiscard]] JobId job_id_of(const std::string& source, const std::string& ci_id);
/// The CI server's own id of a job.
[[nodiscard]] std::string ci_id_of(const Job& job);

}  // namespace muster
