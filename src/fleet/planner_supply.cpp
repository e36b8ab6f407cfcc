#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fleet/planner.hpp"

// What is launched, started, stopped and ended.

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAnswerTime = 3s;    // So long a launch may be in flight before another goes.
constexpr Duration kReservedTime = 1h;  // What an instance is expected to cost from now on.
constexpr int kRunMax = 1000;           // Instances a call (EC2: the resource bucket's size).
constexpr int kFleetMax = 10'000;       // Target capacity (EC2: CreateFleet, Type instant).

}  // namespace

void Planner::read_schedules(const Pool& pool, TimePoint shown, Scheduled& to) const {
  to = Scheduled{};
  for (const auto& [name, schedule] : pool.schedule) {
    const auto [period, is_unread] = periods_.try_emplace(schedule.when);
    if (is_unread) period->second = CronPeriod::parse(schedule.when);
    if (!period->second || !schedule.holds(shown, *period->second)) continue;
    to.idle_count = std::max(to.idle_count, schedule.idle_count);
    const bool is_lowest = schedule.max_instances >= 0 &&
                           (to.max_instances < 0 || schedule.max_instances < to.max_instances);
    if (!is_lowest) continue;
    to.max_instances = schedule.max_instances;
    to.name = name;
  }
}

/// Schedules turn with the minute, so they are read once in each.
const Planner::Scheduled& Planner::scheduled(const Pool& pool, TimePoint now) const {
  const TimePoint shown = now + inputs_.wall_ahead;
  const auto minute = std::chrono::floor<std::chrono::minutes>(shown);
  if (minute != scheduled_at_) {
    scheduled_.clear();
    scheduled_at_ = minute;
  }
  const auto [place, is_new] = scheduled_.try_emplace(pool.name);
  Scheduled& here = place->second;
  if (!is_new || pool.schedule.empty()) return here;
  read_schedules(pool, shown, here);
  Scheduled later;
  for (auto at = minute + 1min; here.max_instances >= 0 && at <= minute + 24h; at += 1min) {
    read_schedules(pool, at, later);
    if (later.max_instances == here.max_instances) continue;
    here.next = TimePoint(at) - inputs_.wall_ahead;
    break;
  }
  return here;
}

std::string Planner::limited_by(const Pool& pool, TimePoint now) const {
  return scheduled(pool, now).name;
}

std::string Planner::closed_by(const Pool& pool, TimePoint now) const {
  const Scheduled& by_time = scheduled(pool, now);
  return by_time.max_instances == 0 ? by_time.name : std::string();
}

int Planner::idle_target(const Pool& pool, TimePoint now) const {
  if (mode_of(pool.name) != PoolMode::open) return 0;
  const Scheduled& by_time = scheduled(pool, now);
  int target = std::max(pool.idle.count, by_time.idle_count);
  if (const auto factor = parse_decimal(pool.idle.scale_factor)) {
    const int busy = parts_.fleet.supply_of({pool.name, ""}).busy;
    const int most = pool.idle.count_max > 0 ? pool.idle.count_max : pool.max_instances;
    target = std::max(target, std::min(most, static_cast<int>(std::ceil(busy * *factor))));
  }
  return by_time.max_instances < 0 ? target : std::min(target, by_time.max_instances);
}

const Market::Choice& Planner::choice_for(const SizedPool& at) {
  const auto [place, is_new] = choices_.try_emplace(at);
  if (is_new) place->second = parts_.market.choose(*find_pool(at.pool), at.size, now_);
  return place->second;
}

void Planner::wish_for(const SizedPool& at, int count, const std::string& reason) {
  Wish& wish = wishes_[at];
  wish.count += count;
  if (wish.reason.empty()) wish.reason = reason;
  wished_[at.pool] += count;
  wished_total_ += count;
  const Market::Choice& choice = choice_for(at);
  if (choice.offerings.empty()) return;
  wished_vcpus_ += static_cast<long>(count) * choice.vcpus_max();
  wished_usd_ += count * choice.usd_max();
}

/// Asked for again and again: as it was when the plan first needed it.
const Planner::Totals& Planner::totals() {
  if (totals_) return *totals_;
  const double hours = std::chrono::duration<double, std::ratio<3600>>(kReservedTime).count();
  Totals& all = totals_.emplace(Totals{});
  all.usd = parts_.fleet.usd_spent(now_);
  for (const auto& [id, instance] : parts_.fleet.instances()) {
    if (instance.phase == InstancePhase::stopped) continue;
    all.vcpus += instance.vcpus;
    all.usd += instance.usd_per_hour * hours;
    // Found by its tags, and nobody has said yet how large it is.
    all.has_unknown =
        all.has_unknown || (instance.vcpus == 0 && find_pool(instance.pool) != nullptr &&
                            parts_.market.offers_of(instance.pool) == nullptr);
  }
  for (const auto& [id, intent] : parts_.fleet.intents()) {
    if (intent.state != IntentState::open) continue;
    all.vcpus += static_cast<long>(intent.rest()) * intent.vcpus;
    all.usd += intent.rest() * intent.usd_per_hour * hours;
  }
  return all;
}

Planner::Room Planner::room_for(const SizedPool& at, const Relief& without) {
  const Pool* pool = find_pool(at.pool);
  Room room{kFleetMax, {}};
  const auto narrow = [&](int count, WaitCause cause, const auto& describe,
                          std::optional<TimePoint> next = std::nullopt) {
    if (std::max(0, count) >= room.count) return;
    room.count = std::max(0, count);
    room.reason = {cause, describe(), now_, next, at.pool.value()};
  };
  if (pool == nullptr) return {0, {WaitCause::no_pool, "its pool is gone", now_, std::nullopt}};
  const std::string& name = at.pool.value();
  if (inputs_.hold == WaitCause::stopping) {
    narrow(0, WaitCause::stopping, [] { return "the daemon is being stopped"; });
  }
  if (inputs_.hold == WaitCause::cloud_unlisted) {
    narrow(
        0, WaitCause::cloud_unlisted,
        [] { return "the store could not be written for long: what runs is listed first"; },
        inputs_.hold_until);
  }
  const PoolMode mode = mode_of(at.pool);
  if (mode == PoolMode::paused) {
    narrow(0, WaitCause::paused, [&] { return fmt::format("pool {} is paused", name); });
  }
  if (mode == PoolMode::draining) {
    narrow(0, WaitCause::draining, [&] { return fmt::format("pool {} is being drained", name); });
  }
  const auto to_come = without.launches.find(at.pool);
  const int launches = to_come == without.launches.end() ? 0 : to_come->second;
  const auto relief = without.of_pool.find(at.pool);
  const int live = parts_.fleet.live_count(at.pool) + wished_[at.pool] -
                   (relief == without.of_pool.end() ? 0 : relief->second);
  narrow(pool->max_instances - live, WaitCause::pool_limit, [&] {
    return fmt::format("pool {} has {} instances, and max_instances is {}", name, live,
                       pool->max_instances);
  });
  const Scheduled& by_time = scheduled(*pool, now_);
  if (by_time.max_instances >= 0) {
    const auto describe = [&] {
      return fmt::format("pool {} has {} instances, and its schedule {} allows {} now", name, live,
                         by_time.name, by_time.max_instances);
    };
    narrow(by_time.max_instances - live, WaitCause::schedule, describe, by_time.next);
  }
  const Limits& limits = parts_.config.limits;
  const int all = parts_.fleet.live_count() + wished_total_ - without.instances;
  if (limits.instances > 0) {
    narrow(limits.instances - all, WaitCause::cluster_limit, [&] {
      return fmt::format("the cluster has {} instances, and limits.instances is {}", all,
                         limits.instances);
    });
  }
  const Supply& supply = parts_.fleet.supply_of(at);
  if (pool->growth_limit > 0) {
    const int growing = supply.requested + supply.hidden + static_cast<int>(supply.booting.size()) +
                        wishes_[at].count + launches;
    narrow(pool->growth_limit - growing, WaitCause::growth_limit, [&] {
      return fmt::format("{} instances of pool {} are on their way, and growth_limit is {}",
                         growing, name, pool->growth_limit);
    });
  }
  // A brake: whatever goes wrong, there are never far more instances than jobs and reserve.
  narrow(2 * plan_size_ + 2 - all + unbraked_ - without.unbraked, WaitCause::launch_freeze, [&] {
    return fmt::format("there are {} instances where {} are planned: nothing more is launched", all,
                       plan_size_);
  });
  WaitReason circuit;
  // Half open, one may try: those that are wished for already count.
  const int tries =
      parts_.market.circuit_room(at.pool, now_, circuit) - wished_[at.pool] - launches;
  narrow(
      tries, circuit.cause == WaitCause::none ? WaitCause::circuit_open : circuit.cause,
      [&] {
        return circuit.text.empty() ? fmt::format("one machine of pool {} is tried", name)
                                    : circuit.text;
      },
      circuit.next);
  if (room.count <= 0) return room;
  const Market::Choice& choice = choice_for(at);
  if (choice.offerings.empty()) {
    WaitReason reason = choice.reason;
    reason.pool = name;
    return {0, std::move(reason)};
  }
  const bool is_limited = limits.vcpus > 0 || !limits.usd_per_day.empty();
  if (is_limited && totals().has_unknown) {
    return {0,
            {WaitCause::launching, "what the instances that were found cost is being asked for",
             now_, std::nullopt, name}};
  }
  const int vcpus = choice.vcpus_max();
  if (limits.vcpus > 0) {
    const long used = totals().vcpus + wished_vcpus_ - without.vcpus;
    // What is not known is not launched: a limit that can be passed is none.
    const long more = vcpus > 0 ? (limits.vcpus - used) / vcpus : 0;
    narrow(static_cast<int>(std::max(0L, more)), WaitCause::vcpu_limit, [&] {
      return vcpus > 0 ? fmt::format("the cluster has {} vCPUs, and limits.vcpus is {}", used,
                                     limits.vcpus)
                       : fmt::format(
                             "how many vCPUs machines of pool {} have is not known, and "
                             "limits.vcpus is {}",
                             name, limits.vcpus);
    });
  }
  if (const auto most = parse_decimal(limits.usd_per_day)) {
    const double used = totals().usd + wished_usd_ - without.usd;
    const double more = choice.usd_max() > 0 ? (*most - used) / choice.usd_max() : 0;
    narrow(
        static_cast<int>(std::floor(std::clamp(more, 0.0, double{kFleetMax}))), WaitCause::budget,
        [&] {
          return fmt::format(
              "today's instances cost ${:.2f}, with what they may still cost, and "
              "limits.usd_per_day is {}",
              used, limits.usd_per_day);
        },
        std::chrono::floor<std::chrono::days>(now_) + std::chrono::days{1});
  }
  if (limits.launches_per_minute > 0) {
    while (!launched_.empty() && now_ - launched_.front().first >= 1min) launched_.pop_front();
    int recent = wished_total_ + without.launches_total;
    for (const auto& [when, count] : launched_) recent += count;
    std::optional<TimePoint> next;
    if (!launched_.empty()) next = launched_.front().first + 1min;
    narrow(
        limits.launches_per_minute - recent, WaitCause::launch_rate_limit,
        [&] {
          return fmt::format(
              "{} instances were launched in the last minute, and "
              "limits.launches_per_minute is {}",
              recent, limits.launches_per_minute);
        },
        next);
  }
  return room;
}

/// What the fleet would be if all went as it should.
void Planner::measure() {
  plan_size_ = 0;
  unbraked_ = 0;
  targets_.clear();
  for (const auto& [key, demand] : parts_.fleet.demand()) {
    plan_size_ += static_cast<int>(demand.jobs.size());
  }
  for (const auto& [name, pool] : parts_.config.pools) {
    const int target = idle_target(pool, now_);
    if (target > 0) targets_[pool.name] = target;
    plan_size_ += target + pool.stopped_count;
  }
  for (const auto& [at, supply] : parts_.fleet.supply()) {
    plan_size_ += supply.busy;
    unbraked_ += static_cast<int>(supply.ending.size());
    // As many as there were jobs for, and not to be held against the next.
    for (const auto& [since, id] : supply.idle) {
      if (parts_.fleet.find(id)->job_count > 0) ++unbraked_;
    }
  }
}

int Planner::target_of(const PoolName& pool) const {
  const auto found = targets_.find(pool);
  return found == targets_.end() ? 0 : found->second;
}

void Planner::fill_idle() {
  is_idle_short_ = promised().instances < 0;
  for (const auto& [name, pool] : parts_.config.pools) {
    const int target = target_of(pool.name);
    if (target + pool.stopped_count == 0 || mode_of(pool.name) != PoolMode::open) continue;
    const SizedPool at{pool.name, ""};
    const Supply& supply = parts_.fleet.supply_of(at);
    const int kept = static_cast<int>(supply.stopped.size()) + supply.stopping;
    const int refill = std::max(0, pool.stopped_count - kept);
    int& coming = coming_[at];
    const int ready = static_cast<int>(supply.idle.size()) - unknown_[at];
    const int missing = target + refill - ready - std::max(0, coming);
    if (missing <= 0) continue;
    const Room room = room_for(at, promised());
    may_change_at(room.reason.next);
    const int count = std::min(missing, room.count);
    is_idle_short_ = is_idle_short_ || (count < missing && waits_for_room(room.reason.cause));
    const int idle = std::min(count, std::max(0, missing - refill));
    // A reserve that is filled from itself never is, and one that may not be started is none.
    const int live = parts_.fleet.live_count(at.pool) + wished_[at.pool] +
                     std::max(idle, static_cast<int>(supply.stopped.size()));
    const int only_new = std::clamp(pool.max_instances - live, 0, std::max(0, count - idle));
    if (idle + only_new <= 0) continue;
    wish_for(at, idle + only_new,
             idle > 0 ? fmt::format("{} idle are wanted", target)
                      : fmt::format("{} stopped are wanted", pool.stopped_count));
    wishes_[at].only_new += only_new;
  }
}

int Planner::start_stopped(const SizedPool& at, int count) {
  int started = 0;
  while (started < count && !parts_.fleet.supply_of(at).stopped.empty()) {
    const InstanceId id = parts_.fleet.supply_of(at).stopped.begin()->second;
    parts_.fleet.move(id, InstancePhase::starting, now_);
    ++started;
  }
  return started;
}

void Planner::add_intent(const SizedPool& at, const Market::Choice& choice, int count,
                         const std::string& reason) {
  const Pool& pool = *find_pool(at.pool);
  const PricedOffering& first = choice.offerings.front();
  Intent intent;
  intent.id = IntentId(parts_.ids.next("int-"));
  intent.pool = at.pool;
  intent.size = at.size;
  intent.offering = first.offering;
  intent.count = count;
  intent.created_at = now_;
  intent.reason = reason;
  intent.usd_per_hour = first.usd_per_hour;
  intent.vcpus = first.vcpus;
  const int late = late_count(pool, parts_.fleet.supply_of(at));
  intent.is_hedge = late > 0;
  if (pool.order == OfferingOrder::fleet) {
    for (const PricedOffering& one : choice.offerings) intent.offerings.push_back(one.offering);
    // Whichever the cloud takes, no more than this was counted on.
    intent.usd_per_hour = choice.usd_max();
    intent.vcpus = choice.vcpus_max();
  }
  parts_.market.tried(at.pool, now_);
  launched_.emplace_back(now_, count);
  while (now_ - launched_.front().first >= 1min) launched_.pop_front();
  parts_.fleet.add(std::move(intent));
}

void Planner::launch_for(const SizedPool& at, const Wish& wish) {
  const int missing = wish.count - start_stopped(at, wish.count - wish.only_new);
  if (missing <= 0) return;
  // The first goes at once; what arrives while it is in flight goes together.
  for (const auto& [id, intent] : parts_.fleet.intents()) {
    const bool is_same = intent.pool == at.pool && intent.size == at.size;
    if (!is_same || intent.state != IntentState::open) continue;
    if (now_ - intent.created_at >= kAnswerTime) continue;
    return may_change_at(intent.created_at + kAnswerTime);
  }
  const Pool& pool = *find_pool(at.pool);
  const Market::Choice& choice = choice_for(at);
  if (choice.offerings.empty()) return;
  const bool is_fleet = pool.order == OfferingOrder::fleet;
  const LaunchRoom& room = is_fleet ? inputs_.fleet : inputs_.run;
  if (room.instances < missing) may_change_at(room.next);
  const int count = std::min({missing, room.instances, is_fleet ? kFleetMax : kRunMax});
  if (count > 0) {
    add_intent(at, choice, count, wish.reason);
    return;
  }
  for (Cursor& cursor : cursors_) {
    const bool is_here =
        cursor.reason.cause == WaitCause::launching &&
        std::find(cursor.pools.begin(), cursor.pools.end(), at) != cursor.pools.end();
    if (!is_here) continue;
    cursor.reason = {WaitCause::throttled, "the account's rate of launches is used up", now_,
                     room.next, at.pool.value()};
    cursor.coming_reason = cursor.reason;
  }
}

void Planner::launch() {
  for (const auto& [at, wish] : wishes_) {
    if (wish.count > 0) launch_for(at, wish);
  }
}

void Planner::scale_in() {
  end_for_jobs();
  std::vector<SizedPool> places;
  for (const auto& [at, supply] : parts_.fleet.supply()) places.push_back(at);
  for (const SizedPool& at : places) {
    const Pool* pool = find_pool(at.pool);
    if (pool == nullptr) continue;
    scale_in(at, *pool, parts_.fleet.supply_of(at));
    end_stopped(at, *pool);
    replace_old(at, *pool);
  }
}

void Planner::scale_in(const SizedPool& at, const Pool& pool, const Supply& supply) {
  const int target = at.size.empty() ? target_of(pool.name) : 0;
  int surplus = static_cast<int>(supply.idle.size()) - target;
  const bool drains = mode_of(at.pool) == PoolMode::draining;
  if (surplus <= 0) return;
  const Supply::ByTime idle = supply.idle;
  int kept = static_cast<int>(supply.stopped.size()) + supply.stopping;
  for (const auto& [since, id] : idle) {
    if (surplus <= 0) break;
    const Instance& instance = *parts_.fleet.find(id);
    const bool is_unknown = instance.contact_at == TimePoint{};
    if (instance.is_protected || is_unknown) continue;
    const bool can_stop = at.size.empty() && kept < pool.stopped_count && instance.job_count == 0 &&
                          instance.offering.capacity_type == CapacityType::on_demand;
    if (can_stop && !drains) {
      parts_.fleet.move(id, InstancePhase::stopping, now_);
      ++kept;
      --surplus;
      continue;
    }
    const TimePoint due = std::max(since + pool.idle.time, instance.launched_at + pool.min_life);
    if (!drains && now_ < due) {
      may_change_at(due);
      continue;
    }
    parts_.fleet.edit(id).reason =
        drains ? "its pool is being drained" : "was idle for longer than idle.time";
    parts_.fleet.move(id, InstancePhase::terminating, now_);
    --surplus;
  }
}

/// Those beyond what the pool keeps stopped or may start, which may have become less.
void Planner::end_stopped(const SizedPool& at, const Pool& pool) {
  const PoolMode mode = mode_of(at.pool);
  if (waiting_[at] > 0 && mode == PoolMode::open) return;
  const Supply::ByTime stopped = parts_.fleet.supply_of(at).stopped;
  const bool drains = mode == PoolMode::draining;
  const int kept = drains ? 0 : std::min(pool.stopped_count, pool.max_instances);
  int surplus = static_cast<int>(stopped.size()) - kept;
  for (const auto& [since, id] : stopped) {
    if (surplus <= 0) return;
    const Instance& instance = *parts_.fleet.find(id);
    if (instance.is_protected || may_be_old(instance)) continue;
    parts_.fleet.edit(id).reason =
        drains ? "its pool is being drained" : "its pool keeps fewer stopped";
    parts_.fleet.move(id, InstancePhase::terminating, now_);
    --surplus;
  }
}

/// One at a time, so that the reserve stays up.
void Planner::replace_old(const SizedPool& at, const Pool& pool) {
  const PoolOffers* offers = parts_.market.offers_of(at.pool);
  const Supply& supply = parts_.fleet.supply_of(at);
  if (!supply.booting.empty() || supply.requested > 0) return;
  // Not while there would be nothing in its place.
  if (static_cast<int>(supply.idle.size()) < target_of(at.pool)) return;
  const bool has_age = pool.max_age > Duration{};
  std::optional<std::pair<TimePoint, InstanceId>> oldest;
  const char* why = nullptr;
  for (const Supply::ByTime* candidates : {&supply.idle, &supply.stopped}) {
    for (const auto& [since, id] : *candidates) {
      const Instance& instance = *parts_.fleet.find(id);
      const bool is_other = offers != nullptr && !offers->error && !instance.settings.empty() &&
                            instance.settings != offers->settings;
      const TimePoint due = instance.launched_at + pool.max_age;
      const bool is_old = has_age && now_ >= due;
      if (has_age && !is_old) may_change_at(due);
      const bool is_idle = instance.phase == InstancePhase::idle;
      const bool is_unknown = is_idle ? instance.contact_at == TimePoint{} : may_be_old(instance);
      if ((!is_other && !is_old) || instance.is_protected || is_unknown) continue;
      if (oldest && oldest->first <= since) break;
      oldest = {since, id};
      why = is_old ? "is older than max_age" : "its pool's image or settings have changed";
      break;
    }
  }
  if (!oldest) return;
  const Room room = room_for(at, promised());
  may_change_at(room.reason.next);
  if (room.count <= 0) return;
  parts_.fleet.edit(oldest->second).reason = why;
  parts_.fleet.move(oldest->second, InstancePhase::terminating, now_);
  may_change_at(now_ + 1s);
}

}  // namespace muster
