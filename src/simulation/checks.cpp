#include "simulation/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ec2model/catalog.hpp"
#include "fleet/labels.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kLeakMax = 60s;   // T_leak
constexpr Duration kReactMax = 15s;  // T_react
constexpr Duration kSettled = 100s;  // After a fault: a call that hangs is given up after 60 s.
constexpr Duration kLookEvery = 10s;
constexpr Duration kDecided = 1s;  // Between what is seen and the commit of what follows.

/// Faults during which neither cloud nor CI server can be expected to say what is.
constexpr int kBlinding[] = {9,  10, 11, 16, 17, 18, 19, 24, 27, 30, 33,
                             34, 35, 36, 46, 53, 54, 58, 73, 74, 75};

template <class State>
bool is_reachable(State from, State to) {
  const StateGraph<State>& graph = graph_of(from);
  std::set<State> reached{from};
  for (bool grows = true; grows;) {
    grows = false;
    for (const Move<State>& move : graph.moves) {
      if (reached.contains(move.from)) grows = reached.insert(move.to).second || grows;
    }
  }
  return reached.contains(to);
}

}  // namespace

Checks::Checks(SimWorld& world, const Config& config) : world_(world), config_(config) {
  world_.watcher = this;
}

void Checks::watch(const Fleet* fleet) {
  if (fleet == nullptr && fleet_ != nullptr) {
    last_reasons_.clear();
    for (const auto& [key, demand] : fleet_->demand()) {
      last_reasons_ += to_string(demand.reason.cause) + ": " + demand.reason.text + "; ";
    }
  }
  fleet_ = fleet;
  ++changes_;
  watched_since_ = world_.now();
}

bool Checks::has_been_quiet(Duration time) const {
  return fleet_ != nullptr && world_.now() - watched_since_ > time &&
         world_.now() - disturbed_at_ > time;
}

void Checks::notice_disturbance() {
  const Duration now = world_.now();
  if (now == noticed_at_) return;
  noticed_at_ = now;
  const bool is_disturbed =
      world_.options().has_faults &&
      std::any_of(std::begin(kBlinding), std::end(kBlinding),
                  [&](int number) { return world_.faults.is_open(number, now); });
  if (is_disturbed) disturbed_at_ = now;
}

void Checks::look() {
  notice_disturbance();
  if (launches_ != looked_at_launches_) look_for_excess();
  looked_at_launches_ = launches_;
  if (world_.now() - looked_at_ < kLookEvery) return;
  looked_at_ = world_.now();
  if (!excused_.empty()) look_for_excess();
  count_money();
  look_for_leaks();
  look_for_lost_jobs();
}

void Checks::count_money() {
  if (config_.limits.usd_per_day.empty()) return;
  const TimePoint now = world_.clock.now();
  const TimePoint midnight = std::chrono::floor<std::chrono::days>(now);
  if (counted_at_ < midnight) usd_today_ = 0;
  const TimePoint from = std::max(counted_at_, midnight);
  for (const auto& [id, one] : world_.alive) {
    const TimePoint since = std::max(from, one.instance->launched_at);
    if (one.instance->state == ec2model::State::stopped || since >= now) continue;
    usd_today_ +=
        one.usd_per_hour * std::chrono::duration<double, std::ratio<3600>>(now - since).count();
  }
  counted_at_ = now;
}

/// I12: what changes the world comes from the one process that runs.
void Checks::called(const std::string& action, long incarnation) {
  if (incarnation == world_.incarnation() && !world_.is_crashed()) return;
  world_.violate("I12", fmt::format("{} comes from a process that is gone", action));
}

/// What each commit wants to store.
void Checks::note_rows(const FleetCommit& commit) {
  if (!world_.keeps_trace()) return;
  for (const Intent& one : commit.changes.intents) {
    world_.note("  row launch", one.id.value(), to_string(one.state) + " " + one.reason);
  }
  for (const Instance& one : commit.changes.instances) {
    world_.note("  row instance", one.id.value(),
                fmt::format("{} {} {}", to_string(one.phase), one.lease.value(), one.reason));
  }
  for (const Lease& one : commit.changes.leases) {
    world_.note("  row lease", one.id.value(),
                fmt::format("{} {} {} {}", to_string(one.state), one.job.value(),
                            one.instance.value(), one.reason));
  }
  for (const Job& one : commit.changes.jobs) {
    world_.note("  row job", one.id.value(), to_string(one.state) + " " + one.reason);
  }
}

/// I8: rows move along the graphs, however many moves one commit holds.
void Checks::committing(const FleetCommit& commit) {
  const auto check = [&](const auto& stored, const auto& row, auto state_of) {
    const auto before = stored.find(row.id);
    if (before == stored.end()) return;
    const auto from = state_of(before->second);
    const auto to = state_of(row);
    if (is_reachable(from, to)) return;
    world_.violate(
        "I8", fmt::format("{} went from {} to {}", row.id.value(), to_string(from), to_string(to)));
  };
  notice_disturbance();
  note_rows(commit);
  ++changes_;
  const SimDisk& disk = world_.disk;
  for (const Job& job : commit.changes.jobs) {
    const auto before = disk.jobs.find(job.id);
    // One that its CI server keeps listing after its end begins anew.
    const bool had_ended =
        before != disk.jobs.end() &&
        (before->second.state == JobState::finished || before->second.state == JobState::dropped);
    if (!had_ended) check(disk.jobs, job, [](const Job& one) { return one.state; });
  }
  for (const Instance& instance : commit.changes.instances) {
    const bool is_given_up =
        instance.phase == InstancePhase::terminating && world_.now() - disturbed_at_ < kDecided;
    if (is_given_up) given_up_.insert(instance.id);
    check(disk.instances, instance, [](const Instance& one) { return one.phase; });
  }
  for (const Lease& lease : commit.changes.leases) {
    check(disk.leases, lease, [](const Lease& one) { return one.state; });
  }
  removed_leases_.insert(commit.changes.removed_leases.begin(),
                         commit.changes.removed_leases.end());
  std::map<PoolName, PoolOrder> orders = disk.pool_orders;
  for (const PoolOrder& order : commit.changes.pool_orders) orders[order.pool] = order;
  for (const Intent& intent : commit.changes.intents) {
    const auto order = orders.find(intent.pool);
    const bool is_new = !disk.intents.contains(intent.id);
    if (is_new) check_schedule(intent);
    if (is_new && order != orders.end() && order->second.mode != PoolMode::open) {
      world_.violate("I6", fmt::format("pool {} is {}, and {} is launched", intent.pool.value(),
                                       to_string(order->second.mode), intent.id.value()));
    }
    check(disk.intents, intent, [](const Intent& one) { return one.state; });
  }
}

/// I9: what is told was committed before. The lease may be over when the claim arrives.
void Checks::job_claimed(const std::string& job, const LeaseId& lease) {
  if (world_.disk.leases.contains(lease) || removed_leases_.contains(lease)) return;
  world_.violate("I9", fmt::format("job {} was claimed for a lease that is not stored", job));
}

/// I9: a job begins when it is stored that it may have. I6: on a machine of the size that it asks
/// for. I5: which takes as many jobs as its pool allows, one unless it says more.
void Checks::job_started(const SimHost& host, const std::string& job, const LeaseId& lease) {
  const auto stored = world_.disk.leases.find(lease);
  const bool is_stored = stored == world_.disk.leases.end()
                             ? removed_leases_.contains(lease)
                             : stored->second.state == LeaseState::started ||
                                   (stored->second.state == LeaseState::reported &&
                                    stored->second.outcome != JobOutcome::none);
  if (!is_stored) {
    world_.violate("I9", fmt::format("job {} was started, and it is not stored that it is", job));
  }
  const ec2model::Instance& instance = *world_.model.find(host.id.value());
  const std::vector<std::string>& labels = world_.jobs.at(job).labels;
  const bool wants_large = std::find(labels.begin(), labels.end(), "size:large") != labels.end();
  if (wants_large != (instance.instance_type == kLargeType)) {
    world_.violate("I6", fmt::format("job {} for [{}] was started on a {}", job,
                                     join_labels(labels), instance.instance_type));
  }
  const auto pool = config_.pools.find(pool_of(instance));
  const int most = pool == config_.pools.end() ? 1 : pool->second.reuse.jobs;
  // How often one was used already, only the store knows.
  if (most > 1 && store_lost_at_) return;
  if (static_cast<int>(host.runs.size()) <= most) return;
  world_.violate("I5", fmt::format("{} got job {} after {} others", host.id.value(), job,
                                   host.runs.size() - 1));
}

/// I9: what is told was committed before. I4: none is given up that its machine runs.
void Checks::job_ended(const std::string& job, const LeaseId& lease, JobOutcome outcome) {
  const auto stored = world_.disk.leases.find(lease);
  const bool is_stored = stored != world_.disk.leases.end() &&
                         stored->second.state == LeaseState::reported &&
                         stored->second.outcome == outcome;
  if (!is_stored) {
    world_.violate("I9", fmt::format("the end of job {} was told and is not stored", job));
  }
  if (outcome != JobOutcome::lost) return;
  const auto host = world_.hosts.find(world_.jobs.at(job).instance);
  if (host == world_.hosts.end() || host->second.is_broken) return;
  const auto run = host->second.runs.find("/tmp/muster-" + lease.value());
  if (run == host->second.runs.end() || run->second.ends_at <= world_.now()) return;
  const std::string why = stored == world_.disk.leases.end() ? "" : stored->second.reason;
  const auto drill = world_.drilled.find(host->first);
  const bool is_drill = drill != world_.drilled.end() && world_.now() >= drill->second;
  // Whoever answers there with another key is told nothing.
  if (is_drill || why.find("HostKeyMismatch") != std::string::npos) return;
  world_.violate("I4", fmt::format("job {} is told to be lost, and {} runs it: {}", job,
                                   host->first.value(), why));
}

/// I1, I2, I7, I9.
void Checks::launched(const std::string& id) {
  const ec2model::Instance& instance = *world_.model.find(id);
  ++launches_;
  last_launch_ = world_.now();
  world_.trace("instance launched", id, pool_of(instance));
  const std::string intent =
      instance.tags.contains("muster:intent") ? instance.tags.at("muster:intent") : std::string();
  if (!intent.empty() && !world_.disk.intents.contains(IntentId(intent))) {
    world_.violate("I9", fmt::format("{} was launched by an intent that is not stored", id));
  }
  const auto [reservation, is_new] = reservations_.emplace(intent, instance.client_token);
  const bool is_twice = !is_new && reservation->second != instance.client_token;
  if (is_twice) world_.violate("I2", fmt::format("{} has machines of two launches", intent));
  if (instance.tags.find("muster:cluster") == instance.tags.end() ||
      instance.tags.find("muster:intent") == instance.tags.end()) {
    world_.violate("I1", fmt::format("{} has no tags to be found by", id));
  }
  if (!instance.terminates_on_shutdown ||
      instance.user_data.find("shutdown -h") == std::string::npos) {
    world_.violate("I1", fmt::format("{} has no dead-man timer", id));
  }
  count_money();
  const std::optional<double> most = parse_decimal(config_.limits.usd_per_day);
  // What was spent, a lost store does not know; when the day begins, not a clock that is wrong.
  const bool is_excused = store_lost_at_ || world_.faults.has(61);
  if (most && usd_today_ > *most && !is_excused) {
    world_.violate("I6", fmt::format("{} was launched when the day had cost ${:.2f} of ${:.2f}", id,
                                     usd_today_, *most));
  }
  const bool has_secret = instance.user_data.find("PRIVATE KEY") != std::string::npos ||
                          instance.user_data.find("the cluster's secret") != std::string::npos;
  if (has_secret) world_.violate("I7", fmt::format("the user data of {} holds a secret", id));
}

/// I6: nothing is launched for a pool while its schedule closes it.
void Checks::check_schedule(const Intent& intent) {
  const auto pool = config_.pools.find(intent.pool.value());
  // A clock that jumps shows another minute.
  if (pool == config_.pools.end() || world_.faults.has(61)) return;
  for (const auto& [name, schedule] : pool->second.schedule) {
    const auto period = CronPeriod::parse(schedule.when);
    if (schedule.max_instances != 0 || !period || !schedule.holds(intent.created_at, *period))
      continue;
    world_.violate("I6", fmt::format("pool {} is closed by its schedule {}, and {} is launched",
                                     intent.pool.value(), name, intent.id.value()));
  }
}

/// I6: never more than a pool may have, at any instant.
void Checks::look_for_excess() {
  std::map<std::string_view, int> alive;
  int all = 0;
  int vcpus = 0;
  for (const auto& [id, one] : world_.alive) {
    if (one.instance->state == ec2model::State::stopped) continue;
    ++alive[one.pool];
    ++all;
    vcpus += one.vcpus;
  }
  // A store that was lost forgets launches that are on their way: what stands then, may stand.
  const bool is_excused = store_lost_at_ && world_.now() - *store_lost_at_ < 6min;
  const auto check = [&](const std::string& what, int count, int most, const char* unit) {
    const std::string key = what + unit;
    if (count <= most) {
      excused_.erase(key);
      return;
    }
    if (is_excused) excused_[key] = count;
    const auto excused = excused_.find(key);
    if (excused != excused_.end() && count <= excused->second) {
      excused->second = count;
      return;
    }
    world_.violate("I6", fmt::format("{} has {} {}, and may have {}", what, count, unit, most));
  };
  for (const auto& [name, pool] : config_.pools) {
    const auto found = alive.find(name);
    check("pool " + name, found == alive.end() ? 0 : found->second, pool.max_instances,
          "instances");
  }
  const Limits& limits = config_.limits;
  if (limits.vcpus > 0) check("the cluster", vcpus, limits.vcpus, "vCPUs");
  if (limits.instances > 0) check("the cluster", all, limits.instances, "instances");
}

/// I4: nobody's running job is ended, unless it was cancelled, or people drill just that.
void Checks::terminating(const std::vector<std::string>& ids) {
  notice_disturbance();
  for (const std::string& id : ids) {
    const auto host = world_.hosts.find(InstanceId(id));
    if (host == world_.hosts.end() || host->second.is_broken) continue;
    for (const auto& [folder, run] : host->second.runs) {
      if (run.ends_at <= world_.now()) continue;
      const SimJob& job = world_.jobs.at(run.job);
      const bool may_end =
          job.state == CiJobState::cancelled || run.ends_at - run.started_at > 30min;
      if (may_end) continue;
      // Unreachable for longer than anybody waits is as good as broken.
      const bool was_cut = world_.now() - disturbed_at_ < kDecided;
      const auto drill = world_.drilled.find(host->second.id);
      const bool is_drill = drill != world_.drilled.end() && world_.now() >= drill->second;
      if (was_cut || is_drill || given_up_.contains(host->second.id)) continue;
      world_.violate("I4", fmt::format("{} was ended under job {}", id, run.job));
    }
  }
}

/// I1: whatever runs is known, or gone soon.
void Checks::look_for_leaks() {
  if (!has_been_quiet(kSettled)) return unreferenced_since_.clear();
  for (const auto& [id, one] : world_.alive) {
    const bool is_visible = one.instance->visible_at <= world_.clock.now();
    const bool is_known = fleet_ != nullptr && fleet_->find(InstanceId(id)) != nullptr;
    if (is_known || !is_visible || fleet_ == nullptr) {
      unreferenced_since_.erase(id);
      continue;
    }
    const Duration since = unreferenced_since_.emplace(id, world_.now()).first->second;
    if (world_.now() - since > kLeakMax) {
      world_.violate("I1", fmt::format("{} runs, and nothing knows it", id));
      unreferenced_since_[id] = world_.now();
    }
  }
  std::erase_if(unreferenced_since_,
                [&](const auto& one) { return !world_.alive.contains(one.first); });
}

/// I3: every job that waits is known, with the reason for which it waits.
void Checks::look_for_lost_jobs() {
  if (!has_been_quiet(kSettled) || fleet_ == nullptr) {
    unknown_since_.clear();
    looked_at_changes_ = -1;
    return;
  }
  const auto& demand = fleet_->demand();
  const bool is_all_said = std::all_of(demand.begin(), demand.end(), [](const auto& one) {
    return one.second.reason.cause != WaitCause::none;
  });
  // What was fine, and has not changed since, is fine.
  const long changes = changes_ + world_.job_changes;
  if (is_all_said && unknown_since_.empty() && changes == looked_at_changes_) return;
  const auto has_reason = [&](const Job& job) {
    const auto group = demand.find(key_of(job));
    return group != demand.end() && group->second.jobs.contains({job.queued_at, job.id}) &&
           (is_all_said || group->second.reason.cause != WaitCause::none);
  };
  for (const auto& [id, job] : world_.current_jobs) {
    const bool waits = job->state == CiJobState::queued;
    if (!waits && unknown_since_.empty()) continue;
    const Job* known = waits ? fleet_->find(JobId("sim/" + id)) : nullptr;
    const bool is_taken =
        known != nullptr && (known->state == JobState::leased || known->state == JobState::running);
    const bool is_waiting = known != nullptr && known->state == JobState::queued;
    const bool is_fine = !waits || is_taken || (is_waiting && has_reason(*known));
    if (is_fine) {
      unknown_since_.erase(id);
      continue;
    }
    const Duration since = unknown_since_.emplace(id, world_.now()).first->second;
    if (world_.now() - since <= kReactMax) continue;
    world_.violate("I3", fmt::format("job {} waits, and {}", id,
                                     known == nullptr ? "nothing knows it" : "nothing says why"));
    unknown_since_[id] = world_.now();
  }
  looked_at_changes_ = unknown_since_.empty() ? changes : -1;
}

/// What the process says of a job, for people.
std::string Checks::describe(const std::string& id) const {
  const auto found = world_.disk.jobs.find(JobId("sim/" + id));
  if (found == world_.disk.jobs.end()) return "not known";
  std::string text = to_string(found->second.state);
  if (!last_reasons_.empty()) text += ", " + last_reasons_;
  const auto lease = world_.disk.leases.find(found->second.lease);
  if (lease != world_.disk.leases.end()) {
    text += ", lease " + to_string(lease->second.state) + " on " + lease->second.instance.value();
    const auto instance = world_.disk.instances.find(lease->second.instance);
    text += instance == world_.disk.instances.end() ? " (not known)"
                                                    : " " + to_string(instance->second.phase);
  }
  return text;
}

/// I10 and I11: when the faults are over, all jobs have ended and only what is wanted is left.
void Checks::at_end() {
  int open_jobs = 0;
  std::string example;
  for (const auto& [id, job] : world_.jobs) {
    const bool is_over = job.state == CiJobState::finished || job.state == CiJobState::cancelled;
    const bool is_stray = id == "stray";
    if (is_over || is_stray || !job.is_visible) continue;
    ++open_jobs;
    example = id;
  }
  const bool has_limit = !config_.limits.usd_per_day.empty();
  if (open_jobs > 0 && !has_limit) {
    world_.violate("I10", fmt::format("{} jobs have not ended, such as {} ({})", open_jobs, example,
                                      describe(example)));
  }
  int wanted = 0;
  for (const auto& [name, pool] : config_.pools) {
    int idle = pool.idle.count;
    for (const auto& [when, schedule] : pool.schedule) idle = std::max(idle, schedule.idle_count);
    wanted += std::min(pool.max_instances, idle + pool.stopped_count + 1);
  }
  const int alive = static_cast<int>(world_.alive.size());
  if (alive > wanted && open_jobs == 0) {
    world_.violate("I10", fmt::format("{} instances are left, and {} are wanted", alive, wanted));
  }
  const std::size_t jobs = world_.jobs.size();
  if (world_.disk.jobs.size() > jobs || world_.disk.leases.size() > jobs ||
      world_.disk.instances.size() > 2000 || world_.disk.intents.size() > 2000) {
    world_.violate("I11", "the store grows without bound");
  }
}

}  // namespace muster::simulation
