#include "fleet/explain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/nearest.hpp"
#include "fleet/labels.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

std::string plural(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string ordinal(int number) {
  const int tens = number % 100;
  const bool is_teen = tens >= 11 && tens <= 13;
  const int last = is_teen ? 0 : number % 10;
  const char* ending = last == 1 ? "st" : last == 2 ? "nd" : last == 3 ? "rd" : "th";
  return fmt::format("{}{}", number, ending);
}

std::string clock_time(TimePoint at) { return format_iso8601(at).substr(11, 8); }

/// ` since 12:04:31 (38 s)`
std::string since_text(TimePoint since, TimePoint now) {
  return fmt::format(" since {} ({})", clock_time(since),
                     format_duration(std::max<Duration>(now - since, Duration{})));
}

/// What the cause is called in the first line.
std::string_view words_of(WaitCause cause) {
  switch (cause) {
    case WaitCause::none: return "waiting for an instance";
    case WaitCause::no_pool: return "waiting for a pool with its labels";
    case WaitCause::booting: return "waiting for a machine to come up";
    case WaitCause::launching: return "waiting for a launch";
    case WaitCause::pool_limit: return "waiting for room in its pool";
    case WaitCause::schedule: return "waiting: its pool is closed by its schedule";
    case WaitCause::growth_limit: return "waiting for other machines to come up first";
    case WaitCause::cluster_limit:
    case WaitCause::vcpu_limit: return "waiting for room in the cluster";
    case WaitCause::launch_rate_limit: return "waiting for the next launch that the limits allow";
    case WaitCause::budget: return "waiting for money";
    case WaitCause::label_limit: return "waiting for other jobs with its label to end";
    case WaitCause::repository_limit: return "waiting for other jobs of its repository to end";
    case WaitCause::paused: return "waiting for its pool to be resumed";
    case WaitCause::draining: return "waiting: its pool is being drained";
    case WaitCause::capacity: return "waiting for capacity";
    case WaitCause::quota: return "waiting for quota";
    case WaitCause::throttled: return "waiting for EC2's rate limit";
    case WaitCause::circuit_open: return "waiting: machines of its pool do not come up";
    case WaitCause::launch_error: return "waiting: its pool cannot be launched";
    case WaitCause::launch_freeze: return "waiting: there are more instances than planned";
    case WaitCause::stopping: return "waiting for the next muster daemon";
    case WaitCause::cloud_unlisted: return "waiting until EC2 is listed again";
  }
  return "waiting";
}

/// Why no pool takes a job, and what would change that.
struct Misfit {
  std::string text;
  std::string change;
};

constexpr std::string_view kThenReload = "; then: muster config reload";

/// Of the pools, or of the only one that the job's labels name.
Misfit misfit_of(const Config& config, const Job& job) {
  const std::optional<std::string> named = named_pool(job.labels);
  std::vector<std::string> names;
  const Pool* nearest = nullptr;
  std::vector<std::string> fewest;
  for (const auto& [name, pool] : config.pools) {
    names.push_back(name);
    if (named && !has_label(pool, pool_label(*named))) continue;
    std::vector<std::string> lacks;
    for (const std::string& label : job.labels) {
      if (!has_label(pool, label)) lacks.push_back(label);
    }
    if (nearest != nullptr && lacks.size() >= fewest.size()) continue;
    nearest = &pool;
    fewest = std::move(lacks);
  }
  if (names.empty())
    return {"there are no pools", fmt::format("add one to muster.yml{}", kThenReload)};
  if (nearest == nullptr) {
    const auto near = nearest_name(*named, names);
    const std::string what = fmt::format("there is no pool {}", *named);
    return {near ? fmt::format("{}; did it mean {}?", what, *near) : what,
            fmt::format("change the job's label {}, or add pools.{} to muster.yml{}",
                        pool_label(*named), *named, kThenReload)};
  }
  const std::string pool = nearest->name.value();
  if (fewest.empty()) {
    return {fmt::format("pool {} takes only jobs with exactly its labels", pool),
            fmt::format("give the job the labels [{}], or set pools.{}.match: subset{}",
                        join_labels(nearest->labels), pool, kThenReload)};
  }
  const std::string text =
      fmt::format("pool {} is nearest and lacks [{}]", pool, join_labels(fewest));
  if (const auto other = named_pool(fewest)) {
    return {fmt::format("no machine is of two pools, {} and {}", pool, *other),
            "name one pool in the job's labels"};
  }
  const std::vector<std::string> plain = plain_labels(fewest);
  std::vector<std::string> changes;
  if (!plain.empty()) {
    changes.push_back(named ? fmt::format("add [{}] to pools.{}.labels", join_labels(plain), pool)
                            : fmt::format("give a pool of muster.yml the labels [{}]",
                                          join_labels(plain_labels(job.labels))));
  }
  if (plain.size() < fewest.size()) {
    std::erase_if(fewest, [&](const std::string& label) {
      return std::find(plain.begin(), plain.end(), label) != plain.end();
    });
    changes.push_back(fmt::format("add the size of [{}] to the pool's sizes", join_labels(fewest)));
  }
  return {text, fmt::format("{}{}", fmt::join(changes, ", and "), kThenReload)};
}

/// The command, or the key of muster.yml, that would end it.
std::string change_for(const WaitReason& reason, const Config& config, const Job& job) {
  const std::string& pool = reason.pool;
  switch (reason.cause) {
    case WaitCause::no_pool: return misfit_of(config, job).change;
    case WaitCause::pool_limit:
      return fmt::format("raise pools.{}.max_instances, then: muster config reload", pool);
    case WaitCause::growth_limit:
      return fmt::format("raise pools.{}.growth_limit, then: muster config reload", pool);
    case WaitCause::cluster_limit: return "raise limits.instances, then: muster config reload";
    case WaitCause::vcpu_limit: return "raise limits.vcpus, then: muster config reload";
    case WaitCause::launch_rate_limit:
      return "raise limits.launches_per_minute, then: muster config reload";
    case WaitCause::budget: return "raise limits.usd_per_day, then: muster config reload";
    case WaitCause::label_limit:
      return "raise the label's limits.labels, then: muster config reload";
    case WaitCause::repository_limit:
      return "raise limits.repository_jobs, then: muster config reload";
    case WaitCause::paused:
    case WaitCause::draining: return fmt::format("muster pool resume {}", pool);
    case WaitCause::capacity:
      return fmt::format(
          "add types or subnets to pools.{0}, or allow pools.{0}.on_demand: fallback; then: muster "
          "config reload",
          pool);
    case WaitCause::quota: return "ask AWS for a higher quota, or end machines that are not needed";
    case WaitCause::circuit_open:
    case WaitCause::launch_error:
      return fmt::format("correct what the message names in pools.{}; then: muster config reload",
                         pool);
    case WaitCause::stopping: return "muster daemon";
    default: return "";
  }
}

std::string next_of(WaitCause cause) {
  switch (cause) {
    case WaitCause::capacity:
    case WaitCause::quota: return "the next offering is tried";
    case WaitCause::throttled:
    case WaitCause::launch_rate_limit: return "the next launch is made";
    case WaitCause::circuit_open:
    case WaitCause::launch_error: return "one launch is tried";
    case WaitCause::schedule: return "the schedule allows more";
    case WaitCause::budget: return "a new day begins (UTC)";
    default: return "";
  }
}

/// The machine that has been coming up for longest, of a pool.
const Instance* oldest_coming(const Fleet& fleet, const std::string& pool) {
  const Instance* oldest = nullptr;
  for (const auto& [at, supply] : fleet.supply()) {
    if (at.pool.value() != pool || supply.booting.empty()) continue;
    const Instance* first = fleet.find(supply.booting.begin()->second);
    if (oldest == nullptr || first->launched_at < oldest->launched_at) oldest = first;
  }
  return oldest;
}

/// A launch of the pool that the cloud has not answered, and why.
const Intent* launch_in_trouble(const Fleet& fleet, const std::string& pool) {
  for (const auto& [id, intent] : fleet.intents()) {
    const bool is_here = intent.pool.value() == pool && intent.state == IntentState::open;
    if (is_here && !intent.trouble.empty()) return &intent;
  }
  return nullptr;
}

/// Another tenant that waits for the same pool, has less than its share, and so goes first.
const Demand::Key* served_first(const Controller& controller, const Job& job,
                                const std::string& pool) {
  const Config& config = controller.config();
  const Fleet& fleet = controller.fleet();
  const auto share = [&](const std::string& tenant) {
    const auto found = config.tenants.find(tenant);
    const int weight = found == config.tenants.end() ? 1 : found->second.weight;
    return static_cast<double>(fleet.tenant_count(tenant)) / weight;
  };
  for (const auto& [key, demand] : fleet.demand()) {
    if (key.tenant == job.tenant || demand.jobs.empty()) continue;
    const Pool* of = controller.find_pool(PoolName(pool));
    const bool wants_same = of != nullptr && matches_labels(*of, key.labels);
    if (wants_same && share(key.tenant) < share(job.tenant)) return &key;
  }
  return nullptr;
}

void explain_waiting(const Controller& controller, const Job& job, TimePoint now,
                     Explanation& out) {
  const Fleet& fleet = controller.fleet();
  const auto found = fleet.demand().find(key_of(job));
  if (found == fleet.demand().end()) return;
  const Demand& demand = found->second;
  const auto place = demand.jobs.find({job.queued_at, job.id});
  const int older = static_cast<int>(std::distance(demand.jobs.begin(), place));
  WaitReason reason = demand.reason_of(older);
  out.cause = to_string(reason.cause);
  out.since = std::max(reason.since, job.queued_at);
  if (reason.cause == WaitCause::none) out.since = job.queued_at;
  out.next_at = reason.next;
  out.next = next_of(reason.cause);
  out.change = change_for(reason, controller.config(), job);
  if (const Pool* pool = controller.find_pool(PoolName(reason.pool));
      reason.cause == WaitCause::schedule && pool != nullptr) {
    const std::string name = controller.planner().limited_by(*pool, now);
    if (!name.empty()) {
      out.change =
          fmt::format("raise pools.{}.schedule.{}.max_instances, then: muster config reload",
                      reason.pool, name);
    }
    if (!out.next_at) out.next = "its schedule allows no more in the next 24 hours";
  }
  std::string words(words_of(reason.cause));
  std::string text = reason.text;
  const bool is_coming = reason.cause == WaitCause::booting || reason.cause == WaitCause::launching;
  const std::string failure = controller.market().last_failure(PoolName(reason.pool), now);
  if (const Instance* coming = oldest_coming(fleet, reason.pool);
      reason.cause == WaitCause::booting && coming != nullptr) {
    const Pool* pool = controller.find_pool(coming->pool);
    out.since = std::max(coming->launched_at, job.queued_at);
    text = fmt::format("{} of pool {} was launched {} ago", coming->id.value(), reason.pool,
                       format_duration(std::max<Duration>(now - coming->launched_at, Duration{})));
    if (!coming->trouble.empty()) text += "; " + coming->trouble;
    if (pool != nullptr) {
      out.next = "it is given up and another is launched";
      out.next_at = coming->launched_at + pool->boot_timeout;
    }
    out.change = fmt::format("to look at it: aws ec2 get-console-output --latest --instance-id {}",
                             coming->id.value());
  }
  if (const Intent* stuck = launch_in_trouble(fleet, reason.pool);
      reason.cause == WaitCause::launching && stuck != nullptr) {
    const WaitCause cause = stuck->is_throttled ? WaitCause::throttled : WaitCause::launching;
    out.cause = to_string(cause);
    words = words_of(cause);
    text = stuck->trouble;
    out.next = "the same launch is asked for again";
  }
  if (is_coming && !failure.empty()) {
    out.cause = to_string(WaitCause::circuit_open);
    words = words_of(WaitCause::circuit_open);
    text = fmt::format("{} (the next one is on its way)", failure);
    reason.cause = WaitCause::circuit_open;
    out.change = change_for(reason, controller.config(), job);
  }
  if (reason.cause == WaitCause::no_pool) text += "; " + misfit_of(controller.config(), job).text;
  const Demand::Key* first =
      waits_for_room(reason.cause) ? served_first(controller, job, reason.pool) : nullptr;
  if (first != nullptr) {
    out.cause = "fair-share";
    words = "waiting for its share";
    text = fmt::format("{} has {} running, {} has {} and goes first; {}", job.tenant,
                       plural(static_cast<std::size_t>(fleet.tenant_count(job.tenant)), "job"),
                       first->tenant, fleet.tenant_count(first->tenant), text);
    out.change = fmt::format("raise tenants.{}.weight, or: {}", job.tenant, out.change);
  }
  const auto& orders = fleet.pool_orders();
  if (const auto order = orders.find(PoolName(reason.pool));
      order != orders.end() &&
      (reason.cause == WaitCause::paused || reason.cause == WaitCause::draining)) {
    out.since = std::max(order->second.since, job.queued_at);
    text += fmt::format(", by {}", order->second.by);
    if (!order->second.why.empty()) text += fmt::format(": \"{}\"", order->second.why);
  }
  out.headline =
      fmt::format("{}{}{}{}", words, since_text(out.since, now), text.empty() ? "" : ": ", text);
  out.queue = fmt::format("{} of {} for [{}]", ordinal(older + 1), demand.jobs.size(),
                          join_labels(job.labels));
  if (job.priority != 0) out.queue += fmt::format(" with priority {}", job.priority);
}

void explain_running(const Controller& controller, const Job& job, TimePoint now,
                     Explanation& out) {
  const Fleet& fleet = controller.fleet();
  const Lease* lease = fleet.find(job.lease);
  const Instance* instance = lease == nullptr ? nullptr : fleet.find(lease->instance);
  const std::string where = lease == nullptr ? "" : " on " + lease->instance.value();
  out.since = job.changed_at;
  if (lease != nullptr && lease->is_cancelled) {
    out.cause = "ending";
    out.headline =
        fmt::format("being ended{}{}: {}", where, since_text(out.since, now), lease->reason);
    return;
  }
  if (lease != nullptr && lease->state == LeaseState::reported) {
    out.cause = "reporting";
    out.headline =
        fmt::format("{}; its CI server {} is being told", to_string(lease->outcome), job.source);
    return;
  }
  if (job.state == JobState::leased) {
    out.cause = "starting";
    out.headline = fmt::format("starting{}{}", where, since_text(out.since, now));
    if (instance != nullptr && !instance->trouble.empty()) out.headline += ": " + instance->trouble;
    return;
  }
  out.cause = "running";
  out.headline = fmt::format("running{}{}", where, since_text(out.since, now));
  if (lease != nullptr && job.time_max > Duration{}) {
    out.next = "it is ended for taking too long";
    out.next_at = lease->started_at + job.time_max;
  }
  const bool is_taken_back = instance != nullptr && instance->taken_back_at > now;
  if (is_taken_back && (!out.next_at || instance->taken_back_at < *out.next_at)) {
    out.headline += fmt::format(
        "; its machine is {}, at {}",
        instance->reason.starts_with("taken") ? instance->reason : "taken back by the cloud",
        clock_time(instance->taken_back_at));
    out.next = "its machine ends, and with it the job";
    out.next_at = instance->taken_back_at;
  }
}

void explain_end(const Job& job, TimePoint now, Explanation& out) {
  out.since = job.changed_at;
  switch (job.outcome) {
    case JobOutcome::passed: out.cause = "passed"; break;
    case JobOutcome::failed: out.cause = "failed"; break;
    case JobOutcome::cancelled: out.cause = "cancelled"; break;
    case JobOutcome::timed_out:
      out.cause = "time-limit";
      out.change = "submit it with a longer --timeout";
      break;
    case JobOutcome::lost:
      if (job.reason.find("InstanceInitiatedShutdown") != std::string::npos) {
        out.cause = "machine-shut-down";
        out.change =
            "run it again; the machine shut itself down, because a step did that or because "
            "no daemon was in touch with it for its pool's dead_man";
        break;
      }
      out.cause = "machine-lost";
      out.change = job.reason.find("Spot") == std::string::npos ||
                           job.reason.find("in a drill by") != std::string::npos
                       ? "run it again"
                       : "run it again; on_demand: only keeps EC2 from taking machines back";
      break;
    case JobOutcome::none: out.cause = to_string(job.state); break;
  }
  const std::string how =
      job.outcome == JobOutcome::none ? to_string(job.state) : to_string(job.outcome);
  out.headline = fmt::format("{} at {} ({} ago)", how, clock_time(job.changed_at),
                             format_duration(std::max<Duration>(now - job.changed_at, Duration{})));
  if (!job.reason.empty()) out.headline += ": " + job.reason;
  if (job.outcome == JobOutcome::failed) out.change = fmt::format("muster logs {}", job.id.value());
}

}  // namespace

Explanation explain(const Controller& controller, const Job& job, TimePoint now) {
  Explanation out;
  out.timeline.emplace_back(job.queued_at, fmt::format("queued at {}", job.source));
  const Lease* lease = controller.fleet().find(job.lease);
  if (lease != nullptr) {
    out.timeline.emplace_back(lease->created_at, "leased to " + lease->instance.value());
    if (lease->started_at != TimePoint{}) out.timeline.emplace_back(lease->started_at, "started");
  }
  switch (job.state) {
    case JobState::queued: explain_waiting(controller, job, now, out); break;
    case JobState::leased:
    case JobState::running: explain_running(controller, job, now, out); break;
    case JobState::finished:
    case JobState::dropped:
      if (lease == nullptr && job.started_at != TimePoint{}) {
        out.timeline.emplace_back(job.started_at, "started on " + job.instance.value());
      }
      out.timeline.emplace_back(job.changed_at, "ended");
      explain_end(job, now, out);
      break;
  }
  return out;
}

}  // namespace muster
