#include "service/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kCausesMax = 64;
constexpr std::size_t kWaitsMax = 1000;
constexpr Duration kWaitsSince = 24h;

double seconds_of(Duration time) { return std::chrono::duration<double>(time).count(); }

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

/// Who could have made it shorter.
std::string_view part_of(WaitCause cause) {
  switch (cause) {
    case WaitCause::none:
    case WaitCause::booting:
    case WaitCause::launching: return "boot";
    case WaitCause::capacity:
    case WaitCause::quota:
    case WaitCause::throttled:
    case WaitCause::circuit_open:
    case WaitCause::launch_error: return "capacity";
    default: return "policy";
  }
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

}  // namespace

void Histogram::add(Duration took) {
  const double seconds = std::max(0.0, seconds_of(took));
  const auto place = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++counts_.at(static_cast<std::size_t>(place - kBounds.begin()));
  sum_ += seconds;
  ++count_;
}

std::string Histogram::text(std::string_view name, const std::string& labels) const {
  std::string out;
  const std::string before = labels.empty() ? "" : labels + ",";
  const std::string alone = labels.empty() ? "" : "{" + labels + "}";
  long below = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    below += counts_.at(i);
    out += fmt::format("{}_bucket{{{}le=\"{}\"}} {}\n", name, before, kBounds.at(i), below);
  }
  out += fmt::format("{}_bucket{{{}le=\"+Inf\"}} {}\n", name, before, count_);
  out += fmt::format("{0}_sum{1} {2}\n{0}_count{1} {3}\n", name, alone, sum_, count_);
  return out;
}

void Metrics::note(const FleetChanges& changes, const Fleet& fleet, TimePoint now) {
  for (const Job& job : changes.jobs) note_job(job, fleet, now);
  for (const JobId& id : changes.removed_jobs) jobs_.erase(id);
  for (const Instance& one : changes.instances) {
    const bool is_fresh = one.phase == InstancePhase::pending && !one.is_adopted;
    if (is_fresh && pending_.insert(one.id).second) ++launched_[one.pool.value()];
  }
  for (const InstanceId& id : changes.removed_instances) pending_.erase(id);
  note_causes(fleet, now);
}

void Metrics::note_causes(const Fleet& fleet, TimePoint now) {
  for (const auto& [key, demand] : fleet.demand()) {
    auto& causes = waited_[key].causes;
    const WaitCause cause =
        demand.coming_count > 0 ? demand.coming_reason.cause : demand.reason.cause;
    if (!causes.empty() && causes.back().second == cause) continue;
    causes.emplace_back(now, cause);
    if (causes.size() > kCausesMax) causes.pop_front();
  }
  std::erase_if(waited_, [&](const auto& one) { return !fleet.demand().contains(one.first); });
}

void Metrics::note_job(const Job& job, const Fleet& fleet, TimePoint now) {
  const auto [place, is_new] = jobs_.try_emplace(job.id);
  Seen& seen = place->second;
  // One of before this process: what it waited for then is not known.
  if (is_new)
    seen = {job.state == JobState::queued ? now : job.queued_at, JobState::queued, {}, {}};
  if (seen.state == job.state) return;
  const JobState before = std::exchange(seen.state, job.state);
  if (job.state == JobState::leased) {
    // Once, however often it is given back.
    if (seen.leased_at == TimePoint{}) count_wait(job, seen.at, now);
    seen.leased_at = now;
  } else if (job.state == JobState::running && before == JobState::leased) {
    seen.started_at = now;
    wait_.add(now - job.queued_at);
    if (const Instance* instance = fleet.find(job.instance); instance != nullptr) {
      auto& waits = waits_[instance->pool];
      waits.emplace_back(now, std::max<Duration>(now - job.queued_at, Duration{}));
      if (waits.size() > kWaitsMax) waits.pop_front();
    }
    parts_["start"].add(now - seen.leased_at);
  } else if (job.state == JobState::finished || job.state == JobState::dropped) {
    ++ended_[to_string(job.outcome)];
    const bool has_run = job.state == JobState::finished && seen.started_at != TimePoint{};
    if (has_run) run_.add(now - seen.started_at);
  }
}

void Metrics::count_wait(const Job& job, TimePoint seen_at, TimePoint now) {
  parts_["ci_server"].add(seen_at - job.queued_at);
  std::map<std::string_view, Duration> by_part{
      {"policy", Duration{}}, {"capacity", Duration{}}, {"boot", Duration{}}};
  const auto group = waited_.find(key_of(job));
  if (group != waited_.end()) {
    const auto& causes = group->second.causes;
    for (std::size_t i = 0; i < causes.size(); ++i) {
      const TimePoint from = std::max(causes[i].first, seen_at);
      const TimePoint to = i + 1 < causes.size() ? causes[i + 1].first : now;
      if (to > from) by_part[part_of(causes[i].second)] += to - from;
    }
  }
  for (const auto& [part, took] : by_part) parts_[std::string(part)].add(took);
}

std::optional<Metrics::Waits> Metrics::waits_of(const PoolName& pool, TimePoint now) const {
  const auto found = waits_.find(pool);
  if (found == waits_.end()) return std::nullopt;
  std::vector<Duration> sorted;
  for (const auto& [at, took] : found->second) {
    if (now - at <= kWaitsSince) sorted.push_back(took);
  }
  if (sorted.empty()) return std::nullopt;
  std::sort(sorted.begin(), sorted.end());
  return Waits{sorted[sorted.size() / 2], sorted[sorted.size() * 95 / 100]};
}

std::string Metrics::text(const Controller& controller, TimePoint now,
                          bool is_store_failing) const {
  const Fleet& fleet = controller.fleet();
  std::string out;
  head(out, "muster_build_info", "gauge", "The version that runs.");
  out += fmt::format("muster_build_info{{version=\"{}\"}} 1\n", MUSTER_VERSION);
  head(out, "muster_jobs", "gauge", "Jobs that have not ended, by state.");
  std::map<JobState, long> states{
      {JobState::queued, 0}, {JobState::leased, 0}, {JobState::running, 0}};
  for (const JobId& id : fleet.open_jobs()) ++states[fleet.find(id)->state];
  for (const auto& [state, count] : states)
    out += fmt::format("muster_jobs{{state=\"{}\"}} {}\n", to_string(state), count);
  head(out, "muster_jobs_ended_total", "counter", "Jobs that have ended, by outcome.");
  for (const auto& [outcome, count] : ended_)
    out += fmt::format("muster_jobs_ended_total{{outcome=\"{}\"}} {}\n", outcome, count);
  head(out, "muster_job_wait_seconds", "histogram", "From queued at the CI server to started.");
  out += wait_.text("muster_job_wait_seconds", "");
  head(out, "muster_job_wait_part_seconds", "histogram",
       "The same, by what it was for: the CI server's word, policy, capacity, boot, start.");
  for (const auto& [part, histogram] : parts_)
    out += histogram.text("muster_job_wait_part_seconds", fmt::format("part=\"{}\"", part));
  head(out, "muster_job_run_seconds", "histogram", "From started to ended.");
  out += run_.text("muster_job_run_seconds", "");
  head(out, "muster_instances", "gauge", "Instances, by pool and phase.");
  std::map<std::pair<std::string, std::string>, long> instances;
  for (const auto& [id, one] : fleet.instances())
    ++instances[{one.pool.value(), to_string(one.phase)}];
  for (const auto& [at, count] : instances) {
    out += fmt::format("muster_instances{{pool=\"{}\",phase=\"{}\"}} {}\n", escaped(at.first),
                       at.second, count);
  }
  head(out, "muster_instances_launched_total", "counter", "Instances that were launched, by pool.");
  for (const auto& [pool, count] : launched_)
    out += fmt::format("muster_instances_launched_total{{pool=\"{}\"}} {}\n", escaped(pool), count);
  head(out, "muster_pool_limit", "gauge", "max_instances of each pool.");
  for (const auto& [name, pool] : controller.config().pools)
    out += fmt::format("muster_pool_limit{{pool=\"{}\"}} {}\n", escaped(name), pool.max_instances);
  head(out, "muster_pool_idle_wanted", "gauge", "Idle instances that each pool wants now.");
  for (const auto& [name, pool] : controller.config().pools) {
    out += fmt::format("muster_pool_idle_wanted{{pool=\"{}\"}} {}\n", escaped(name),
                       controller.planner().idle_target(pool, now));
  }
  head(out, "muster_pool_open", "gauge", "1, or 0 while people have it paused or draining.");
  for (const auto& [name, pool] : controller.config().pools) {
    out += fmt::format("muster_pool_open{{pool=\"{}\"}} {}\n", escaped(name),
                       fleet.mode_of(pool.name) == PoolMode::open ? 1 : 0);
  }
  head(out, "muster_usd_today", "gauge", "What instances have cost today (UTC), as far as known.");
  out += fmt::format("muster_usd_today {:.4f}\n", fleet.usd_spent(now));
  head(out, "muster_api_refused_total", "counter",
       "Requests by those who may not make them, by why.");
  for (const auto& [why, count] : refused_)
    out += fmt::format("muster_api_refused_total{{why=\"{}\"}} {}\n", why, count);
  head(out, "muster_store_failing", "gauge", "1 while the store cannot be written.");
  out += fmt::format("muster_store_failing {}\n", is_store_failing ? 1 : 0);
  return out;
}

}  // namespace muster
