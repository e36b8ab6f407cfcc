#include "simulation/fleet_day.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/task_scope.hpp"
#include "ec2model/catalog.hpp"
#include "service/control_loop.hpp"
#include "simulation/checks.hpp"
#include "simulation/sim_ports.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kFaultsUntil = 20h;
constexpr Duration kNotice = 2min;  // Of a drill, as of EC2's.
constexpr int kSoakFill = 8;  // Jobs a second in the first tenth of a soak: the history fills.
constexpr int kSoakRate = 2;  // After that.
constexpr int kSoakSamples = 40;

ec2model::World make_cloud() {
  ec2model::World world = ec2model::default_world(1);
  world.default_kind = ec2model::MachineKind::record;
  world.durations.pending = {ec2model::Distribution::Form::uniform, 1s, 4s};
  world.durations.shutting_down = {ec2model::Distribution::Form::uniform, 1s, 20s};
  world.durations.stopping = {ec2model::Distribution::Form::uniform, 5s, 30s};
  world.vcpu_quota = 100'000;
  world.spot_vcpu_quota = 100'000;
  return world;
}

/// What the seed says of the fleet and its jobs.
class Plan {
 public:
  explicit Plan(const DayOptions& options) : options_(options), dice_(options.seed, 3) {}

  Config config() {
    Config config;
    config.cluster = "sim";
    for (const ec2model::InstanceType& type : ec2model::all_types()) {
      config.prices[std::string(type.name)] =
          fmt::format("{:.4f}", static_cast<double>(type.on_demand_usd_micros) / 1e6);
    }
    if (options_.instances > 0 || options_.burst > 0 || options_.soak > 0s) {
      Pool pool = base_pool("linux");
      pool.max_instances = std::max(options_.burst, options_.instances * 2);
      if (options_.soak > 0s) pool.max_instances = 2000;
      pool.idle.count = 0;
      pool.reuse.jobs = options_.reuse;
      pool.on_demand = OnDemandRule::only;
      if (options_.uses_fleets) pool.order = OfferingOrder::fleet;
      config.pools["linux"] = pool;
      return config;
    }
    job_count_ =
        static_cast<int>(static_cast<double>(dice_.between(50L, 500L)) * options_.jobs_share);
    const long pools = dice_.between(1L, 3L);
    for (long i = 0; i < pools; ++i) {
      const std::string name = i == 0 ? "linux" : fmt::format("pool{}", i);
      config.pools[name] = draw_pool(name, i);
    }
    if (dice_.hits(0.3)) config.limits.instances = static_cast<int>(dice_.between(5L, 40L));
    if (dice_.hits(0.2))
      config.limits.launches_per_minute = static_cast<int>(dice_.between(5L, 60L));
    if (dice_.hits(0.2)) config.limits.repository_jobs = static_cast<int>(dice_.between(2L, 10L));
    if (dice_.hits(0.2)) config.limits.vcpus = static_cast<int>(dice_.between(10L, 80L));
    if (dice_.hits(0.1)) config.tenants["a"] = {3, {"a/*"}};
    return config;
  }

  void add_jobs(SimWorld& world, const Config& config) {
    if (options_.burst > 0) {
      for (int i = 0; i < options_.burst; ++i) add_job(world, i, 1min, 10min, {"linux"});
      return;
    }
    if (options_.soak > 0s) {
      int number = 0;
      for (Duration at = 1min; at < options_.soak;
           at += Duration(1s) / (at < options_.soak / 10 ? kSoakFill : kSoakRate)) {
        add_job(world, number++, at, 30s, {"linux"});
      }
      return;
    }
    if (options_.instances > 0) {
      // As many ten-minute jobs as keep the machines busy all day.
      const Duration gap = Duration{10min} / options_.instances;
      int number = 0;
      for (Duration at = 1min; at < kFaultsUntil + 3h; at += gap) {
        add_job(world, number++, at, 10min, {"linux"});
      }
      return;
    }
    const bool has_bursts = dice_.hits(0.5);
    Duration burst_at = dice_.between(Duration{1h}, kFaultsUntil);
    for (int i = 0; i < job_count_; ++i) {
      const bool is_bunched = has_bursts && dice_.hits(0.5);
      if (dice_.hits(0.02)) burst_at = dice_.between(Duration{1h}, kFaultsUntil);
      const Duration at = is_bunched ? burst_at + dice_.between(Duration{0s}, 20s)
                                     : dice_.between(Duration{1min}, kFaultsUntil);
      const auto takes = std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(10 * std::pow(10.0, 2 * dice_.chance())));
      auto pool = config.pools.begin();
      std::advance(pool, dice_.between(0L, static_cast<long>(config.pools.size()) - 1));
      std::vector<std::string> labels{pool->second.labels.front()};
      if (dice_.hits(0.3)) labels = {"any"};
      if (!pool->second.sizes.empty() && dice_.hits(0.3)) labels.emplace_back("size:large");
      add_job(world, i, at, takes, labels);
    }
  }

 private:
  static Pool base_pool(const std::string& name) {
    Pool pool;
    pool.name = PoolName(name);
    pool.image = "debian-12-amd64";
    pool.types = {"t3.large", "m5.large"};
    pool.labels = {name, "any"};
    pool.max_instances = 10;
    return pool;
  }

  Pool draw_pool(const std::string& name, long number) {
    Pool pool = base_pool(name);
    // One instance gets about a hundred jobs done in the time in which they come.
    const int least = 1 + job_count_ / 100;
    pool.max_instances =
        std::max(least, static_cast<int>(dice_.between(1L, number == 0 ? 30L : 10L)));
    pool.idle.count = dice_.hits(0.5) ? 0 : static_cast<int>(dice_.between(0L, 4L));
    pool.idle.count = std::min(pool.idle.count, pool.max_instances);
    pool.idle.time = dice_.between(Duration{1min}, 30min);
    if (dice_.hits(0.3)) pool.idle.scale_factor = "0.3";
    if (dice_.hits(0.3)) pool.growth_limit = static_cast<int>(dice_.between(2L, 10L));
    if (dice_.hits(0.2)) pool.reuse.jobs = static_cast<int>(dice_.between(2L, 5L));
    if (dice_.hits(0.2)) pool.max_age = 2h;
    if (dice_.hits(0.2)) pool.min_life = 20min;
    if (dice_.hits(0.2)) pool.stopped_count = static_cast<int>(dice_.between(1L, 3L));
    if (dice_.hits(0.2)) pool.sizes = {{"large", kLargeType}};
    if (dice_.hits(0.3)) pool.schedule["day"] = {"* 8-17 * * *", "Europe/Berlin", 2};
    // Closed for a third of each hour: its jobs wait until then.
    if (dice_.hits(0.2)) pool.schedule["closed"] = {"0-19 * * * *", "Europe/Berlin", 0, 0};
    const bool is_steady = dice_.hits(0.5) || pool.stopped_count > 0;
    if (is_steady) pool.on_demand = OnDemandRule::only;
    if (dice_.hits(0.3)) pool.order = OfferingOrder::price;
    if (dice_.hits(0.2)) pool.order = OfferingOrder::fleet;
    pool.priority = static_cast<int>(dice_.between(0L, 2L));
    return pool;
  }

  void add_job(SimWorld& world, int number, Duration at, Duration takes,
               std::vector<std::string> labels) {
    SimJob job;
    job.id = fmt::format("j{:05}", number);
    job.labels = std::move(labels);
    job.repository = dice_.hits(0.5) ? "a/one" : "b/two";
    job.priority = dice_.hits(0.1) ? 5 : 0;
    job.arrives_at = at;
    job.queued_at = at;
    job.takes = takes;
    job.exit_code = dice_.hits(0.1) ? 1 : 0;
    job.will_be_cancelled = options_.has_faults && dice_.hits(0.05);
    world.jobs.emplace(job.id, std::move(job));
  }

  const DayOptions& options_;
  Dice dice_;
  int job_count_ = 0;
};

/// The day itself: starts the process again and again, lets the world go on, looks at the rules.
class Day {
 public:
  explicit Day(const DayOptions& options)
      : options_(options),
        plan_(options),
        world_(world_options(options), drawn_faults(options)),
        config_(plan_.config()),
        checks_(world_, config_),
        incarnation_dice_(options.seed, 4),
        process_dice_(options.seed, 7) {
    plan_.add_jobs(world_, config_);
    if (world_.faults.has(78) && options.has_faults) config_.limits.usd_per_day = "1.00";
    if (world_.faults.has(73) && options.has_faults) add_many_pools();
    if (world_.faults.has(72) && options.has_faults) add_stray_jobs();
  }

  DayResult play() {
    const bool has_ended = world_.clock.run(play_all());
    if (!has_ended) world_.violate("I10", "nothing moves any more");
    checks_.at_end();
    DayResult result;
    result.seed = options_.seed;
    result.events = world_.event_count();
    result.trace_hash = world_.trace_hash();
    result.jobs = static_cast<int>(world_.jobs.size());
    result.launched = checks_.launch_count();
    result.leaked = static_cast<int>(std::count_if(
        world_.alive.begin(), world_.alive.end(),
        [&](const auto& one) { return !world_.disk.instances.contains(InstanceId(one.first)); }));
    result.last_launch = checks_.last_launch();
    result.violations = world_.violations;
    result.strikes = world_.faults.strikes();
    result.faults = world_.faults.active();
    result.points = world_.crash_points();
    result.point_strikes = world_.crash_strikes();
    result.trace = world_.trace_lines();
    return result;
  }

 private:
  static SimWorld::Options world_options(const DayOptions& options) {
    SimWorld::Options out;
    out.seed = options.seed;
    out.has_faults = options.has_faults;
    out.keeps_trace = options.keeps_trace;
    out.has_dead_man = options.has_dead_man;
    out.cloud = make_cloud();
    return out;
  }

  static Faults drawn_faults(const DayOptions& options) {
    if (!options.has_faults) return {};
    if (!options.only.empty()) {
      Faults faults;
      for (const int number : options.only) faults.add(number);
      return faults;
    }
    Dice dice(options.seed, 5);
    Faults faults = Faults::draw(dice, kFaultsUntil);
    for (const int number : options.without) faults.drop(number);
    return faults;
  }

  void add_many_pools() {
    for (int i = 0; i < 40; ++i) {
      Pool pool = config_.pools.begin()->second;
      pool.name = PoolName(fmt::format("many{}", i));
      pool.labels = {pool.name.value()};
      pool.idle = {};
      pool.schedule.clear();
      pool.stopped_count = 0;
      config_.pools[pool.name.value()] = pool;
    }
    world_.faults.strike(73);
  }

  void add_stray_jobs() {
    SimJob job;
    job.id = "stray";
    job.labels = {"nobody-has-this"};
    job.repository = "a/one";
    job.arrives_at = job.queued_at = 2h;
    job.takes = 10s;
    world_.jobs.emplace(job.id, job);
    world_.faults.strike(72);
  }

  /// Everything in the world that happens by itself.
  Task<> go_on() {
    while (true) {
      world_.awaited = TimePoint{};
      if (options_.has_faults) set_windows();
      world_.settle();
      checks_.look();
      const bool was_over = std::exchange(is_over_budget_, is_over_budget());
      if (is_over_budget_ && !was_over) world_.faults.strike(78);
      const TimePoint soon = world_.clock.now() + 10s;
      const TimePoint due = std::min(world_.next_due().value_or(soon), soon);
      world_.awaited = due;
      Task<> waiting =
          world_.clock.wait(world_.settled(), std::max<Duration>(due - world_.clock.now(), 1ms));
      co_await std::move(waiting);
    }
  }

  [[nodiscard]] bool is_over_budget() const {
    if (loop_ == nullptr || config_.limits.usd_per_day.empty()) return false;
    const auto& demand = loop_->fleet().demand();
    return std::any_of(demand.begin(), demand.end(), [](const auto& one) {
      return one.second.reason.cause == WaitCause::budget;
    });
  }

  /// People and hardware, at the moments that were drawn.
  Task<> interfere() {
    for (const auto& [at, number] : moments_) {
      co_await world_.clock.sleep(std::max<Duration>(at - world_.now(), 0ns));
      if (world_.hosts.empty()) continue;
      auto host = world_.hosts.begin();
      std::advance(host, incarnation_dice_.between(0L, static_cast<long>(world_.hosts.size()) - 1));
      const InstanceId id = host->first;
      world_.faults.strike(number);
      world_.trace("world interferes", id.value(), std::to_string(number));
      if (number == 50) host->second.is_broken = true;
      if (number == 23) world_.machine_ended(id, false);
      if (number == 77) {
        static_cast<void>(
            world_.model.terminate_instances({id.value()}, ec2model::Gate{}, world_.clock.now()));
      }
      world_.settle();
    }
  }

  /// The machine's clock is set wrong and right again; people change the configuration for a
  /// while, stop a pool, or want an instance gone.
  Task<> interfere_with_process() {
    for (const auto& [at, number] : process_moments_) {
      co_await world_.clock.sleep(std::max<Duration>(at - world_.now(), 0ns));
      world_.faults.strike(number);
      if (number == 61) {
        static constexpr std::array kJumps{Duration(1h), Duration(-1h), Duration(24h),
                                           Duration(-24h)};
        world_.wall_ahead =
            world_.wall_ahead != 0s
                ? 0s
                : kJumps.at(static_cast<std::size_t>(process_dice_.between(0L, 3L)));
        world_.trace("clock jumps", format_duration(world_.wall_ahead));
      } else if (loop_ != nullptr && process_dice_.hits(0.5)) {
        give_orders();
      } else if (loop_ != nullptr) {
        Config fewer = config_;
        if (fewer.pools.size() > 1) fewer.pools.erase(std::prev(fewer.pools.end()));
        for (auto& [name, pool] : fewer.pools) {
          pool.idle.count = 0;
          pool.stopped_count = 0;
        }
        world_.trace("configuration replaced", std::to_string(fewer.pools.size()));
        loop_->post(ConfigReplaced{fewer});
        co_await world_.clock.sleep(10min);
        if (loop_ != nullptr) loop_->post(ConfigReplaced{config_});
      }
    }
  }

  void give_orders() {
    const bool drains = process_dice_.hits(0.5);
    const PoolName pool = config_.pools.begin()->second.name;
    if (process_dice_.hits(0.7)) {
      ordered_at_ = world_.now();
      world_.trace("pool ordered", pool.value(), drains ? "drain" : "pause");
      loop_->post(PoolOrdered{pool, drains ? PoolMode::draining : PoolMode::paused, "ann", "test"});
    }
    const auto& instances = loop_->fleet().instances();
    if (instances.empty()) return;
    auto one = instances.begin();
    std::advance(one, process_dice_.between(0L, static_cast<long>(instances.size()) - 1));
    world_.trace("instance ordered", one->first.value(), drains ? "drain" : "interrupt");
    if (drains) {
      loop_->post(InstanceOrdered{one->first, InstanceOrder::drained, "ann"});
    } else {
      const TimePoint ends_at = loop_->parts().clock.now() + kNotice;
      world_.drilled.emplace(one->first, world_.now() + kNotice);
      loop_->post(InterruptionNoticed{one->first, ends_at, "ann"});
      loop_->take_back_at(ends_at, one->first, "ann");
    }
  }

  /// Nobody leaves a pool stopped for ever, whatever store was restored since.
  Task<> resume_pools() {
    while (true) {
      co_await world_.clock.sleep(20min);
      if (loop_ == nullptr) continue;
      if (world_.now() - ordered_at_ < 10min) continue;
      for (const auto& [pool, order] : loop_->fleet().pool_orders()) {
        if (order.mode != PoolMode::open) loop_->post(PoolOrdered{pool, PoolMode::open, "bob", ""});
      }
    }
  }

  Task<> sample() {
    for (int i = 1; i <= kSoakSamples; ++i) {
      co_await world_.clock.sleep(options_.soak / kSoakSamples * i - world_.now());
      options_.on_sample(world_.now(), world_.disk);
    }
  }

  void set_windows() {
    ec2model::Faults& faults = world_.model.world().faults;
    const Duration at = world_.now();
    const auto is_open = [&](int number) {
      return options_.has_faults && world_.faults.is_open(number, at);
    };
    faults.invisible_for = is_open(16) ? Duration(5min) : Duration{};
    faults.hang = is_open(79) ? 1.0 : is_open(22) ? 0.3 : 0.0;
    faults.interrupt = is_open(28) || is_open(29) ? 0.3 : 0.0;
    faults.full_offerings.clear();
    if (is_open(20)) {
      faults.full_offerings = {at.count() % 3 == 0 ? "*/*/*" : "spot/*/*", "*/t3.large/*"};
    }
    world_.model.world().vcpu_quota = is_open(21) || is_open(14) ? 8 : 100'000;
    world_.model.world().spot_vcpu_quota = is_open(21) || is_open(14) ? 8 : 100'000;
  }

  /// The CI server's own life: jobs arrive, people cancel.
  Task<> bring_jobs() {
    std::multimap<Duration, std::string> arrivals;
    for (const auto& [id, job] : world_.jobs) arrivals.emplace(job.arrives_at, id);
    for (const auto& [at, id] : arrivals) {
      if (at > world_.now()) co_await world_.clock.sleep(at - world_.now());
      SimJob& job = world_.jobs.at(id);
      job.is_visible = true;
      world_.trace("job arrives", id);
      if (world_.strikes(32) || world_.strikes(64)) world_.tell_news(job);
      world_.tell_news(job);
    }
  }

  Task<> cancel_jobs() {
    std::multimap<Duration, std::string> cancels;
    Dice dice(options_.seed, 6);
    for (const auto& [id, job] : world_.jobs) {
      if (job.will_be_cancelled)
        cancels.emplace(job.arrives_at + dice.between(Duration{0s}, 5min), id);
    }
    for (const auto& [at, id] : cancels) {
      if (at > world_.now()) co_await world_.clock.sleep(at - world_.now());
      SimJob& job = world_.jobs.at(id);
      if (job.state == CiJobState::finished) continue;
      job.state = CiJobState::cancelled;
      job.ended_at = world_.now();
      world_.trace("job cancelled", id);
      world_.tell_news(job);
    }
  }

  /// Runs one process until it is stopped, crashes, or the day ends.
  Task<> live() {
    world_.begin_incarnation();
    world_.trace("process starts", std::to_string(world_.incarnation()));
    const int serialization =
        static_cast<int>(world_.faults.has(12) || world_.faults.has(76) ? world_.incarnation() : 1);
    if (world_.incarnation() > 1) world_.strikes(76);
    SimCloud ec2(world_, serialization);
    SimCi ci(world_);
    SimStore store(world_);
    SimConnector connector(world_);
    NoOutput output;
    Log log(LogLevel::off);
    SeededRandom random(options_.seed * 1000 + static_cast<std::uint64_t>(world_.incarnation()));
    ProcessClock clock(world_);
    CallBudget budget(clock, log);
    BudgetedCloud cloud(ec2, ec2, ec2, budget);
    ControlLoop::Options loop_options;
    loop_options.cluster = "sim";
    loop_options.region = "us-east-1";
    loop_options.secret = Secret("the cluster's secret");
    loop_options.make_key = [](const std::string& purpose, const std::string& comment) {
      return DerivedKey{Secret("OPENSSH PRIVATE KEY " + purpose), "ssh-ed25519 AAAA " + comment};
    };
    // As seldom as the rules of time allow: a day has many of them.
    loop_options.sweep_every = 25s;
    loop_options.sweep_idle = 50s;
    loop_options.ask_every = 45s;
    loop_options.resolve_every = 30min;
    loop_options.replays_intents = options_.replays_intents;
    loop_options.sweeps = options_.sweeps;
    ControlLoop loop(world_.context.get_executor(),
                     {cloud,
                      cloud,
                      cloud,
                      ec2,
                      budget,
                      connector,
                      connector,
                      store,
                      store,
                      {&ci},
                      output,
                      clock,
                      random,
                      log},
                     loop_options, config_);
    checks_.watch(&loop.fleet());
    loop_ = &loop;
    TaskScope scope(world_.context.get_executor());
    bool has_ended = false;
    const auto run = [](ControlLoop* what, bool* ended, Event* told) -> Task<> {
      Task<Status> running = what->run();
      static_cast<void>(co_await std::move(running));
      *ended = true;
      told->notify_all();
    };
    scope.spawn(run(&loop, &has_ended, &world_.crashed()));
    const Duration stop_at = next_stop();
    while (!has_ended && !world_.is_crashed() && world_.now() < until_) {
      const Duration rest = std::max<Duration>(std::min(stop_at, until_) - world_.now(), 1ms);
      Task<> waiting = world_.clock.wait(world_.crashed(), rest);
      co_await std::move(waiting);
      if (world_.now() >= stop_at && stop_at < until_ && !world_.is_crashed()) break;
    }
    if (!world_.is_crashed() && world_.now() < until_) act_at_stop(loop);
    while (is_stopping_ && !has_ended && !world_.is_crashed()) {
      Task<> waiting = world_.crashed().wait();
      co_await std::move(waiting);
    }
    is_stopping_ = false;
    checks_.watch(nullptr);
    loop_ = nullptr;
    world_.end_incarnation();
    scope.cancel();
    Task<> joining = scope.join();
    co_await std::move(joining);
    world_.trace("process ends", std::to_string(world_.incarnation()));
  }

  /// When somebody stops or pauses the process next.
  [[nodiscard]] Duration next_stop() const {
    Duration next = until_;
    for (const int number : {13, 53, 54, 76, 80}) {
      for (const Duration at : world_.faults.moments(number)) {
        if (options_.has_faults && at > world_.now() && at < next) next = at;
      }
    }
    return next;
  }

  void lose_store() {
    world_.faults.strike(54);
    const bool is_deleted = incarnation_dice_.hits(0.5);
    world_.trace(is_deleted ? "store deleted" : "store restored", "");
    world_.disk = is_deleted ? SimDisk() : world_.backup;
    checks_.store_was_lost();
  }

  void act_at_stop(ControlLoop& loop) {
    const auto is_now = [&](int number) {
      const std::vector<Duration> moments = world_.faults.moments(number);
      return std::any_of(moments.begin(), moments.end(),
                         [&](Duration at) { return at <= world_.now() && world_.now() - at < 1s; });
    };
    down_for_ = incarnation_dice_.between(Duration{100ms}, 20s);
    if (is_now(53)) {
      world_.faults.strike(53);
      if (incarnation_dice_.hits(0.3)) {
        world_.pause_until_ns = (world_.now() + 60s).count();
      } else {
        const long budget = incarnation_dice_.between(0L, 2L);
        loop.stop(budget == 0 ? 0s : budget == 1 ? 5s : 30s);
        is_stopping_ = true;
        return;
      }
    }
    if (is_now(54)) {
      lose_store();
    }
    if (is_now(80)) {
      world_.faults.strike(80);
      down_for_ = 1h;
    }
    if (is_now(13)) {
      world_.faults.strike(13);
      down_for_ = 25h;
      until_ += down_for_;
    }
    world_.crash();
  }

  Task<> keep_backups() {
    while (true) {
      world_.backup = world_.disk;
      co_await world_.clock.sleep(1h);
    }
  }

  Task<> play_all() {
    TaskScope scope(world_.context.get_executor());
    for (const int number : {23, 50, 77}) {
      for (const Duration at : world_.faults.moments(number)) {
        if (options_.has_faults) moments_.emplace(at, number);
      }
    }
    for (const int number : {61, 71}) {
      for (const Duration at : world_.faults.moments(number)) {
        if (options_.has_faults) process_moments_.emplace(at, number);
      }
    }
    scope.spawn(go_on());
    if (options_.has_faults) scope.spawn(interfere_with_process());
    if (options_.has_faults) scope.spawn(resume_pools());
    if (options_.has_faults) scope.spawn(interfere());
    scope.spawn(bring_jobs());
    scope.spawn(cancel_jobs());
    if (world_.faults.has(54)) scope.spawn(keep_backups());
    if (options_.on_sample) scope.spawn(sample());
    until_ = options_.burst > 0   ? Duration(1h) + std::chrono::seconds(options_.burst)
             : options_.soak > 0s ? options_.soak + 1h
                                  : options_.length;
    while (world_.now() < until_) {
      down_for_ = incarnation_dice_.between(Duration{100ms}, 20s);
      // When the faults are over nobody crashes any more, and everything comes to rest.
      world_.may_crash = world_.now() < kFaultsUntil - 1h;
      Task<> living = live();
      co_await std::move(living);
      // The disk may go with the machine that crashes.
      const bool may_lose = options_.has_faults && world_.faults.is_open(54, world_.now());
      if (world_.is_crashed() && may_lose && incarnation_dice_.hits(0.3)) lose_store();
      if (world_.now() < until_) co_await world_.clock.sleep(down_for_);
    }
    scope.cancel();
    Task<> joining = scope.join();
    co_await std::move(joining);
  }

  const DayOptions options_;
  Plan plan_;
  SimWorld world_;
  Config config_;
  Checks checks_;
  Dice incarnation_dice_;
  std::multimap<Duration, int> moments_;
  std::multimap<Duration, int> process_moments_;
  Dice process_dice_;
  Duration ordered_at_{};        // When people last stopped a pool.
  ControlLoop* loop_ = nullptr;  // Of the process that runs.
  Duration down_for_{};
  Duration until_{};
  bool is_over_budget_ = false;
  bool is_stopping_ = false;
};

}  // namespace

DayResult play_day(const DayOptions& options) {
  Day day(options);
  return day.play();
}

DayOptions shrink(const DayOptions& failing, const std::string& invariant) {
  const auto still_fails = [&](const DayOptions& options) {
    const DayResult result = play_day(options);
    return std::any_of(result.violations.begin(), result.violations.end(),
                       [&](const Violation& one) { return one.invariant == invariant; });
  };
  DayOptions best = failing;
  for (const int number : play_day(failing).faults) {
    DayOptions fewer = best;
    fewer.without.insert(number);
    if (still_fails(fewer)) best = fewer;
  }
  for (int i = 0; i < 6; ++i) {
    DayOptions fewer = best;
    fewer.jobs_share /= 2;
    if (still_fails(fewer)) best = fewer;
  }
  return best;
}

}  // namespace muster::simulation
