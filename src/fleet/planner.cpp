#include "fleet/planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fleet/labels.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAgeing = 10min;   // A waiting job's priority rises by one in this time.
constexpr Duration kEndedKept = 24h;  // A late word on a job that has ended finds it.
constexpr std::size_t kEndedMax = 20'000;
constexpr Duration kBootGrace =
    30s;  // Beyond `boot_timeout`: what time the machine's own task needs.

}  // namespace

std::string IdSource::next(const std::string& prefix) {
  const auto draw = [this] {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  };
  const std::uint64_t first = draw();
  return fmt::format("{}{:016x}{:08x}", prefix, first, static_cast<std::uint32_t>(draw()));
}

const Pool* Planner::find_pool(const PoolName& name) const {
  const auto found = parts_.config.pools.find(name.value());
  return found == parts_.config.pools.end() ? nullptr : &found->second;
}

PoolMode Planner::mode_of(const PoolName& name) const { return parts_.fleet.mode_of(name); }

std::vector<SizedPool> Planner::pools_for(const std::vector<std::string>& labels) const {
  std::vector<std::pair<int, SizedPool>> found;
  for (const auto& [name, pool] : parts_.config.pools) {
    if (!matches_labels(pool, labels)) continue;
    found.emplace_back(-pool.priority,
                       SizedPool{pool.name, type_of_size(pool, labels).value_or("")});
  }
  std::sort(found.begin(), found.end());
  std::vector<SizedPool> pools;
  for (auto& [order, pool] : found) pools.push_back(std::move(pool));
  return pools;
}

const std::vector<SizedPool>& Planner::matches_of(const std::vector<std::string>& labels) {
  constexpr std::size_t kKept = 10'000;
  if (matches_.size() > kKept) matches_.clear();
  const auto [place, is_new] = matches_.try_emplace(labels);
  if (is_new) place->second = pools_for(labels);
  return place->second;
}

void Planner::may_change_at(std::optional<TimePoint> at) {
  if (at && (!next_ || *at < *next_)) next_ = at;
}

std::optional<TimePoint> Planner::plan(const PlanInputs& inputs) {
  if (inputs.knows_claims != inputs_.knows_claims) expires_all_ = true;
  inputs_ = inputs;
  now_ = inputs.now;
  next_.reset();
  coming_.clear();
  unknown_.clear();
  wishes_.clear();
  wished_.clear();
  choices_.clear();
  waiting_.clear();
  wished_total_ = 0;
  wished_vcpus_ = 0;
  late_.clear();
  making_room_.reset();
  totals_.reset();
  placed_.clear();
  wished_usd_ = 0;
  expire_ended_jobs();
  expire();
  measure();
  gather();
  assign();
  count_supply();
  place_waiting();
  fill_idle();
  launch();
  scale_in();
  note_reasons();
  // Schedules turn with the minute.
  const auto& pools = parts_.config.pools;
  const bool has_schedule = std::any_of(
      pools.begin(), pools.end(), [](const auto& one) { return !one.second.schedule.empty(); });
  if (has_schedule) {
    const TimePoint shown = now_ + inputs.wall_ahead;
    may_change_at(std::chrono::floor<std::chrono::minutes>(shown) + 1min - inputs.wall_ahead);
  }
  return next_;
}

void Planner::expire_ended_jobs() {
  const auto& ended = parts_.fleet.ended_jobs();
  while (!ended.empty()) {
    const auto [at, id] = *ended.begin();
    if (ended.size() <= kEndedMax && now_ - at < kEndedKept) break;
    parts_.fleet.remove(id);
  }
}

void Planner::expire() {
  std::set<InstanceId> looked_at = parts_.fleet.take_moved();
  if (std::exchange(expires_all_, false)) {
    for (const auto& [id, instance] : parts_.fleet.instances()) looked_at.insert(id);
  }
  for (const auto& [at, id] : expiries_) {
    if (at > now_) break;
    looked_at.insert(id);
  }
  for (const InstanceId& id : looked_at) {
    const auto before = expiry_of_.find(id);
    if (before != expiry_of_.end()) {
      expiries_.erase({before->second, id});
      expiry_of_.erase(before);
    }
    const Instance* instance = parts_.fleet.find(id);
    if (instance == nullptr) continue;
    const std::optional<TimePoint> again = expire_instance(*instance);
    if (!again) continue;
    expiries_.emplace(*again, id);
    expiry_of_.emplace(id, *again);
  }
  if (!expiries_.empty()) may_change_at(expiries_.begin()->first);
}

bool Planner::may_be_old(const Instance& instance) const {
  return instance.contact_at == TimePoint{} && !inputs_.knows_claims;
}

std::optional<TimePoint> Planner::expire_instance(const Instance& instance) {
  const Pool* pool = find_pool(instance.pool);
  const bool is_coming = instance.phase == InstancePhase::pending ||
                         instance.phase == InstancePhase::booting ||
                         instance.phase == InstancePhase::starting;
  const auto end = [&](const std::string& why) -> std::optional<TimePoint> {
    parts_.fleet.edit(instance.id).reason = why;
    parts_.fleet.move(instance.id, InstancePhase::terminating, now_);
    return std::nullopt;
  };
  if (is_coming) {
    const Duration most = (pool != nullptr ? pool->boot_timeout : Duration(5min)) + kBootGrace;
    const TimePoint due =
        std::max(instance.launched_at, instance.phase_since) + most + instance.stalled_for;
    if (now_ < due) return due;
    if (instance.is_adopted) {
      // It may have a job: one that answers is asked, one that nobody can have claimed may go.
      const bool may_go = inputs_.knows_claims && now_ - instance.contact_at > 2min;
      return may_go ? end("found by its tags, and not to be reached") : now_ + 1min;
    }
    const std::string trouble = instance.trouble.empty() ? "" : ": " + instance.trouble;
    parts_.market.boot_failed(
        instance.pool, fmt::format("{} was not usable in time{}", instance.id.value(), trouble),
        now_);
    return end("was not usable within boot_timeout" + trouble);
  }
  const bool is_idle = instance.phase == InstancePhase::idle;
  const bool is_busy = instance.phase == InstancePhase::busy;
  const bool is_stopped = instance.phase == InstancePhase::stopped;
  if (!is_idle && !is_busy && !is_stopped) return std::nullopt;
  const bool is_kept = !is_busy && instance.is_protected;  // For as long as people want it.
  if (!is_busy && pool == nullptr) {
    if (may_be_old(instance)) return std::nullopt;
    return is_kept ? now_ + 1min : end("its pool is no more in the configuration");
  }
  if (is_stopped || pool == nullptr || pool->max_life == Duration{}) return std::nullopt;
  const TimePoint due = instance.launched_at + pool->max_life;
  if (now_ < due) return due;
  if (is_idle) return is_kept ? now_ + 1min : end("has reached max_life");
  // One that was not started yet is left to start: it can still be given back.
  const Lease* lease = parts_.fleet.find(instance.lease);
  if (lease == nullptr || lease->is_cancelled) return std::nullopt;
  if (lease->state != LeaseState::started) return now_ + 5s;
  Lease& changed = parts_.fleet.edit(lease->id);
  changed.is_cancelled = true;
  changed.reason = "its instance has reached max_life";
  return std::nullopt;
}

void Planner::gather() {
  cursors_.clear();
  tenant_active_.clear();
  for (auto& [key, demand] : parts_.fleet.demand()) {
    Cursor cursor;
    cursor.key = &key;
    cursor.demand = &demand;
    cursor.pools = matches_of(key.labels);
    cursor.next = demand.jobs.begin();
    cursor.rest = static_cast<int>(demand.jobs.size());
    if (cursor.pools.empty()) {
      cursor.is_blocked = true;
      cursor.reason = {WaitCause::no_pool,
                       fmt::format("no pool has the labels [{}]", join_labels(key.labels)), now_,
                       std::nullopt};
    }
    cursors_.push_back(std::move(cursor));
    tenant_active_.emplace(key.tenant, parts_.fleet.tenant_count(key.tenant));
  }
}

Planner::Cursor* Planner::best_cursor() {
  Cursor* best = nullptr;
  const auto share = [&](const Cursor& cursor) {
    const auto tenant = parts_.config.tenants.find(cursor.key->tenant);
    const int weight = tenant == parts_.config.tenants.end() ? 1 : tenant->second.weight;
    return static_cast<double>(tenant_active_[cursor.key->tenant]) / weight;
  };
  const auto rank = [&](const Cursor& cursor) {
    const Duration age = now_ - cursor.next->first;
    return cursor.key->priority + static_cast<double>(age.count()) / kAgeing.count();
  };
  for (Cursor& cursor : cursors_) {
    if (cursor.is_blocked || cursor.next == cursor.demand->jobs.end()) continue;
    if (best == nullptr) {
      best = &cursor;
      continue;
    }
    const double here = share(cursor);
    const double there = share(*best);
    if (here < there || (here == there && rank(cursor) > rank(*best))) best = &cursor;
  }
  return best;
}

/// How many of its jobs limits of jobs let run, whatever instances there are; blocked if none.
int Planner::allowed_count(Cursor& cursor) {
  const Limits& limits = parts_.config.limits;
  const Demand::Key& key = *cursor.key;
  int count = cursor.rest;
  const auto narrow = [&](int most, int running, int placed, WaitCause cause,
                          const std::string& who, const std::string& limit) {
    const int more = std::max(0, most - running - placed);
    if (more >= count) return;
    count = more;
    if (count > 0) return;
    const std::string next = placed > 0 ? fmt::format(", {} about to run", placed) : "";
    cursor.is_blocked = true;
    cursor.reason = {
        cause, fmt::format("jobs {}: {} running{}, and {} is {}", who, running, next, limit, most),
        now_, std::nullopt};
  };
  if (limits.repository_jobs > 0) {
    narrow(limits.repository_jobs, parts_.fleet.repository_count(key.repository),
           placed_[{"", key.repository}], WaitCause::repository_limit, "of " + key.repository,
           "limits.repository_jobs");
  }
  for (const std::string& label : key.labels) {
    const auto limit = limits.labels.find(label);
    if (limit == limits.labels.end()) continue;
    narrow(static_cast<int>(parse_decimal(limit->second).value_or(0)),
           parts_.fleet.label_count(label), placed_[{label, ""}], WaitCause::label_limit,
           "with label " + label, "limits.labels." + label);
  }
  return count;
}

void Planner::lease(const JobId& job_id, const InstanceId& instance_id) {
  Lease lease;
  lease.id = LeaseId(parts_.ids.next("lea-"));
  lease.job = job_id;
  lease.instance = instance_id;
  lease.created_at = now_;
  parts_.fleet.move(job_id, JobState::leased, now_);
  Job& job = parts_.fleet.edit(job_id);
  job.lease = lease.id;
  job.instance = instance_id;
  job.started_at = {};
  ++job.lease_count;
  parts_.fleet.move(instance_id, InstancePhase::busy, now_);
  parts_.fleet.edit(instance_id).lease = lease.id;
  parts_.fleet.add(std::move(lease));
}

/// The one that became idle last: the others grow old together, and go. One that this process has
/// not heard of may have a job that the store has forgotten.
std::optional<InstanceId> Planner::find_ready(const SizedPool& at) const {
  const Supply::ByTime& idle = parts_.fleet.supply_of(at).idle;
  for (auto one = idle.rbegin(); one != idle.rend(); ++one) {
    if (parts_.fleet.find(one->second)->contact_at != TimePoint{}) return one->second;
  }
  return std::nullopt;
}

void Planner::assign() {
  while (Cursor* cursor = best_cursor()) {
    if (allowed_count(*cursor) == 0) continue;
    std::optional<InstanceId> ready;
    for (const SizedPool& one : cursor->pools) {
      const Pool* pool = find_pool(one.pool);
      const bool is_open = pool != nullptr && mode_of(one.pool) == PoolMode::open &&
                           (pool->schedule.empty() || closed_by(*pool, now_).empty());
      if (!ready && is_open) ready = find_ready(one);
    }
    if (!ready) {
      cursor->is_blocked = true;
      cursor->reason = {};
      continue;
    }
    const InstanceId instance = *ready;
    const JobId job = cursor->next->second;
    ++cursor->next;
    ++tenant_active_[cursor->key->tenant];
    const bool was_last = cursor->demand->jobs.size() == 1;
    lease(job, instance);
    // The group goes with its last job.
    if (was_last) {
      cursors_.erase(cursors_.begin() + (cursor - cursors_.data()));
    }
  }
  // Blocked by a limit stays so; the others go on to wait for instances.
  for (Cursor& cursor : cursors_) {
    cursor.is_blocked = cursor.reason.cause != WaitCause::none;
    cursor.next = cursor.demand->jobs.begin();
    cursor.rest = static_cast<int>(cursor.demand->jobs.size());
  }
}

int Planner::late_count(const Pool& pool, const Supply& supply) {
  if (pool.hedge_after == Duration{}) return 0;
  int late = 0;
  for (const auto& [at, id] : supply.booting) {
    if (now_ - at < pool.hedge_after) {
      may_change_at(at + pool.hedge_after);
      break;
    }
    ++late;
  }
  // Bounded: a cloud that is slow as a whole is not asked for everything twice.
  const int most = std::max(2, static_cast<int>(supply.booting.size()) / 10);
  return std::min(late, most);
}

void Planner::count_supply() {
  for (const auto& [at, supply] : parts_.fleet.supply()) {
    const Pool* pool = find_pool(at.pool);
    if (pool == nullptr) continue;
    const int booting = static_cast<int>(supply.booting.size());
    // Idle before the start of this process: soon looked at, then ready.
    unknown_[at] = static_cast<int>(std::count_if(
        supply.idle.begin(), supply.idle.end(),
        [&](const auto& one) { return parts_.fleet.find(one.second)->contact_at == TimePoint{}; }));
    late_[at] = late_count(*pool, supply);
    coming_[at] = supply.requested + booting - late_[at] + unknown_[at];
  }
}

/// Limits of jobs count so many more, which are about to run.
void Planner::place_also(const Demand::Key& key, int count) {
  placed_[{"", key.repository}] += count;
  for (const std::string& label : key.labels) placed_[{label, ""}] += count;
}

void Planner::count_on(Cursor& cursor, const SizedPool& at, int count, WaitReason why) {
  waiting_[at] += count;
  tenant_active_[cursor.key->tenant] += count;
  place_also(*cursor.key, count);
  std::advance(cursor.next, count);
  cursor.rest -= count;
  cursor.coming_count += count;
  cursor.coming_reason = why;
  cursor.reason = std::move(why);
}

/// Lets so many waiting jobs count on what comes, and wishes for what is missing; makes room for
/// `most` of them where there is none.
void Planner::place(Cursor& cursor, int count, int most) {
  for (const SizedPool& at : cursor.pools) {
    int& coming = coming_[at];
    if (coming <= 0 || mode_of(at.pool) != PoolMode::open) continue;
    const int used = std::min(coming, count);
    coming -= used;
    const Supply& supply = parts_.fleet.supply_of(at);
    const bool is_booting = !supply.booting.empty();
    const std::string& name = at.pool.value();
    count_on(cursor, at, used,
             {is_booting ? WaitCause::booting : WaitCause::launching,
              is_booting ? fmt::format("an instance of pool {} is on its way", name)
                         : fmt::format("an instance of pool {} was asked for", name),
              now_, std::nullopt, name});
    return;
  }
  std::optional<WaitReason> first_reason;
  for (const SizedPool& at : cursor.pools) {
    Room room = room_for(at);
    if (room.count > 0 && making_room_) {
      // Room that jobs before these wait for is not theirs.
      Room later = room_for(at, making_room_->freed);
      if (later.count < room.count) room = std::move(later);
    }
    if (room.count <= 0) {
      if (!first_reason) first_reason = room.reason;
      may_change_at(room.reason.next);
      continue;
    }
    const int wished = std::min(room.count, count);
    wish_for(
        at, wished,
        fmt::format("{} job{} for [{}]", cursor.demand->jobs.size(),
                    cursor.demand->jobs.size() == 1 ? "" : "s", join_labels(cursor.key->labels)));
    const std::string& name = at.pool.value();
    count_on(cursor, at, wished,
             {WaitCause::launching, fmt::format("an instance of pool {} is being launched", name),
              now_, std::nullopt, name});
    return;
  }
  cursor.is_blocked = true;
  cursor.reason = first_reason.value_or(WaitReason{});
  make_room(cursor, most);
  if (!cursor.pools.empty()) {
    waiting_[cursor.pools.front()] += cursor.rest;
  }
}

void Planner::place_waiting() {
  const bool is_shared = tenant_active_.size() > 1;
  while (Cursor* cursor = best_cursor()) {
    const int most = allowed_count(*cursor);
    if (most > 0) place(*cursor, is_shared ? 1 : most, most);
  }
}

void Planner::note_reasons() {
  const auto keep = [&](WaitReason& kept, WaitReason& found) {
    const TimePoint since = kept.cause == found.cause ? kept.since : now_;
    kept = std::move(found);
    kept.since = since;
  };
  for (Cursor& cursor : cursors_) {
    keep(cursor.demand->reason, cursor.reason);
    keep(cursor.demand->coming_reason, cursor.coming_reason);
    cursor.demand->coming_count = cursor.coming_count;
  }
}

}  // namespace muster
