#include "service/control_loop.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/task.hpp"
#include "service/machine_identity.hpp"
#include "service/machine_keeper.hpp"

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kCommitPauseMax = 5s;
constexpr Duration kStalled = 1s;     // A commit that takes longer has held everything up.
constexpr Duration kBlind = 1min;     // One that takes so long leaves the cloud unseen.
constexpr Duration kBlindMax = 1min;  // So long the next listing is waited for.
constexpr Duration kPlanPause = 5ms;
constexpr Duration kClockSet = 1s;  // Less than that is only set right.

}  // namespace

/// An event on its way, and who waits for it.
struct ControlLoop::Waiting {
  Waiting(FleetEvent what, const Executor& executor) : event(std::move(what)), done(executor) {}
  FleetEvent event;
  Event done;
  bool is_done = false;
};

ControlLoop::ControlLoop(Executor executor, Parts parts, Options options, Config config)
    : executor_(std::move(executor)),
      parts_(std::move(parts)),
      options_(std::move(options)),
      controller_(std::move(config), parts_.random.next()),
      catalog_(parts_.catalog),
      resolver_(catalog_, options_.region),
      owner_(owner_mark(options_.secret)),
      has_events_(executor_),
      committed_(executor_),
      stopped_(executor_),
      terminate_wanted_(executor_),
      switch_wanted_(executor_),
      sweep_wanted_(executor_),
      resolve_wanted_(executor_),
      tasks_(executor_) {
  if (!options_.make_key) options_.make_key = keys_of(options_.secret);
  for (const CiServer* source : parts_.sources) unlisted_sources_.insert(source->name());
  unclaimed_sources_ = unlisted_sources_;
}

ControlLoop::~ControlLoop() = default;

CiServer* ControlLoop::source(const std::string& name) const {
  for (CiServer* source : parts_.sources) {
    if (source->name() == name) return source;
  }
  return nullptr;
}

void ControlLoop::post(FleetEvent event) {
  events_.push_back(std::make_shared<Waiting>(std::move(event), executor_));
  has_events_.notify_all();
}

Task<> ControlLoop::submit(FleetEvent event) {
  const auto waiting = std::make_shared<Waiting>(std::move(event), executor_);
  events_.push_back(waiting);
  has_events_.notify_all();
  while (!waiting->is_done) co_await waiting->done.wait();
}

void ControlLoop::take_back_at(TimePoint ends_at, InstanceId id, std::string by) {
  tasks_.spawn(take_back(ends_at, std::move(id), std::move(by)));
}

Task<> ControlLoop::take_back(TimePoint ends_at, InstanceId id, std::string by) {
  co_await parts_.clock.sleep(std::max<Duration>(ends_at - parts_.clock.now(), Duration{}));
  post(InstanceOrdered{std::move(id), InstanceOrder::taken_back, std::move(by)});
}

void ControlLoop::stop(Duration time_max) {
  stop_time_max_ = time_max;
  stopped_.notify_all();
}

/// The cloud is listed before the store is read: what was launched in between is then at least in
/// one of the two.
Task<Status> ControlLoop::recover() {
  Result<InstancesListed> listed = fail(ErrorKind::unavailable, "not asked yet");
  Duration pause = 500ms;
  while (options_.sweeps && !listed && !stop_time_max_) {
    Task<Result<InstancesListed>> listing = list_cloud();
    listed = co_await std::move(listing);
    if (listed) break;
    if (!is_retryable(listed.error().kind)) co_return tl::unexpected<Error>(listed.error());
    parts_.log.warn("cloud_not_listed", {{"error", listed.error().describe()}});
    co_await parts_.clock.sleep(pause);
    pause = std::min<Duration>(pause * 2, 10s);
  }
  Task<Result<StoredFleet>> loading = parts_.store.load_fleet();
  Result<StoredFleet> stored = co_await std::move(loading);
  if (!stored) co_return tl::unexpected<Error>(stored.error());
  is_rebuilt_ = stored->is_new && listed && !listed->instances.empty();
  if (is_rebuilt_) {
    parts_.log.warn("store_rebuilt",
                    {{"instances", listed->instances.size()},
                     {"lost", "history, and jobs that were submitted and had not begun"}});
  }
  calls_ = std::move(stored->calls);
  const ClockBase base = parts_.clock.base();
  const bool is_same_boot = !base.boot.empty() && base.boot == stored->clock.boot;
  Duration behind = is_same_boot ? base.began - stored->clock.began : Duration{};
  if (std::chrono::abs(behind) < kClockSet) behind = {};
  if (behind != Duration{}) {
    parts_.log.warn(
        "clock_was_set",
        {{"seconds", std::chrono::duration_cast<std::chrono::seconds>(behind).count()}});
  }
  if (!is_same_boot || behind != Duration{}) new_clock_ = base;
  controller_.restore(std::move(stored->fleet), parts_.clock.now(), behind);
  if (options_.on_restored) options_.on_restored(fleet());
  if (listed) post(std::move(*listed));
  co_return Status();
}

Task<Status> ControlLoop::run() {
  Task<Status> recovering = recover();
  const Status recovered = co_await std::move(recovering);
  if (!recovered) co_return recovered;
  has_recovered_ = true;
  std::exception_ptr cancelled;
  try {
    start_all();
    tasks_.spawn(decide());
    if (options_.sweeps) tasks_.spawn(sweep_forever());
    for (CiServer* source : parts_.sources) tasks_.spawn(ask_forever(source));
    tasks_.spawn(resolve_forever());
    tasks_.spawn(terminate_forever());
    tasks_.spawn(switch_forever());
    while (!stop_time_max_) co_await stopped_.wait();
    const Duration until = parts_.clock.monotonic() + *stop_time_max_;
    while (!launching_.empty() && parts_.clock.monotonic() < until) {
      co_await parts_.clock.sleep(20ms);
    }
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await forget_cancellation();
  tasks_.cancel();
  Task<> joining = tasks_.join();
  co_await std::move(joining);
  if (cancelled) std::rethrow_exception(cancelled);
  co_return Status();
}

WaitCause ControlLoop::launch_hold() const {
  if (stop_time_max_) return WaitCause::stopping;
  const bool is_blind = blind_at_ && options_.sweeps && parts_.clock.now() < *blind_at_ + kBlindMax;
  return is_blind ? WaitCause::cloud_unlisted : WaitCause::none;
}

PlanInputs ControlLoop::plan_inputs() {
  PlanInputs inputs;
  inputs.now = parts_.clock.now();
  // The two are read one after the other, which no schedule should turn on.
  inputs.wall_ahead = std::chrono::round<std::chrono::seconds>(parts_.clock.wall() - inputs.now);
  const auto room_of = [&](const char* action) {
    const CallBudget::Room room = parts_.budget.room(action);
    return LaunchRoom{room.machines, inputs.now + room.more_in};
  };
  inputs.run = room_of("RunInstances");
  inputs.fleet = room_of("CreateFleet");
  inputs.hold = launch_hold();
  if (inputs.hold == WaitCause::cloud_unlisted) inputs.hold_until = *blind_at_ + kBlindMax;
  inputs.knows_claims = has_listed_sources();
  return inputs;
}

/// A listing that says nothing new, which is most of them, leaves the plan as it is.
void ControlLoop::plan(const std::deque<std::shared_ptr<Waiting>>& events) {
  const bool has_news = std::any_of(events.begin(), events.end(), [](const auto& one) {
    return !std::holds_alternative<JobsListed>(one->event) &&
           !std::holds_alternative<JobsTold>(one->event) &&
           !std::holds_alternative<InstancesListed>(one->event) &&
           !std::holds_alternative<MachineSeen>(one->event) &&
           !std::holds_alternative<MachineTrouble>(one->event) &&
           !std::holds_alternative<LaunchTrouble>(one->event);
  });
  const bool is_due = next_plan_ && *next_plan_ <= parts_.clock.now();
  const bool is_other = !planned_with_ || planned_with_->hold != launch_hold() ||
                        planned_with_->knows_claims != has_listed_sources();
  if (!has_news && !is_due && !is_other && !controller_.has_changes()) return;
  const PlanInputs inputs = plan_inputs();
  planned_with_ = inputs;
  next_plan_ = controller_.plan(inputs);
  // Whatever the planner thinks: there is time for others between two of its turns.
  if (next_plan_) next_plan_ = std::max(*next_plan_, inputs.now + kPlanPause);
}

Task<> ControlLoop::decide() {
  while (true) {
    while (events_.empty()) {
      const Duration rest = next_plan_ ? *next_plan_ - parts_.clock.now() : Duration(1h);
      if (rest <= Duration{}) break;
      Task<> waiting = parts_.clock.wait(has_events_, std::min<Duration>(rest, 1h));
      co_await std::move(waiting);
    }
    const std::deque<std::shared_ptr<Waiting>> taken = std::exchange(events_, {});
    is_ahead_ = true;
    for (const auto& one : taken) {
      controller_.apply(one->event, parts_.clock.now());
      if (std::holds_alternative<ConfigReplaced>(one->event)) {
        ++config_version_;
        resolve_wanted_.notify_all();
      }
      const auto* listed = std::get_if<InstancesListed>(&one->event);
      if (listed != nullptr && blind_at_ && listed->asked_at >= *blind_at_) blind_at_.reset();
    }
    plan(taken);
    FleetCommit changes;
    changes.changes = controller_.take_changes();
    freeze_launches(changes);
    changes.clock = std::exchange(new_clock_, std::nullopt);
    if (!changes.changes.empty() || changes.clock) {
      const Duration began = parts_.clock.monotonic();
      Task<> committing = commit(changes);
      co_await std::move(committing);
      const Duration took = parts_.clock.monotonic() - began;
      if (took > kStalled) controller_.allow_for(took);
      if (took > kBlind) {
        blind_at_ = parts_.clock.now();
        is_sweep_wanted_ = true;
        sweep_wanted_.notify_all();
      }
    }
    is_ahead_ = false;
    committed_.notify_all();
    act_on(changes.changes);
    if (options_.on_committed && !changes.changes.empty()) options_.on_committed(changes.changes);
    for (const auto& one : taken) {
      one->is_done = true;
      one->done.notify_all();
    }
    // Those who waited for the commit have their turn before the next batch.
    co_await parts_.clock.sleep(Duration{});
  }
}

Task<> ControlLoop::wait_committed() {
  while (is_ahead_) co_await committed_.wait();
}

/// The whole batch again until it is stored: in doubt it has been stored before.
Task<> ControlLoop::commit(const FleetCommit& commit) {
  Duration pause = 50ms;
  while (true) {
    Task<Status> committing = parts_.store.commit(commit);
    const Status committed = co_await std::move(committing);
    if (committed) {
      if (store_error_) parts_.log.info("store_recovered", {});
      store_error_.reset();
      co_return;
    }
    if (!store_error_) {
      parts_.log.error("store_not_written", {{"error", committed.error().describe()}});
    }
    store_error_ = committed.error();
    co_await parts_.clock.sleep(pause);
    pause = std::min<Duration>(pause * 2, kCommitPauseMax);
  }
}

std::optional<FrozenCall> ControlLoop::freeze(const Intent& intent) const {
  const Pool* pool = controller_.find_pool(intent.pool);
  const auto resolved = resolved_.find(intent.pool);
  if (pool == nullptr || resolved == resolved_.end()) return std::nullopt;
  const DerivedKey key = launch_key(options_.make_key, intent.id);
  LaunchSpec spec = launch_spec(*pool, resolved->second, intent.offering, key.public_line);
  spec.tags = machine_tags(*pool, options_.cluster, intent.id);
  spec.tags[kOwnerTag] = owner_;
  if (!intent.size.empty()) spec.tags[kSizeTag] = intent.size;
  const ClientToken token(intent.id.value());
  if (intent.offerings.empty()) {
    spec.count = intent.count;
    spec.takes_fewer = true;
    return parts_.cloud.freeze_launch(spec, token);
  }
  const auto saved = templates_.find(intent.pool);
  if (saved == templates_.end()) return std::nullopt;
  FleetSpec fleet;
  fleet.offerings = intent.offerings;
  fleet.count = intent.count;
  fleet.launch_template = saved->second;
  fleet.image = spec.image;
  fleet.max_price = spec.max_price;
  fleet.user_data = spec.user_data;
  fleet.tags = spec.tags;
  return parts_.cloud.freeze_fleet(fleet, token);
}

void ControlLoop::freeze_launches(FleetCommit& commit) {
  for (const Intent& intent : commit.changes.intents) {
    if (intent.state != IntentState::open || calls_.contains(intent.id)) continue;
    std::optional<FrozenCall> call = freeze(intent);
    if (!call) continue;  // Its task says that it cannot be made.
    commit.calls.emplace_back(intent.id, *call);
    calls_.emplace(intent.id, std::move(*call));
  }
}

void ControlLoop::start_all() {
  for (const auto& [id, intent] : fleet().intents()) {
    restored_.insert(id);
    if (options_.replays_intents) {
      look_at(intent);
    } else {
      LaunchAnswered given_up;
      given_up.intent = id;
      given_up.error = fail(ErrorKind::conflict, "launches are not asked for again").value();
      post(std::move(given_up));
    }
  }
  for (const auto& [id, instance] : fleet().instances()) look_at(instance);
  for (const auto& [id, lease] : fleet().leases()) look_at(lease);
}

void ControlLoop::act_on(const FleetChanges& changes) {
  for (const Intent& intent : changes.intents) look_at(intent);
  for (const Lease& lease : changes.leases) look_at(lease);
  for (const Instance& instance : changes.instances) look_at(instance);
  for (const InstanceId& id : changes.removed_instances) {
    const auto keeper = keepers_.find(id);
    if (keeper != keepers_.end()) keeper->second->changed.notify_all();
  }
  for (const IntentId& id : changes.removed_intents) {
    calls_.erase(id);
    restored_.erase(id);
  }
}

void ControlLoop::look_at(const Intent& intent) {
  const bool is_asked = intent.state == IntentState::open && !intent.is_refused;
  if (!is_asked || !launching_.insert(intent.id).second) return;
  tasks_.spawn(send_launch(intent.id));
}

void ControlLoop::look_at(const Lease& lease) {
  if (const auto keeper = keepers_.find(lease.instance); keeper != keepers_.end()) {
    keeper->second->changed.notify_all();
  }
  if (lease.state != LeaseState::reported || !reporting_.insert(lease.id).second) return;
  tasks_.spawn(report(lease.id));
}

void ControlLoop::look_at(const Instance& instance) {
  switch (instance.phase) {
    case InstancePhase::terminating: terminate_wanted_.notify_all(); break;
    case InstancePhase::stopping:
    case InstancePhase::starting: switch_wanted_.notify_all(); break;
    default: break;
  }
  const auto keeper = keepers_.find(instance.id);
  if (keeper != keepers_.end()) {
    keeper->second->changed.notify_all();
    return;
  }
  if (!MachineKeeper::is_needed(instance.phase)) return;
  keepers_.emplace(instance.id, std::make_unique<Keeper>(executor_));
  tasks_.spawn(keep(instance.id));
}

Task<> ControlLoop::keep(InstanceId id) {
  {
    MachineKeeper keeper(*this, id, keepers_.at(id)->changed);
    Task<> keeping = keeper.run();
    co_await std::move(keeping);
  }
  keepers_.erase(id);
  // It may be wanted again since: a stopped one that was started.
  if (const Instance* instance = fleet().find(id)) look_at(*instance);
}

}  // namespace muster
