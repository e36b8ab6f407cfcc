#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fleet/config.hpp"
#include "fleet/fleet.hpp"
#include "fleet/market.hpp"

namespace muster {

/// New ids, from one number drawn by the shell: the core itself draws nothing.
class IdSource {
 public:
  explicit IdSource(std::uint64_t seed) : state_(seed) {}
  /// `prefix` and 24 hexadecimal digits.
  std::string next(const std::string& prefix);

 private:
  std::uint64_t state_;
};

/// How many instances the cloud's rate limits let through now.
struct LaunchRoom {
  int instances = 1 << 30;
  std::optional<TimePoint> next;  ///< When there is more.
};

/// What the planner is told of the moment.
struct PlanInputs {
  TimePoint now{};
  Duration wall_ahead{};  ///< What the machine's clock shows beyond `now`: schedules go by it.
  LaunchRoom run;         ///< By single launches (EC2: RunInstances).
  LaunchRoom fleet;       ///< By fleets (EC2: CreateFleet).
  WaitCause hold = WaitCause::none;  ///< Why nothing at all is launched.
  std::optional<TimePoint> hold_until{};
  bool knows_claims = true;  ///< Every CI server has said which jobs are whose.
};

/// Decides what the fleet does next: which job gets which instance, what is launched where, what
/// ends. Demand is counted per set of labels, never pinned to one instance. It changes the fleet;
/// everything it does not do has a reason, kept with the demand.
class Planner {
 public:
  struct Parts {
    Fleet& fleet;
    const Config& config;
    Market& market;
    IdSource& ids;
  };
  explicit Planner(Parts parts) : parts_(parts) {}

  /// When something may change by time alone; nothing: only by an event.
  std::optional<TimePoint> plan(const PlanInputs& inputs);

  /// The idle instances that a pool wants now.
  [[nodiscard]] int idle_target(const Pool& pool, TimePoint now) const;
  /// The schedule whose `max_instances` holds for the pool now; empty: none does.
  [[nodiscard]] std::string limited_by(const Pool& pool, TimePoint now) const;
  /// The same where that is none at all.
  [[nodiscard]] std::string closed_by(const Pool& pool, TimePoint now) const;

  /// The pools for jobs with these labels, the one to be asked first in front.
  [[nodiscard]] std::vector<SizedPool> pools_for(const std::vector<std::string>& labels) const;

  /// Whether idle ones are not launched for ended instances that still count, or for jobs' room.
  [[nodiscard]] bool is_idle_short() const { return is_idle_short_; }

  /// Takes launches of before a restart into account.
  void remember_launch(TimePoint at, int count) { launched_.emplace_back(at, count); }

  /// The configuration is another one.
  void forget_matches() {
    matches_.clear();
    expires_all_ = true;
    scheduled_.clear();
    periods_.clear();
  }

 private:
  /// A group of equal jobs during one pass.
  struct Cursor {
    const Demand::Key* key = nullptr;
    Demand* demand = nullptr;
    std::vector<SizedPool> pools;
    std::set<std::pair<TimePoint, JobId>>::const_iterator next;
    int rest = 0;  // From there on.
    bool is_blocked = false;
    WaitReason reason;
    int coming_count = 0;
    WaitReason coming_reason;
  };
  struct Wish {
    int count = 0;
    int only_new = 0;  ///< Of them, not to be started from those that are stopped.
    std::string reason;
  };
  struct Room {
    int count = 0;
    WaitReason reason;
  };
  /// What limits need not count; where it is negative, what they count besides.
  struct Relief {
    std::map<PoolName, int> of_pool;
    int instances = 0;
    int unbraked = 0;  ///< Of them, those that the brake leaves out all the same.
    long vcpus = 0;
    double usd = 0;
    std::map<PoolName, int> launches;  ///< That are to come, for jobs.
    int launches_total = 0;
    void add(const PoolName& pool, int count, long vcpus_of_them);
  };
  /// An idle instance that may end for a job; what is kept ready comes last.
  struct Spare {
    bool is_kept_ready = false;
    TimePoint since{};
    InstanceId id;
    friend auto operator<=>(const Spare&, const Spare&) = default;
  };
  /// For jobs to which limits leave no room.
  struct MakingRoom {
    Relief freed;     ///< What is about to be gone or ends for jobs, less what these jobs take.
    Relief most;      ///< The same if all that is spare ended.
    Relief promised;  ///< What these jobs take: negative.
    std::map<SizedPool, int> promised_in;
    std::set<PoolName> held;  ///< Room is promised to one that cannot be launched now.
    std::map<PoolName, std::set<Spare>> spares;
    std::vector<std::pair<PoolName, Spare>> ends;
  };
  struct Totals {
    long vcpus = 0;
    double usd = 0;  ///< What instances have cost today and are expected to cost.
    bool has_unknown = false;
  };

  [[nodiscard]] const Pool* find_pool(const PoolName& name) const;
  [[nodiscard]] PoolMode mode_of(const PoolName& name) const;
  /// Of this plan: it is asked for again and again.
  const Market::Choice& choice_for(const SizedPool& at);
  const std::vector<SizedPool>& matches_of(const std::vector<std::string>& labels);
  void may_change_at(std::optional<TimePoint> at);
  void expire();
  void expire_ended_jobs();
  /// Ends what is too old for something; gives the moment at which to look again.
  std::optional<TimePoint> expire_instance(const Instance& instance);
  void gather();
  [[nodiscard]] Cursor* best_cursor();
  [[nodiscard]] int allowed_count(Cursor& cursor);
  void place_also(const Demand::Key& key, int count);
  void count_on(Cursor& cursor, const SizedPool& pool, int count, WaitReason why);
  [[nodiscard]] std::optional<InstanceId> find_ready(const SizedPool& at) const;
  void assign();
  void lease(const JobId& job, const InstanceId& instance);
  void count_supply();
  void place_waiting();
  void place(Cursor& cursor, int count, int most);
  void measure();
  /// What schedules say now.
  struct Scheduled {
    int idle_count = 0;
    int max_instances = -1;           // -1: none says it.
    std::string name;                 // Of the one that says so.
    std::optional<TimePoint> next{};  // When that ends, within a day.
  };
  [[nodiscard]] const Scheduled& scheduled(const Pool& pool, TimePoint now) const;
  void read_schedules(const Pool& pool, TimePoint shown, Scheduled& to) const;
  [[nodiscard]] int target_of(const PoolName& pool) const;
  void fill_idle();
  [[nodiscard]] Room room_for(const SizedPool& pool) { return room_for(pool, Relief{}); }
  [[nodiscard]] Room room_for(const SizedPool& pool, const Relief& without);
  MakingRoom& making_room();
  /// Chooses the instances that end for so many of these jobs.
  void make_room(const Cursor& cursor, int count);
  int make_room(const SizedPool& pool, int count);
  bool free_one(const PoolName& pool, WaitCause cause);
  void keep_ends(std::size_t count);
  void promise(const SizedPool& pool, int count);
  void hold(const SizedPool& pool, const WaitReason& why);
  void free(const PoolName& pool, const Spare& spare, int count);
  [[nodiscard]] const Relief& promised() const;
  void end_for_jobs();
  [[nodiscard]] int late_count(const Pool& pool, const Supply& supply);
  void launch();
  void launch_for(const SizedPool& pool, const Wish& wish);
  int start_stopped(const SizedPool& pool, int count);
  void add_intent(const SizedPool& pool, const Market::Choice& choice, int count,
                  const std::string& reason);
  void scale_in();
  void scale_in(const SizedPool& at, const Pool& pool, const Supply& supply);
  /// Only the store says what it is, and that may be older than a job that it has.
  [[nodiscard]] bool may_be_old(const Instance& instance) const;
  void end_stopped(const SizedPool& at, const Pool& pool);
  void replace_old(const SizedPool& at, const Pool& pool);
  void note_reasons();
  [[nodiscard]] const Totals& totals();
  void wish_for(const SizedPool& at, int count, const std::string& reason);

  Parts parts_;
  PlanInputs inputs_;
  TimePoint now_{};
  std::optional<TimePoint> next_;
  std::set<std::pair<TimePoint, InstanceId>> expiries_;  // When to look at an instance again.
  std::map<InstanceId, TimePoint> expiry_of_;
  bool expires_all_ = false;
  std::map<std::vector<std::string>, std::vector<SizedPool>> matches_;
  std::vector<Cursor> cursors_;
  std::map<SizedPool, int> coming_;   // Instances on their way that nothing is counted on yet.
  std::map<SizedPool, int> unknown_;  // Of those, idle ones that were not reached yet.
  std::map<SizedPool, Wish> wishes_;  // Launches to be made.
  std::map<SizedPool, int> waiting_;  // Jobs that found no instance.
  std::map<PoolName, int> wished_;
  std::map<SizedPool, Market::Choice> choices_;
  std::map<std::string, int> tenant_active_;
  std::map<std::pair<std::string, std::string>, int> placed_;  // Jobs by label or repository.
  int wished_total_ = 0;
  bool is_idle_short_ = false;
  std::map<SizedPool, int> late_;  // Of those that boot, not counted on any more.
  std::optional<MakingRoom> making_room_;
  std::optional<Totals> totals_;
  long wished_vcpus_ = 0;
  double wished_usd_ = 0;
  mutable std::map<PoolName, Scheduled> scheduled_;  // In this minute.
  mutable TimePoint scheduled_at_{};
  mutable std::map<std::string, std::optional<CronPeriod>> periods_;  // Of patterns of cron.
  int plan_size_ = 0;                               // Instances, if all went as it should.
  int unbraked_ = 0;                                // Instances that end, or were of use.
  std::map<PoolName, int> targets_;                 // Of idle instances, where there are any.
  std::deque<std::pair<TimePoint, int>> launched_;  // In the last minute.
};

}  // namespace muster
