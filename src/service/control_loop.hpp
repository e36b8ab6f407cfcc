#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/log.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "base/task_scope.hpp"
#include "fleet/controller.hpp"
#include "ports/ci_server.hpp"
#include "ports/clock.hpp"
#include "ports/cloud.hpp"
#include "ports/fleet_store.hpp"
#include "ports/machine.hpp"
#include "ports/random.hpp"
#include "ports/store.hpp"
#include "service/call_budget.hpp"
#include "service/catalog_cache.hpp"
#include "service/job_output.hpp"
#include "service/machine_identity.hpp"
#include "service/pool_resolver.hpp"

namespace muster {

/// The shell around the core: receives events, commits what follows, and only then acts on it.
/// After a crash the next one goes on from what was committed; what the store has lost is rebuilt
/// from the cloud's tags, the machines and the CI servers.
class ControlLoop {
 public:
  struct Parts {
    Cloud& cloud;
    CloudControl& control;
    CloudCatalog& catalog;
    CloudResources& resources;
    CallBudget& budget;
    MachineConnector& connector;
    ContainersConnector& containers;
    FleetStore& store;
    RunStore& runs;
    std::vector<CiServer*> sources;
    JobOutput& output;
    Clock& clock;
    Random& random;
    const Log& log;
  };
  struct Options {
    std::string cluster;
    std::string region;
    Secret secret;
    MakeKey make_key;  ///< Empty: of the secret. Simulated machines need no real ones.
    Duration sweep_every = std::chrono::seconds{10};   ///< While there is anything to watch.
    Duration sweep_idle = std::chrono::seconds{20};    ///< While there is not.
    Duration ask_every = std::chrono::seconds{10};     ///< The CI servers, without news.
    Duration resolve_every = std::chrono::minutes{5};  ///< What pools name, and prices.
    Duration job_time_max = std::chrono::hours{1};     ///< Of jobs that name none.
    // Tests switch each of these off to prove the others.
    bool replays_intents = true;  ///< Open launches are asked for again after a restart, not
                                  ///< given up.
    bool sweeps = true;           ///< Instances are found by their tags.
    /// Is told of what the store had.
    std::function<void(const Fleet&)> on_restored;
    /// Is told of what was committed.
    std::function<void(const FleetChanges&)> on_committed;
  };

  ControlLoop(Executor executor, Parts parts, Options options, Config config);
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;
  ~ControlLoop();

  /// Runs until `stop`. Errors: the store cannot be read. Cancelled, it leaves everything as it
  /// is: machines and jobs go on, and the next one picks them up.
  Task<Status> run();

  /// Nothing new is begun; what is being launched is waited for, for as long as `time_max`.
  void stop(Duration time_max);

  /// Hands an event over; ends when what follows from it is committed.
  Task<> submit(FleetEvent event);
  /// Hands an event over and does not wait.
  void post(FleetEvent event);
  /// The end of a drill of `by`: then the instance ends as if the cloud took it back, unless it did
  /// so by itself, or this process has ended.
  void take_back_at(TimePoint ends_at, InstanceId id, std::string by);

  [[nodiscard]] const Controller& controller() const { return controller_; }
  [[nodiscard]] const Fleet& fleet() const { return controller_.fleet(); }
  [[nodiscard]] const Parts& parts() const { return parts_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] CiServer* source(const std::string& name) const;
  /// Whether every CI server was listed since the start: who claims what is known.
  [[nodiscard]] bool has_listed_sources() const { return unlisted_sources_.empty(); }
  /// Whether the store was read: before that nothing is known.
  [[nodiscard]] bool has_recovered() const { return has_recovered_; }
  /// Told when the store held nothing although the cloud holds machines of this cluster.
  [[nodiscard]] bool is_rebuilt() const { return is_rebuilt_; }
  /// What is wrong with the store now; absent: nothing.
  [[nodiscard]] const std::optional<Error>& store_error() const { return store_error_; }

 private:
  struct Waiting;
  struct Keeper {
    explicit Keeper(const Executor& executor) : changed(executor) {}
    Event changed;  ///< Its instance or lease is not as it was.
  };

  Task<Status> recover();
  Task<> decide();
  void plan(const std::deque<std::shared_ptr<Waiting>>& events);
  Task<> commit(const FleetCommit& commit);
  /// Ends when everything that the fleet shows is committed. Whoever acts on what the fleet shows
  /// waits for it first, and looks then.
  Task<> wait_committed();
  void freeze_launches(FleetCommit& commit);
  [[nodiscard]] std::optional<FrozenCall> freeze(const Intent& intent) const;
  void act_on(const FleetChanges& changes);
  void start_all();
  void look_at(const Instance& instance);
  void look_at(const Intent& intent);
  void look_at(const Lease& lease);
  /// Why nothing at all is launched now; none: it is not so.
  [[nodiscard]] WaitCause launch_hold() const;
  [[nodiscard]] PlanInputs plan_inputs();

  // launch_task.cpp
  Task<> send_launch(IntentId id);
  Task<LaunchAnswered> ask_for_launch(IntentId id, FrozenCall call, TimePoint created_at);
  // reconciliation.cpp
  bool is_of_others(const CloudInstance& instance);
  Task<> sweep_forever();
  Task<Result<InstancesListed>> list_cloud();
  Task<> ask_forever(CiServer* source);
  Task<> follow(CiServer* source);
  Task<> resolve_forever();
  Task<bool> resolve_pool(Pool pool);
  Task<Status> save_template(Pool pool, ResolvedPool resolved);
  Task<> terminate_forever();
  Task<> terminate_batch(std::vector<InstanceId> ids);
  Task<> switch_forever();
  Task<> take_back(TimePoint ends_at, InstanceId id, std::string by);
  Task<> report(LeaseId id);
  Task<> keep(InstanceId id);
  [[nodiscard]] SeenInstance seen_of(const CloudInstance& instance) const;

  Executor executor_;
  Parts parts_;
  Options options_;
  Controller controller_;
  CatalogCache catalog_;
  PoolResolver resolver_;
  std::string owner_;  // Whose secret the machines' keys are made from.
  bool has_told_of_others_ = false;
  std::map<PoolName, ResolvedPool> resolved_;
  std::map<PoolName, TemplateRef> templates_;  // Of pools that launch by fleets.
  std::map<PoolName, std::string> template_settings_;
  std::map<IntentId, FrozenCall> calls_;  // Of open intents.
  std::deque<std::shared_ptr<Waiting>> events_;
  Event has_events_;
  Event committed_;
  bool is_ahead_ = false;  // The fleet is ahead of the store.
  Event stopped_;
  Event terminate_wanted_;
  Event switch_wanted_;
  Event sweep_wanted_;
  bool is_sweep_wanted_ = false;  // Also while one goes on.
  Event resolve_wanted_;
  long config_version_ = 0;
  std::set<IntentId> launching_;
  std::set<IntentId> restored_;  // Found open at the start: they may have been sent.
  std::set<LeaseId> reporting_;
  std::map<InstanceId, std::unique_ptr<Keeper>> keepers_;
  std::set<std::pair<InstanceId, TimePoint>> switched_;  // Stops and starts that were asked for.
  std::set<std::string> unlisted_sources_;
  std::set<std::string> unclaimed_sources_;  // Whose first listing is not committed.
  std::optional<TimePoint> next_plan_;
  std::optional<PlanInputs> planned_with_;
  std::optional<TimePoint> blind_at_;   // What was listed before that is too old to launch on.
  std::optional<ClockBase> new_clock_;  // That the store's moments do not count from yet.
  std::optional<Error> store_error_;
  std::optional<Duration> stop_time_max_;
  bool is_rebuilt_ = false;
  bool has_recovered_ = false;
  TaskScope tasks_;

  friend class MachineKeeper;
};

}  // namespace muster
