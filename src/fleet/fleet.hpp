#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fleet/instance.hpp"
#include "fleet/job.hpp"
#include "fleet/wait_reason.hpp"

namespace muster {

/// What is launched together and can stand for each other: a pool, or one size of it.
struct SizedPool {
  PoolName pool;
  std::string size;  ///< An instance type; empty: the pool's own.

  friend auto operator<=>(const SizedPool&, const SizedPool&) = default;
};

/// The instances of a sized pool, by what they are good for.
struct Supply {
  using ByTime = std::set<std::pair<TimePoint, InstanceId>>;
  ByTime idle;     ///< By when they became idle.
  ByTime booting;  ///< Pending, booting or starting; by when they were launched or started.
  ByTime stopped;
  ByTime ending;      ///< Draining, stopping or terminating; by when that began.
  int requested = 0;  ///< What launches that were not answered may still bring.
  int hidden = 0;     ///< What may be there of launches that were refused.
  int busy = 0;
  int stopping = 0;  ///< Of those that are ending.

  /// Everything that costs an instance.
  [[nodiscard]] int live() const {
    return requested + hidden + busy +
           static_cast<int>(idle.size() + booting.size() + ending.size());
  }
};

/// Jobs that wait for the same: they are told apart only by their age.
struct Demand {
  struct Key {
    std::string tenant;
    std::string repository;
    int priority = 0;
    std::vector<std::string> labels;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  std::set<std::pair<TimePoint, JobId>> jobs;
  WaitReason reason;         ///< Why the last of them waits.
  int coming_count = 0;      ///< So many, the oldest, count on instances that come.
  WaitReason coming_reason;  ///< What they wait for.

  /// Why the job that so many of the group are older than waits.
  [[nodiscard]] const WaitReason& reason_of(int older) const {
    return older < coming_count ? coming_reason : reason;
  }
};

/// What a waiting job waits with.
[[nodiscard]] Demand::Key key_of(const Job& job);

/// What was spent on one day (UTC).
struct DaySpending {
  long day = 0;            ///< Days since 1970.
  double usd_settled = 0;  ///< For instances that are gone.
};

/// Whether a pool takes jobs and keeps machines.
enum class PoolMode {
  open,      ///< As its configuration says.
  paused,    ///< Jobs wait, idle instances stay, nothing is launched.
  draining,  ///< Jobs wait, idle instances end, nothing is launched.
};

/// `open`, `paused`, `draining`
[[nodiscard]] std::string to_string(PoolMode mode);

/// What a person has said of a pool. It outlives restarts.
struct PoolOrder {
  PoolName pool;
  PoolMode mode = PoolMode::open;
  TimePoint since{};
  std::string by;
  std::string why;  ///< In the person's words; may be empty.
};

/// Rows that have changed, as they are now.
struct FleetChanges {
  std::vector<Job> jobs;
  std::vector<Instance> instances;
  std::vector<Lease> leases;
  std::vector<Intent> intents;
  std::vector<JobId> removed_jobs;
  std::vector<InstanceId> removed_instances;
  std::vector<LeaseId> removed_leases;
  std::vector<IntentId> removed_intents;
  std::vector<PoolOrder> pool_orders;
  std::optional<DaySpending> spending;

  [[nodiscard]] bool empty() const;
};

/// Everything that is stored.
struct FleetSnapshot {
  std::vector<Job> jobs;
  std::vector<Instance> instances;
  std::vector<Lease> leases;
  std::vector<Intent> intents;
  std::vector<PoolOrder> pool_orders;
  DaySpending spending;
};

/// All jobs, instances, leases and intents, with what the planner counts kept up to date and what
/// has changed remembered. Every change of state goes through it.
class Fleet {
 public:
  void restore(FleetSnapshot snapshot);
  void mark_all_changed();

  [[nodiscard]] const std::map<JobId, Job>& jobs() const { return jobs_; }
  [[nodiscard]] const std::map<InstanceId, Instance>& instances() const { return instances_; }
  [[nodiscard]] const std::map<LeaseId, Lease>& leases() const { return leases_; }
  [[nodiscard]] const std::map<IntentId, Intent>& intents() const { return intents_; }
  [[nodiscard]] const Job* find(const JobId& id) const;
  [[nodiscard]] const Instance* find(const InstanceId& id) const;
  [[nodiscard]] const Lease* find(const LeaseId& id) const;
  [[nodiscard]] const Intent* find(const IntentId& id) const;

  // Changes. Those that take an id expect it to be there.
  void add(Job job);
  void add(Instance instance);
  void add(Lease lease);
  void add(Intent intent);
  void move(const JobId& id, JobState to, TimePoint now);
  void move(const InstanceId& id, InstancePhase to, TimePoint now);
  void move(const LeaseId& id, LeaseState to);
  void move(const IntentId& id, IntentState to);
  /// One more of an open launch is an instance by now, and not counted twice.
  void note_found(const IntentId& id, const InstanceId& instance);
  /// Nothing more is expected of an open launch, but what it has made may be there.
  void note_refused(const IntentId& id);
  /// To change anything but the state and what the counts are made of.
  Job& edit(const JobId& id);
  Instance& edit(const InstanceId& id);
  Lease& edit(const LeaseId& id);
  Intent& edit(const IntentId& id);
  /// Of what need not be stored.
  Instance& glance(const InstanceId& id) { return instances_.at(id); }
  Job& glance(const JobId& id) { return jobs_.at(id); }
  Intent& glance(const IntentId& id) { return intents_.at(id); }
  Lease& glance(const LeaseId& id) { return leases_.at(id); }
  void remove(const JobId& id);
  void remove(const InstanceId& id);
  void remove(const LeaseId& id);
  void remove(const IntentId& id);

  void set(PoolOrder order);
  /// What people have said of pools.
  [[nodiscard]] const std::map<PoolName, PoolOrder>& pool_orders() const { return pool_orders_; }
  [[nodiscard]] PoolMode mode_of(const PoolName& pool) const;

  /// What has changed since the last call.
  [[nodiscard]] FleetChanges take_changes();
  [[nodiscard]] bool has_changes() const;

  // What the planner counts.
  [[nodiscard]] const std::map<SizedPool, Supply>& supply() const { return supply_; }
  [[nodiscard]] const Supply& supply_of(const SizedPool& pool) const;
  [[nodiscard]] int live_count(const PoolName& pool) const;
  [[nodiscard]] std::map<Demand::Key, Demand>& demand() { return demand_; }
  [[nodiscard]] const std::map<Demand::Key, Demand>& demand() const { return demand_; }
  /// Jobs that are leased or running, by tenant, repository and label.
  [[nodiscard]] int tenant_count(const std::string& tenant) const;
  [[nodiscard]] int repository_count(const std::string& repository) const;
  [[nodiscard]] int label_count(const std::string& label) const;
  [[nodiscard]] int live_count() const { return live_; }
  /// Instances that are new, gone or in another phase since the last call.
  [[nodiscard]] std::set<InstanceId> take_moved() { return std::exchange(moved_, {}); }
  /// Jobs that have not ended.
  [[nodiscard]] const std::set<JobId>& open_jobs() const { return open_; }
  /// Jobs that have ended, oldest first.
  [[nodiscard]] const std::set<std::pair<TimePoint, JobId>>& ended_jobs() const { return ended_; }

  /// What the day that `now` is in has cost so far.
  [[nodiscard]] double usd_spent(TimePoint now) const;

 private:
  void count(const Job& job, int sign);
  void count(const Instance& instance, int sign);
  void count(const Intent& intent, int sign);
  void settle(const Instance& instance, TimePoint now);

  std::map<JobId, Job> jobs_;
  std::map<InstanceId, Instance> instances_;
  std::map<LeaseId, Lease> leases_;
  std::map<IntentId, Intent> intents_;
  std::map<SizedPool, Supply> supply_;
  std::map<PoolName, int> live_by_pool_;
  int live_ = 0;
  std::set<InstanceId> moved_;
  std::map<Demand::Key, Demand> demand_;
  std::map<std::string, int> by_tenant_;
  std::map<std::string, int> by_repository_;
  std::map<std::string, int> by_label_;
  std::set<std::pair<TimePoint, JobId>> ended_;
  std::set<JobId> open_;
  DaySpending spending_;
  std::map<PoolName, PoolOrder> pool_orders_;
  std::set<PoolName> changed_pool_orders_;
  std::set<JobId> changed_jobs_, removed_jobs_;
  std::set<InstanceId> changed_instances_, removed_instances_;
  std::set<LeaseId> changed_leases_, removed_leases_;
  std::set<IntentId> changed_intents_, removed_intents_;
  bool is_spending_changed_ = false;
};

}  // namespace muster
