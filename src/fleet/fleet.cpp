#include "fleet/fleet.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace muster {
namespace {

template <class Map, class Id>
auto* find_in(Map& map, const Id& id) {
  const auto found = map.find(id);
  return found == map.end() ? nullptr : &found->second;
}

void add_to(std::map<std::string, int>& counts, const std::string& name, int sign) {
  const auto place = counts.try_emplace(name).first;
  place->second += sign;
  MUSTER_CHECK(place->second >= 0);
  if (place->second == 0) counts.erase(place);
}

int count_in(const std::map<std::string, int>& counts, const std::string& name) {
  const auto found = counts.find(name);
  return found == counts.end() ? 0 : found->second;
}

template <class Map>
auto take(Map& rows, std::set<typename Map::key_type>& changed) {
  std::vector<typename Map::mapped_type> out;
  out.reserve(changed.size());
  for (const auto& id : changed) out.push_back(rows.at(id));
  changed.clear();
  return out;
}

template <class Id>
std::vector<Id> take(std::set<Id>& removed) {
  std::vector<Id> out(removed.begin(), removed.end());
  removed.clear();
  return out;
}

bool is_live(InstancePhase phase) {
  return phase != InstancePhase::gone && phase != InstancePhase::stopped;
}

/// What an instance cost from one moment to another.
double usd_between(const Instance& instance, TimePoint from, TimePoint to) {
  if (to <= from) return 0;
  return instance.usd_per_hour * std::chrono::duration<double, std::ratio<3600>>(to - from).count();
}

long day_of(TimePoint at) {
  return std::chrono::floor<std::chrono::days>(at).time_since_epoch().count();
}

TimePoint begin_of(long day) { return TimePoint{std::chrono::days{day}}; }

}  // namespace

bool FleetChanges::empty() const {
  return jobs.empty() && instances.empty() && leases.empty() && intents.empty() &&
         removed_jobs.empty() && removed_instances.empty() && removed_leases.empty() &&
         removed_intents.empty() && pool_orders.empty() && !spending;
}

std::string to_string(PoolMode mode) {
  switch (mode) {
    case PoolMode::open: return "open";
    case PoolMode::paused: return "paused";
    case PoolMode::draining: return "draining";
  }
  return "";
}

void Fleet::restore(FleetSnapshot snapshot) {
  for (Job& job : snapshot.jobs) add(std::move(job));
  for (Instance& instance : snapshot.instances) add(std::move(instance));
  for (Lease& lease : snapshot.leases) add(std::move(lease));
  for (Intent& intent : snapshot.intents) add(std::move(intent));
  for (PoolOrder& order : snapshot.pool_orders) set(std::move(order));
  spending_ = snapshot.spending;
  static_cast<void>(take_changes());
}

void Fleet::mark_all_changed() {
  for (const auto& [id, job] : jobs_) changed_jobs_.insert(id);
  for (const auto& [id, instance] : instances_) changed_instances_.insert(id);
  for (const auto& [id, lease] : leases_) changed_leases_.insert(id);
  for (const auto& [id, intent] : intents_) changed_intents_.insert(id);
  for (const auto& [pool, order] : pool_orders_) changed_pool_orders_.insert(pool);
}

const Job* Fleet::find(const JobId& id) const { return find_in(jobs_, id); }
const Instance* Fleet::find(const InstanceId& id) const { return find_in(instances_, id); }
const Lease* Fleet::find(const LeaseId& id) const { return find_in(leases_, id); }
const Intent* Fleet::find(const IntentId& id) const { return find_in(intents_, id); }

Demand::Key key_of(const Job& job) {
  return {job.tenant, job.repository, job.priority, job.labels};
}

void Fleet::count(const Job& job, int sign) {
  const bool is_open = job.state != JobState::finished && job.state != JobState::dropped;
  if (is_open && sign > 0) open_.insert(job.id);
  if (is_open && sign < 0) open_.erase(job.id);
  if (job.state == JobState::queued) {
    const auto place = demand_.try_emplace(key_of(job)).first;
    if (sign > 0) {
      place->second.jobs.emplace(job.queued_at, job.id);
    } else {
      place->second.jobs.erase({job.queued_at, job.id});
      if (place->second.jobs.empty()) demand_.erase(place);
    }
  } else if (job.state == JobState::leased || job.state == JobState::running) {
    add_to(by_tenant_, job.tenant, sign);
    add_to(by_repository_, job.repository, sign);
    for (const std::string& label : job.labels) add_to(by_label_, label, sign);
  } else if (sign > 0) {
    ended_.emplace(job.changed_at, job.id);
  } else {
    ended_.erase({job.changed_at, job.id});
  }
}

void Fleet::count(const Instance& instance, int sign) {
  moved_.insert(instance.id);
  Supply& supply = supply_[{instance.pool, instance.size}];
  const auto put = [&](Supply::ByTime& in, TimePoint at) {
    if (sign > 0) in.emplace(at, instance.id);
    if (sign < 0) in.erase({at, instance.id});
  };
  switch (instance.phase) {
    case InstancePhase::pending:
    case InstancePhase::booting: put(supply.booting, instance.launched_at); break;
    case InstancePhase::starting: put(supply.booting, instance.phase_since); break;
    case InstancePhase::idle: put(supply.idle, instance.phase_since); break;
    case InstancePhase::stopped: put(supply.stopped, instance.phase_since); break;
    case InstancePhase::busy: supply.busy += sign; break;
    case InstancePhase::stopping: supply.stopping += sign; [[fallthrough]];
    case InstancePhase::draining:
    case InstancePhase::terminating: put(supply.ending, instance.phase_since); break;
    case InstancePhase::gone: break;
  }
  if (!is_live(instance.phase)) return;
  live_by_pool_[instance.pool] += sign;
  live_ += sign;
}

void Fleet::count(const Intent& intent, int sign) {
  if (intent.state != IntentState::open) return;
  Supply& supply = supply_[{intent.pool, intent.size}];
  (intent.is_refused ? supply.hidden : supply.requested) += sign * intent.rest();
  live_by_pool_[intent.pool] += sign * intent.rest();
  live_ += sign * intent.rest();
}

void Fleet::add(Job job) {
  const JobId id = job.id;
  const auto [place, is_new] = jobs_.emplace(id, std::move(job));
  MUSTER_CHECK(is_new);
  count(place->second, 1);
  changed_jobs_.insert(id);
  removed_jobs_.erase(id);
}

void Fleet::add(Instance instance) {
  const InstanceId id = instance.id;
  const auto [place, is_new] = instances_.emplace(id, std::move(instance));
  MUSTER_CHECK(is_new);
  count(place->second, 1);
  changed_instances_.insert(id);
  removed_instances_.erase(id);
}

void Fleet::add(Lease lease) {
  const LeaseId id = lease.id;
  MUSTER_CHECK(leases_.emplace(id, std::move(lease)).second);
  changed_leases_.insert(id);
  removed_leases_.erase(id);
}

void Fleet::add(Intent intent) {
  const IntentId id = intent.id;
  const auto [place, is_new] = intents_.emplace(id, std::move(intent));
  MUSTER_CHECK(is_new);
  count(place->second, 1);
  changed_intents_.insert(id);
  removed_intents_.erase(id);
}

void Fleet::move(const JobId& id, JobState to, TimePoint now) {
  Job& job = jobs_.at(id);
  count(job, -1);
  move_to(job.state, to);
  job.changed_at = now;
  count(job, 1);
  changed_jobs_.insert(id);
}

void Fleet::move(const InstanceId& id, InstancePhase to, TimePoint now) {
  Instance& instance = instances_.at(id);
  count(instance, -1);
  const bool was_live = is_live(instance.phase);
  move_to(instance.phase, to);
  // A stopped instance costs only its disk: what it has cost is settled, and it begins anew.
  if (was_live && !is_live(to)) settle(instance, now);
  if (!was_live && is_live(to)) instance.launched_at = now;
  instance.phase_since = now;
  instance.stalled_for = {};
  count(instance, 1);
  changed_instances_.insert(id);
}

void Fleet::move(const LeaseId& id, LeaseState to) {
  move_to(leases_.at(id).state, to);
  changed_leases_.insert(id);
}

void Fleet::move(const IntentId& id, IntentState to) {
  Intent& intent = intents_.at(id);
  count(intent, -1);
  move_to(intent.state, to);
  count(intent, 1);
  changed_intents_.insert(id);
}

void Fleet::note_found(const IntentId& id, const InstanceId& instance) {
  Intent& intent = intents_.at(id);
  count(intent, -1);
  intent.found.insert(instance);
  count(intent, 1);
}

void Fleet::note_refused(const IntentId& id) {
  Intent& intent = intents_.at(id);
  count(intent, -1);
  intent.is_refused = true;
  count(intent, 1);
}

Job& Fleet::edit(const JobId& id) {
  changed_jobs_.insert(id);
  return jobs_.at(id);
}

Instance& Fleet::edit(const InstanceId& id) {
  changed_instances_.insert(id);
  return instances_.at(id);
}

Lease& Fleet::edit(const LeaseId& id) {
  changed_leases_.insert(id);
  return leases_.at(id);
}

Intent& Fleet::edit(const IntentId& id) {
  changed_intents_.insert(id);
  return intents_.at(id);
}

void Fleet::remove(const JobId& id) {
  count(jobs_.at(id), -1);
  jobs_.erase(id);
  changed_jobs_.erase(id);
  removed_jobs_.insert(id);
}

void Fleet::remove(const InstanceId& id) {
  count(instances_.at(id), -1);
  instances_.erase(id);
  changed_instances_.erase(id);
  removed_instances_.insert(id);
}

void Fleet::remove(const LeaseId& id) {
  leases_.erase(id);
  changed_leases_.erase(id);
  removed_leases_.insert(id);
}

void Fleet::remove(const IntentId& id) {
  count(intents_.at(id), -1);
  intents_.erase(id);
  changed_intents_.erase(id);
  removed_intents_.insert(id);
}

bool Fleet::has_changes() const {
  return !changed_jobs_.empty() || !changed_instances_.empty() || !changed_leases_.empty() ||
         !changed_intents_.empty() || !removed_jobs_.empty() || !removed_instances_.empty() ||
         !removed_leases_.empty() || !removed_intents_.empty() || !changed_pool_orders_.empty() ||
         is_spending_changed_;
}

FleetChanges Fleet::take_changes() {
  FleetChanges out;
  out.jobs = take(jobs_, changed_jobs_);
  out.instances = take(instances_, changed_instances_);
  out.leases = take(leases_, changed_leases_);
  out.intents = take(intents_, changed_intents_);
  out.removed_jobs = take(removed_jobs_);
  out.removed_instances = take(removed_instances_);
  out.removed_leases = take(removed_leases_);
  out.removed_intents = take(removed_intents_);
  out.pool_orders = take(pool_orders_, changed_pool_orders_);
  if (is_spending_changed_) out.spending = spending_;
  is_spending_changed_ = false;
  return out;
}

void Fleet::set(PoolOrder order) {
  changed_pool_orders_.insert(order.pool);
  const PoolName pool = order.pool;
  pool_orders_.insert_or_assign(pool, std::move(order));
}

PoolMode Fleet::mode_of(const PoolName& pool) const {
  const auto found = pool_orders_.find(pool);
  return found == pool_orders_.end() ? PoolMode::open : found->second.mode;
}

const Supply& Fleet::supply_of(const SizedPool& pool) const {
  static const Supply none;
  const auto found = supply_.find(pool);
  return found == supply_.end() ? none : found->second;
}

int Fleet::live_count(const PoolName& pool) const {
  const auto found = live_by_pool_.find(pool);
  return found == live_by_pool_.end() ? 0 : found->second;
}

int Fleet::tenant_count(const std::string& tenant) const { return count_in(by_tenant_, tenant); }

int Fleet::repository_count(const std::string& repository) const {
  return count_in(by_repository_, repository);
}

int Fleet::label_count(const std::string& label) const { return count_in(by_label_, label); }

void Fleet::settle(const Instance& instance, TimePoint now) {
  const long today = day_of(now);
  if (spending_.day != today) spending_ = {today, 0};
  spending_.usd_settled +=
      usd_between(instance, std::max(instance.launched_at, begin_of(today)), now);
  is_spending_changed_ = true;
}

double Fleet::usd_spent(TimePoint now) const {
  const long today = day_of(now);
  double usd = spending_.day == today ? spending_.usd_settled : 0;
  for (const auto& [id, instance] : instances_) {
    if (!is_live(instance.phase)) continue;
    usd += usd_between(instance, std::max(instance.launched_at, begin_of(today)), now);
  }
  return usd;
}

}  // namespace muster
