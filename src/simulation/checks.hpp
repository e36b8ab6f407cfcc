#pragma once

#include <map>
#include <optional>
#include <string>

#include "fleet/config.hpp"
#include "fleet/fleet.hpp"
#include "simulation/sim_world.hpp"

namespace muster::simulation {

inline constexpr const char* kLargeType = "m5.xlarge";  ///< What jobs with `size:large` get.

/// The invariants of the design, looked at after each event of the world, and what they need to
/// remember. None of them asks the code under test whether it is right: they compare what it knows
/// with what is.
class Checks : public Watcher {
 public:
  Checks(SimWorld& world, const Config& config);
  ~Checks() override { world_.watcher = nullptr; }
  Checks(const Checks&) = delete;
  Checks& operator=(const Checks&) = delete;

  /// Whose knowledge counts from now on; null: nobody runs.
  void watch(const Fleet* fleet);
  /// What only the store knew is gone.
  void store_was_lost() { store_lost_at_ = world_.now(); }
  void look();
  void at_end();

  [[nodiscard]] int launch_count() const { return launches_; }
  [[nodiscard]] Duration last_launch() const { return last_launch_; }

  void called(const std::string& action, long incarnation) override;
  void launched(const std::string& instance) override;
  void terminating(const std::vector<std::string>& instances) override;
  void committing(const FleetCommit& commit) override;
  void job_claimed(const std::string& job, const LeaseId& lease) override;
  void job_started(const SimHost& host, const std::string& job, const LeaseId& lease) override;
  void job_ended(const std::string& job, const LeaseId& lease, JobOutcome outcome) override;

 private:
  void notice_disturbance();
  void look_for_leaks();
  void look_for_lost_jobs();
  void check_schedule(const Intent& intent);
  void look_for_excess();
  void note_rows(const FleetCommit& commit);
  void count_money();
  [[nodiscard]] bool has_been_quiet(Duration time) const;
  [[nodiscard]] std::string describe(const std::string& id) const;

  SimWorld& world_;
  const Config& config_;
  const Fleet* fleet_ = nullptr;
  Duration watched_since_{};
  Duration noticed_at_ = Duration::min();  // When it was last looked for faults that blind.
  Duration disturbed_at_{};
  std::optional<Duration> store_lost_at_;
  std::map<std::string, Duration> unreferenced_since_;
  std::map<std::string, Duration> unknown_since_;
  long changes_ = 0;            // That were committed.
  long looked_at_changes_ = 0;  // Of these and of jobs, when all of them were fine.
  std::set<LeaseId> removed_leases_;
  std::set<InstanceId> given_up_;                    // While they could not be reached.
  std::map<std::string, int> excused_;               // Counts that only a lost store explains.
  std::map<std::string, std::string> reservations_;  // By intent.
  int launches_ = 0;
  int looked_at_launches_ = 0;
  Duration looked_at_{};
  TimePoint counted_at_{};
  double usd_today_ = 0;  // What on-demand instances have cost since midnight (UTC), at least.
  std::string last_reasons_;
  Duration last_launch_{};
};

}  // namespace muster::simulation
