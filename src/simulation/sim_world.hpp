#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "ec2model/model.hpp"
#include "fleet/events.hpp"
#include "ports/fleet_store.hpp"
#include "ports/store.hpp"
#include "simulation/faults.hpp"
#include "simulation/virtual_clock.hpp"

namespace muster::simulation {

/// A broken invariant.
struct Violation {
  std::string invariant;  ///< `I4`
  std::string text;
  Duration at{};
};

/// A job as the simulated CI server keeps it: the truth about jobs.
struct SimJob {
  std::string id;
  std::vector<std::string> labels;
  std::string repository;
  int priority = 0;
  Duration arrives_at{};
  Duration takes{};
  int exit_code = 0;
  bool will_be_cancelled = false;
  CiJobState state = CiJobState::queued;
  LeaseId lease;
  InstanceId instance;
  bool is_visible = false;
  JobOutcome outcome = JobOutcome::none;
  int runs = 0;      ///< How often a machine has started it.
  int restarts = 0;  ///< How often the CI server wanted it again.
  Duration queued_at{};
  Duration ended_at{};
};

/// What the store has on disk.
struct SimDisk {
  std::map<JobId, Job> jobs;
  std::map<InstanceId, Instance> instances;
  std::map<LeaseId, Lease> leases;
  std::map<IntentId, Intent> intents;
  std::map<IntentId, FrozenCall> calls;
  std::map<PoolName, PoolOrder> pool_orders;
  DaySpending spending;
  ClockBase clock;
  bool is_new = true;
};

/// A machine: what runs on an instance.
struct SimHost {
  struct Run {
    std::string job;
    Duration started_at{};
    Duration ends_at{};
    int exit_code = 0;
  };
  InstanceId id;
  bool is_up = false;
  Duration boots_at{};
  Duration dead_man_at = Duration::max();
  bool is_broken = false;
  std::map<std::string, Run> runs;  ///< By folder.
};

/// An instance that costs money.
struct Alive {
  const ec2model::Instance* instance = nullptr;
  std::string pool;
  int vcpus = 0;
  double usd_per_hour = 0;  ///< Of a spot instance: nothing, its price is not fixed.
};

/// Told of what the process under test does to the world, at the moment at which it does.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// A call that changes something arrives at the cloud.
  virtual void called(const std::string& action, long incarnation) = 0;
  virtual void launched(const std::string& instance) = 0;
  /// Before the order to end them is carried out.
  virtual void terminating(const std::vector<std::string>& instances) = 0;
  /// Before the rows are written.
  virtual void committing(const FleetCommit& commit) = 0;
  virtual void job_claimed(const std::string& job, const LeaseId& lease) = 0;
  virtual void job_started(const SimHost& host, const std::string& job, const LeaseId& lease) = 0;
  virtual void job_ended(const std::string& job, const LeaseId& lease, JobOutcome outcome) = 0;
};

/// Of each commit and call: before, during and after it.
using PassCounts = std::map<std::string, std::array<long, 3>, std::less<>>;

/// The world around one process under test: cloud, machines, CI server, disk and time, all from one
/// seed.
class SimWorld {
 public:
  struct Options {
    std::uint64_t seed = 1;
    bool has_faults = true;
    bool keeps_trace = false;  ///< As text, not only its hash.
    bool has_dead_man = true;  ///< Machines end by their timers.
    ec2model::World cloud;
  };

  SimWorld(Options options, Faults faults);

  boost::asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
  VirtualClock clock{context};
  ec2model::Model model;
  Faults faults;
  std::map<std::string, SimJob> jobs;
  std::map<std::string, SimJob*> current_jobs;  ///< Those that listings show.
  std::map<InstanceId, SimHost> hosts;
  std::map<InstanceId, std::set<std::string>> authorized_keys;  ///< They outlive a stop.
  std::map<InstanceId, Duration> drilled;  ///< When people have them taken back.
  std::vector<Violation> violations;
  Duration wall_ahead{};               ///< What the process's machine shows beyond the true time.
  std::map<std::string, Alive> alive;  ///< Instances that cost money, stopped ones too.
  Event ci_news{context.get_executor()};
  long job_changes = 0;                     ///< At the CI server, whoever made them.
  std::vector<const SimJob*> changed_jobs;  ///< The CI server's own doings, oldest first.

  /// The job is shown from now on, or has changed.
  void tell_news(SimJob& job) {
    current_jobs.emplace(job.id, &job);
    changed_jobs.push_back(&job);
    ++job_changes;
    ci_news.notify_all();
  }

  // What the store has committed, and an old copy of it.
  SimDisk disk;
  SimDisk backup;
  std::map<RunId, std::map<int, StepRecord>> run_steps;

  [[nodiscard]] Duration now() const { return clock.monotonic() - began_; }
  [[nodiscard]] Dice& dice() { return dice_; }
  [[nodiscard]] const Options& options() const { return options_; }

  /// Whether a fault strikes now; counts it.
  bool strikes(int number, double probability = 1.0);

  void trace(std::string_view what, std::string_view subject, std::string_view more = {});
  /// What the text alone has, for those who look for a cause.
  void note(std::string_view what, std::string_view subject, std::string_view more = {});
  [[nodiscard]] bool keeps_trace() const { return options_.keeps_trace; }
  [[nodiscard]] std::uint64_t trace_hash() const { return hash_; }
  [[nodiscard]] const std::vector<std::string>& trace_lines() const { return lines_; }
  [[nodiscard]] long event_count() const { return events_; }
  void violate(std::string invariant, std::string text);

  // The process under test.
  /// Reached before, during and after every commit and call of the process: may crash it.
  enum class Point { before, during, after };
  /// Whether the process has just crashed: its caller never goes on.
  bool reach(std::string_view what, Point point);
  [[nodiscard]] long incarnation() const { return incarnation_; }
  void begin_incarnation() {
    ++incarnation_;
    is_crashed_ = false;
    recovered_at_ = now();
  }
  void end_incarnation() { ++incarnation_; }
  [[nodiscard]] bool is_crashed() const { return is_crashed_; }
  void crash() {
    is_crashed_ = true;
    crashed_.notify_all();
  }
  Event& crashed() { return crashed_; }
  [[nodiscard]] const PassCounts& crash_points() const { return points_; }
  [[nodiscard]] const PassCounts& crash_strikes() const { return point_strikes_; }
  bool may_crash = true;
  long pause_until_ns = 0;  ///< The process is stopped (SIGSTOP) until then.

  // The cloud's machines.
  /// Lets the model and the machines go on to now.
  void settle();
  /// When something of them becomes due.
  [[nodiscard]] std::optional<TimePoint> next_due() const;
  Event& settled() { return settled_; }
  TimePoint awaited{};  ///< The moment until which nobody looks.
  void machine_ended(const InstanceId& id, bool is_shutdown);
  /// The machine's timer is set anew.
  void wind(SimHost& host, Duration timer);
  /// A job starts on a machine, or was started there before. The folder is its lease's.
  /// Whether the machine has the public half of one of the keys.
  [[nodiscard]] bool lets_in(const InstanceId& id, const std::vector<Secret>& private_keys) const;
  bool start_run(const InstanceId& id, const std::string& folder, const std::string& script);
  Watcher* watcher = nullptr;

 private:
  Options options_;
  Dice dice_;
  Dice crash_dice_;
  Duration began_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
  std::vector<std::string> lines_;
  long events_ = 0;
  long incarnation_ = 0;
  bool is_crashed_ = false;
  Duration recovered_at_{};
  Event crashed_{context.get_executor()};
  Event settled_{context.get_executor()};
  std::multimap<Duration, InstanceId> host_due_;  // When to look at a machine again.
  PassCounts points_;
  PassCounts point_strikes_;
};

/// The clock of one process: it starts with what its machine shows, and may see that change.
class ProcessClock : public Clock {
 public:
  explicit ProcessClock(SimWorld& world) : world_(world), ahead_(world.wall_ahead) {}
  [[nodiscard]] TimePoint now() const override { return world_.clock.now() + ahead_; }
  [[nodiscard]] TimePoint wall() const override { return world_.clock.now() + world_.wall_ahead; }
  [[nodiscard]] ClockBase base() const override { return {"boot", TimePoint{ahead_}}; }
  [[nodiscard]] Duration monotonic() const override { return world_.clock.monotonic(); }
  Task<> sleep(Duration duration) override { return world_.clock.sleep(duration); }
  Task<> wait(Event& event, Duration time_max) override {
    return world_.clock.wait(event, time_max);
  }

 private:
  SimWorld& world_;
  Duration ahead_;
};

/// By its tag; empty: none.
std::string pool_of(const ec2model::Instance& instance);

/// Never ends, unless it is cancelled.
Task<> stand_still(SimWorld& world);

}  // namespace muster::simulation
