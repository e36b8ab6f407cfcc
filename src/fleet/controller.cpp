#include "fleet/controller.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace muster {
namespace {

std::vector<TimePoint*> moments_of(FleetSnapshot& snapshot) {
  std::vector<TimePoint*> moments;
  for (Job& job : snapshot.jobs) {
    moments.insert(moments.end(), {&job.changed_at, &job.started_at});
  }
  for (Lease& lease : snapshot.leases) {
    moments.insert(moments.end(), {&lease.created_at, &lease.started_at});
  }
  for (Intent& intent : snapshot.intents) moments.push_back(&intent.created_at);
  for (PoolOrder& order : snapshot.pool_orders) moments.push_back(&order.since);
  for (Instance& one : snapshot.instances) {
    moments.insert(moments.end(),
                   {&one.launched_at, &one.phase_since, &one.absent_since, &one.terminated_at});
  }
  return moments;
}

void shift(const std::vector<TimePoint*>& moments, Duration by) {
  for (TimePoint* at : moments) {
    if (*at != TimePoint{}) *at += by;
  }
}

/// How far the moments have to go back so that none is in the future: it would last for ever.
Duration too_late(const std::vector<TimePoint*>& moments, TimePoint now) {
  TimePoint latest = now;
  for (const TimePoint* at : moments) latest = std::max(latest, *at);
  return latest - now;
}

long day_of(TimePoint at) {
  return std::chrono::floor<std::chrono::days>(at).time_since_epoch().count();
}

}  // namespace

Controller::Controller(Config config, std::uint64_t id_seed)
    : config_(std::move(config)), ids_(id_seed), planner_({fleet_, config_, market_, ids_}) {}

const Pool* Controller::find_pool(const PoolName& name) const {
  const auto found = config_.pools.find(name.value());
  return found == config_.pools.end() ? nullptr : &found->second;
}

/// What was on its way has its whole time again: nobody looked after it in between.
void Controller::restore(FleetSnapshot snapshot, TimePoint now, Duration behind) {
  const std::vector<TimePoint*> moments = moments_of(snapshot);
  shift(moments, behind);
  const Duration back = too_late(moments, now);
  shift(moments, -back);
  const Duration by = behind - back;
  if (snapshot.spending.day == day_of(now - by)) snapshot.spending.day = day_of(now);
  constexpr auto kCounted = std::chrono::minutes{1};
  std::multimap<TimePoint, int> launches;
  std::map<IntentId, std::set<InstanceId>> found;
  for (Instance& instance : snapshot.instances) {
    if (!instance.intent.empty()) found[instance.intent].insert(instance.id);
    const bool is_stopped = instance.phase == InstancePhase::stopped;
    if (is_coming(instance.phase) || is_stopped) instance.phase_since = now;
    instance.contact_at = {};  // By this process, it was not reached yet.
    if (now - instance.launched_at < kCounted) launches.emplace(instance.launched_at, 1);
  }
  for (Intent& intent : snapshot.intents) {
    if (intent.state != IntentState::open) continue;
    intent.found = std::move(found[intent.id]);
    if (!intent.found.empty()) intent.made_by = now;
    if (now - intent.created_at < kCounted) {
      launches.emplace(intent.created_at, intent.rest());
    }
  }
  for (const auto& [at, count] : launches) planner_.remember_launch(at, count);
  for (Lease& lease : snapshot.leases) lease.is_restored = true;
  fleet_.restore(std::move(snapshot));
  if (by != Duration{}) fleet_.mark_all_changed();
}

void Controller::allow_for(Duration stall) {
  for (const auto& [id, instance] : fleet_.instances()) {
    if (is_coming(instance.phase)) fleet_.glance(id).stalled_for += stall;
  }
  for (auto& [id, claim] : unplaced_claims_) claim.since += stall;
}

void Controller::apply(const FleetEvent& event, TimePoint now) {
  std::visit([&](const auto& one) { on(one, now); }, event);
}

void Controller::on(const MachineReady& event, TimePoint now) {
  const Instance* instance = fleet_.find(event.instance);
  if (instance == nullptr) return;
  const InstanceId id = event.instance;
  Instance& changed = fleet_.edit(id);
  changed.contact_at = now;
  changed.host_keys = event.host_keys;
  changed.trouble.clear();
  const InstancePhase phase = instance->phase;
  if (phase == InstancePhase::idle && event.is_used && instance->job_count == 0) {
    // The store is older than what the machine has seen.
    changed.job_count = 1;
    changed.reason = kUnclaimed;
    return fleet_.move(id, InstancePhase::draining, now);
  }
  const bool is_taken = instance->taken_back_at > now && !event.is_used;
  if (is_taken && phase == InstancePhase::idle) return terminate(id, instance->reason, now);
  if (!is_coming(phase)) return;
  market_.boot_worked(instance->pool);
  if (is_taken) return terminate(id, instance->reason, now);
  if (!event.is_used) return fleet_.move(id, InstancePhase::idle, now);
  // A job was there, and nobody says which: it goes when that has ended.
  changed.job_count = std::max(changed.job_count, 1);
  changed.reason = kUnclaimed;
  if (phase == InstancePhase::starting) return terminate(id, changed.reason, now);
  fleet_.move(id, InstancePhase::draining, now);
}

void Controller::on(const MachineSeen& event, TimePoint now) {
  const Instance* instance = fleet_.find(event.instance);
  if (instance == nullptr) return;
  // One of before the start gets a job only when it was looked at for what has been there.
  const bool is_unknown =
      instance->phase == InstancePhase::idle && instance->contact_at == TimePoint{};
  if (!is_unknown) fleet_.glance(event.instance).contact_at = now;
}

void Controller::on(const MachineUnfit& event, TimePoint now) {
  const Instance* instance = fleet_.find(event.instance);
  if (instance == nullptr || instance->phase == InstancePhase::gone) return;
  // Somebody may have claimed the job since it was looked at.
  if (event.is_leftover && instance->phase != InstancePhase::draining) return;
  const bool was_coming = is_coming(instance->phase);
  if (was_coming && !instance->is_adopted) market_.boot_failed(instance->pool, event.why, now);
  take_job(*instance, event.why, now);
  terminate(event.instance, event.why, now);
}

void Controller::on(const TerminateAccepted& event, TimePoint now) {
  for (const InstanceId& id : event.instances) {
    if (fleet_.find(id) != nullptr) fleet_.glance(id).terminated_at = now;
  }
}

void Controller::on(const PowerRefused& event, TimePoint now) {
  const Instance* instance = fleet_.find(event.instance);
  if (instance == nullptr) return;
  if (instance->phase == InstancePhase::starting) {
    if (is_out_of_room(event.error.kind)) market_.refused(instance->offering, event.error, now);
    // Jobs go the way of a launch; the disk of one that cannot start is not worth its price.
    return terminate(event.instance, "could not be started: " + event.error.describe(), now);
  }
  if (instance->phase == InstancePhase::stopping) {
    terminate(event.instance, "could not be stopped: " + event.error.describe(), now);
  }
}

void Controller::on(const PoolResolved& event, TimePoint now) {
  static_cast<void>(now);
  market_.set_offers(event.pool, event.offers);
  // Those that were found before anybody knew what the pool's machines are.
  std::vector<InstanceId> unpriced;
  for (const auto& [id, instance] : fleet_.instances()) {
    if (instance.pool == event.pool && instance.vcpus == 0) unpriced.push_back(id);
  }
  for (const InstanceId& id : unpriced) {
    const Offering& offering = fleet_.find(id)->offering;
    for (const PricedOffering& one : event.offers.offerings) {
      const bool is_same = one.offering.instance_type == offering.instance_type &&
                           one.offering.capacity_type == offering.capacity_type;
      if (!is_same || one.vcpus == 0) continue;
      Instance& priced = fleet_.edit(id);
      priced.vcpus = one.vcpus;
      priced.usd_per_hour = one.usd_per_hour;
      break;
    }
  }
}

void Controller::on(const InterruptionNoticed& event, TimePoint now) {
  const Instance* instance = fleet_.find(event.instance);
  if (instance == nullptr) return;
  market_.interrupted(instance->offering, now);
  const std::string why =
      event.by.empty() ? std::string("the cloud takes it back")
                       : fmt::format("taken back like a Spot instance, in a drill by {}", event.by);
  // So may one that was found while it came up, or that only the store knows.
  const bool is_unknown = instance->contact_at == TimePoint{};
  const bool may_have_job = instance->phase == InstancePhase::busy ||
                            instance->phase == InstancePhase::draining ||
                            (is_coming(instance->phase) && instance->is_adopted) ||
                            (instance->phase == InstancePhase::idle && is_unknown);
  if (!may_have_job) return terminate(event.instance, why, now);
  // Its job has what time there is; nothing else is given to it.
  Instance& changed = fleet_.edit(event.instance);
  const bool is_sooner = changed.taken_back_at <= now || event.ends_at < changed.taken_back_at;
  changed.reason = why;
  if (is_sooner) changed.taken_back_at = event.ends_at;
}

void Controller::on(const ConfigReplaced& event, TimePoint now) {
  static_cast<void>(now);
  config_ = event.config;
  planner_.forget_matches();
}

void Controller::on(const PoolOrdered& event, TimePoint now) {
  if (find_pool(event.pool) == nullptr) return;
  const auto known = fleet_.pool_orders().find(event.pool);
  const bool is_same = fleet_.mode_of(event.pool) == event.mode;
  if (is_same && (known == fleet_.pool_orders().end() || event.mode == PoolMode::open)) return;
  // Said again without a reason, what was said first stands.
  if (is_same && event.why.empty()) return;
  const TimePoint since = is_same ? known->second.since : now;
  fleet_.set({event.pool, event.mode, since, event.by, event.why});
}

void Controller::on(const InstanceOrdered& event, TimePoint now) {
  const Instance* instance = fleet_.find(event.instance);
  if (instance == nullptr || instance->phase == InstancePhase::gone) return;
  const std::string why = fmt::format("{} by {}", to_string(event.order), event.by);
  switch (event.order) {
    case InstanceOrder::drained:
      if (instance->phase == InstancePhase::busy || instance->phase == InstancePhase::draining) {
        fleet_.edit(event.instance).reason = why;
        return;
      }
      return terminate(event.instance, why, now);
    case InstanceOrder::terminated:
    case InstanceOrder::taken_back:
      take_job(*instance, why, now);
      return terminate(event.instance, why, now);
    case InstanceOrder::protected_:
    case InstanceOrder::unprotected:
      fleet_.edit(event.instance).is_protected = event.order == InstanceOrder::protected_;
      fleet_.glance(event.instance).protection_set_at = now;
      return;
  }
}

void Controller::on(const LaunchTrouble& event, TimePoint now) {
  static_cast<void>(now);
  if (fleet_.find(event.intent) == nullptr) return;
  Intent& intent = fleet_.glance(event.intent);
  intent.trouble = event.error.describe();
  intent.is_throttled = event.error.kind == ErrorKind::throttled;
}

void Controller::on(const MachineTrouble& event, TimePoint now) {
  static_cast<void>(now);
  if (fleet_.find(event.instance) != nullptr) fleet_.glance(event.instance).trouble = event.what;
}

// Leases.

void Controller::on(const LeaseAccepted& event, TimePoint now) {
  static_cast<void>(now);
  const Lease* lease = fleet_.find(event.lease);
  if (lease != nullptr) fleet_.glance(event.lease).is_restored = false;
  if (lease != nullptr && lease->state == LeaseState::held) {
    fleet_.move(event.lease, LeaseState::accepted);
  }
}

void Controller::on(const LeaseStarting& event, TimePoint now) {
  const Lease* lease = fleet_.find(event.lease);
  const bool is_again = lease != nullptr && lease->state == LeaseState::started;
  if (lease == nullptr || (lease->state != LeaseState::accepted && !is_again)) return;
  if (!is_again) fleet_.move(event.lease, LeaseState::started);
  fleet_.edit(event.lease).started_at = now;
  const Job* job = fleet_.find(lease->job);
  if (is_again) {
    if (job != nullptr) fleet_.edit(lease->job).started_at = now;
    return;
  }
  if (job != nullptr && job->state == JobState::leased) {
    fleet_.move(lease->job, JobState::running, now);
    fleet_.edit(lease->job).started_at = now;
  }
  // From here on no other job may have it unless its pool says so.
  if (fleet_.find(lease->instance) != nullptr) ++fleet_.edit(lease->instance).job_count;
}

void Controller::on(const LeaseGivenBack& event, TimePoint now) {
  const Lease* lease = fleet_.find(event.lease);
  const bool is_open = lease != nullptr &&
                       (lease->state == LeaseState::held || lease->state == LeaseState::accepted);
  if (!is_open) return;
  const Lease copy = *lease;
  if (event.is_job_gone) {
    const Job* job = fleet_.find(copy.job);
    if (job != nullptr && job->state == JobState::leased) {
      Job& changed = fleet_.edit(copy.job);
      changed.lease = LeaseId();
      changed.outcome = JobOutcome::cancelled;
      changed.reason = event.why;
      fleet_.move(copy.job, JobState::dropped, now);
    }
    fleet_.move(copy.id, LeaseState::ended);
    fleet_.remove(copy.id);
  } else {
    give_back(copy.id, event.why, now);
  }
  free_instance(copy, false, true, now);
}

void Controller::on(const LeaseFinished& event, TimePoint now) {
  const Lease* lease = fleet_.find(event.lease);
  const bool has_ended = lease == nullptr || lease->state == LeaseState::reported;
  if (has_ended) return;
  const Lease copy = *lease;
  finish(copy.id, event.outcome, event.exit_code, event.why, now);
  const bool is_fit = event.outcome == JobOutcome::passed || event.outcome == JobOutcome::failed;
  free_instance(copy, true, is_fit, now);
}

void Controller::on(const LeaseReported& event, TimePoint now) {
  const Lease* lease = fleet_.find(event.lease);
  if (lease == nullptr || lease->state != LeaseState::reported) return;
  const Lease copy = *lease;
  fleet_.move(copy.id, LeaseState::ended);
  fleet_.remove(copy.id);
  const Job* job = fleet_.find(copy.job);
  if (job == nullptr || job->lease != copy.id) return;
  Job& changed = fleet_.edit(copy.job);
  changed.lease = LeaseId();
  changed.absence_count = 0;
  if (copy.outcome == JobOutcome::none) {
    if (job->state == JobState::leased) fleet_.move(copy.job, JobState::queued, now);
    return;
  }
  changed.outcome = copy.outcome;
  changed.exit_code = copy.exit_code;
  changed.reason = copy.reason;
  fleet_.move(copy.job, JobState::finished, now);
}

void Controller::give_back(const LeaseId& id, const std::string& why, TimePoint now) {
  static_cast<void>(now);
  const Lease copy = *fleet_.find(id);
  Lease& lease = fleet_.edit(id);
  lease.outcome = JobOutcome::none;
  lease.reason = why;
  // Told to the CI server even if it may not know of the lease: it may.
  if (copy.state == LeaseState::held) fleet_.move(id, LeaseState::accepted);
  fleet_.move(id, LeaseState::reported);
}

void Controller::finish(const LeaseId& id, JobOutcome outcome, int exit_code,
                        const std::string& why, TimePoint now) {
  const Lease copy = *fleet_.find(id);
  Lease& lease = fleet_.edit(id);
  lease.outcome =
      lease.is_cancelled && outcome == JobOutcome::lost ? JobOutcome::cancelled : outcome;
  lease.exit_code = exit_code;
  lease.reason = why;
  if (copy.state == LeaseState::held) fleet_.move(id, LeaseState::accepted);
  fleet_.move(id, LeaseState::reported);
  const Job* job = fleet_.find(copy.job);
  if (job != nullptr && job->state == JobState::leased) {
    fleet_.move(copy.job, JobState::running, now);
  }
}

std::string to_string(InstanceOrder order) {
  switch (order) {
    case InstanceOrder::drained: return "drained";
    case InstanceOrder::terminated: return "terminated";
    case InstanceOrder::taken_back: return "taken back like a Spot instance, in a drill";
    case InstanceOrder::protected_: return "protected";
    case InstanceOrder::unprotected: return "unprotected";
  }
  return "";
}

JobId job_id_of(const std::string& source, const std::string& ci_id) {
  return JobId(source + "/" + ci_id);
}

std::string ci_id_of(const Job& job) { return job.id.value().substr(job.source.size() + 1); }

}  // namespace muster
