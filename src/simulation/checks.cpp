#include "simulation/checks.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kLeakMax = 60s;   // T_leak
constexpr Duration kReactMax = 15s;  // T_react
constexpr Duration kLookEvery = 5s;

/// Faults during which neither cloud nor CI server can be expected to say what is.
constexpr int kBlinding[] = {9,  10, 11, 16, 17, 18, 19, 24, 27, 30, 33,
                             34, 35, 36, 46, 53, 54, 58, 61, 73, 74, 75};

std::string pool_of(const ec2model::Instance& instance) {
  const auto tag = instance.tags.find("muster:pool");
  return tag == instance.tags.end() ? std::string() : tag->second;
}

}  // namespace

Checks::Checks(SimWorld& world, const Config& config) : world_(world), config_(config) {
  world_.on_launch = [this](const std::string& id) { launched(id); };
  world_.on_terminate = [this](const std::vector<std::string>& ids) { terminating(ids); };
}

void Checks::watch(const ControlLoop* loop) {
  if (loop == nullptr && loop_ != nullptr) {
    last_reasons_.clear();
    for (const auto& [key, demand] : loop_->fleet().demand()) {
      last_reasons_ += to_string(demand.reason.cause) + ": " + demand.reason.text + "; ";
    }
  }
  loop_ = loop;
  watched_since_ = world_.now();
}

bool Checks::has_been_quiet(Duration time) const {
  return loop_ != nullptr && world_.now() - watched_since_ > time &&
         world_.now() - disturbed_at_ > time;
}

void Checks::look() {
  for (const int number : kBlinding) {
    if (world_.options().has_faults && world_.faults.is_open(number, world_.now())) {
      disturbed_at_ = world_.now();
    }
  }
  if (launches_ != looked_at_launches_) look_for_excess();
  looked_at_launches_ = launches_;
  if (world_.now() - looked_at_ < kLookEvery) return;
  looked_at_ = world_.now();
  look_for_leaks();
  look_for_lost_jobs();
}

/// I2, I6, I7.
void Checks::launched(const std::string& id) {
  const ec2model::Instance& instance = *world_.model.find(id);
  ++launches_;
  last_launch_ = world_.now();
  world_.trace("instance launched", id, pool_of(instance));
  const std::string intent =
      instance.tags.contains("muster:intent") ? instance.tags.at("muster:intent") : std::string();
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
  const bool has_secret = instance.user_data.find("PRIVATE KEY") != std::string::npos ||
                          instance.user_data.find("the cluster's secret") != std::string::npos;
  if (has_secret) world_.violate("I7", fmt::format("the user data of {} holds a secret", id));
}

/// I6: never more than a pool may have, at any instant.
void Checks::look_for_excess() {
  std::map<std::string, int> alive;
  int all = 0;
  for (const std::string& id : world_.alive) {
    const ec2model::Instance& instance = *world_.model.find(id);
    if (instance.state == ec2model::State::stopped) continue;
    ++alive[pool_of(instance)];
    ++all;
  }
  // A store that was lost forgets launches that are on their way.
  const bool is_excused = store_lost_at_ && world_.now() - *store_lost_at_ < 6min;
  for (const auto& [name, count] : alive) {
    const auto pool = config_.pools.find(name);
    if (pool == config_.pools.end() || is_excused) continue;
    if (count > pool->second.max_instances) {
      world_.violate("I6", fmt::format("pool {} has {} instances, and may have {}", name, count,
                                       pool->second.max_instances));
    }
  }
  const int most = config_.limits.instances;
  if (most > 0 && all > most && !is_excused) {
    world_.violate("I6", fmt::format("the cluster has {} instances, and may have {}", all, most));
  }
}

/// I4: nobody's running job is ended, unless it was cancelled.
void Checks::terminating(const std::vector<std::string>& ids) {
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
      const bool was_cut = world_.now() - disturbed_at_ < 1s;
      if (was_cut) continue;
      world_.violate("I4", fmt::format("{} was ended under job {}", id, run.job));
    }
  }
}

/// I1: whatever runs is known, or gone soon.
void Checks::look_for_leaks() {
  for (const std::string& id : world_.alive) {
    const ec2model::Instance& instance = *world_.model.find(id);
    const bool is_visible = instance.visible_at <= world_.clock.now();
    const bool is_known = loop_ != nullptr && loop_->fleet().find(InstanceId(id)) != nullptr;
    if (is_known || !is_visible || loop_ == nullptr) {
      unreferenced_since_.erase(id);
      continue;
    }
    const Duration since = unreferenced_since_.emplace(id, world_.now()).first->second;
    const bool is_over = world_.now() - since > kLeakMax && has_been_quiet(kLeakMax + 20s);
    if (is_over) {
      world_.violate("I1", fmt::format("{} runs, and nothing knows it", id));
      unreferenced_since_[id] = world_.now();
    }
  }
  std::erase_if(unreferenced_since_,
                [&](const auto& one) { return !world_.alive.contains(one.first); });
}

/// I3: every job that waits is known, with the reason for which it waits.
void Checks::look_for_lost_jobs() {
  for (const std::string& id : world_.current_jobs) {
    const SimJob& job = world_.jobs.at(id);
    const bool waits = job.state == CiJobState::queued;
    if (!waits && unknown_since_.empty()) continue;
    bool is_fine = !waits || loop_ == nullptr;
    const Job* known = is_fine ? nullptr : loop_->fleet().find(JobId("sim/" + id));
    if (!is_fine && known != nullptr) {
      is_fine = known->state == JobState::leased || known->state == JobState::running;
      const auto demand = loop_->fleet().demand().find(
          {known->tenant, known->repository, known->priority, known->labels});
      if (demand != loop_->fleet().demand().end()) {
        is_fine = is_fine || demand->second.reason.cause != WaitCause::none;
      }
    }
    if (is_fine) {
      unknown_since_.erase(id);
      continue;
    }
    const Duration since = unknown_since_.emplace(id, world_.now()).first->second;
    const bool is_over = world_.now() - since > kReactMax && has_been_quiet(kReactMax + 50s);
    if (!is_over) continue;
    world_.violate("I3", fmt::format("job {} waits, and {}", id,
                                     known == nullptr ? "nothing knows it" : "nothing says why"));
    unknown_since_[id] = world_.now();
  }
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
