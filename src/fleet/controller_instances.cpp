#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "fleet/controller.hpp"

// What the cloud says of its instances. A machine ends for being missing only after proof.

namespace muster {
namespace {

using namespace std::chrono_literals;

// EC2 developer guide, "Eventual consistency": a fresh instance may be missing for minutes.
constexpr Duration kMayBeInvisible = 5min;
constexpr int kAbsencesToBelieve = 3;
constexpr Duration kAbsentFor = 5min;
constexpr Duration kTagLate = 30s;         // Until listings show a tag that was set.
constexpr Duration kAnswered = 3min;       // By then a launch is, unless it is turned away.
constexpr Duration kTerminateAgain = 30s;  // It was asked for, and the cloud still shows it.

/// Whether a launch may have made more than listings have shown, though it is refused now.
bool may_hide(const Intent& intent, const Error& error) {
  // Such an error says that a request with the token has made something before.
  const bool has_made = error.code.starts_with("Idempotent") || intent.made_by != TimePoint{};
  if (!has_made) return false;
  // One of them has ended. It may be one that was found.
  const int ended = error.code == "IdempotentInstanceTerminated" ? 1 : 0;
  return std::min(intent.rest(), intent.count - ended) > 0;
}

}  // namespace

void Controller::on(const LaunchAnswered& event, TimePoint now) {
  const Intent* found = fleet_.find(event.intent);
  if (found == nullptr || (found->state != IntentState::open && event.error)) return;
  const Intent intent = *found;
  for (const auto& [offering, error] : event.refusals) market_.refused(offering, error, now);
  if (intent.state != IntentState::open) {
    // Found before it was answered, and not all of it, perhaps.
    for (const SeenInstance& made : event.instances) {
      if (made.state != SeenInstance::State::ending) add_launched(intent, made, true, now);
    }
    return;
  }
  if (event.error) {
    if (may_hide(intent, *event.error)) {
      Intent& refused = fleet_.glance(intent.id);
      if (refused.made_by == TimePoint{}) refused.made_by = now;
      refused.trouble.clear();
      fleet_.note_refused(intent.id);
    } else {
      fleet_.move(intent.id, IntentState::refused);
      fleet_.remove(intent.id);
    }
    const ErrorKind kind = event.error->kind;
    if (is_out_of_room(kind)) return market_.refused(intent.offering, *event.error, now);
    // A launch of which something was found says nothing against its pool.
    const bool has_failed = kind != ErrorKind::throttled && intent.found.empty();
    if (has_failed) market_.launch_failed(intent.pool, *event.error, now);
    return;
  }
  for (const SeenInstance& made : event.instances) add_launched(intent, made, false, now);
  // Fewer than asked for: there is no more room where these are.
  const bool is_short = static_cast<int>(event.instances.size()) < intent.count;
  if (is_short && event.refusals.empty()) {
    Error error;
    error.kind = ErrorKind::capacity_unavailable;
    error.code = "InsufficientInstanceCapacity";
    market_.refused(intent.offering, error, now);
  }
  fleet_.move(intent.id, IntentState::launched);
  forget_intent(intent.id);
}

void Controller::add_launched(const Intent& intent, const SeenInstance& made, bool is_found,
                              TimePoint now) {
  // What was found may have come and gone before the answer.
  if (fleet_.find(made.id) != nullptr || intent.found.contains(made.id)) return;
  Instance instance;
  instance.id = made.id;
  instance.intent = intent.id;
  instance.pool = intent.pool;
  instance.size = intent.size;
  instance.offering = intent.offering;
  if (!made.offering.instance_type.empty()) {
    instance.offering.instance_type = made.offering.instance_type;
    instance.offering.capacity_type = made.offering.capacity_type;
  }
  if (!made.offering.zone.empty()) instance.offering.zone = made.offering.zone;
  instance.address = made.address;
  instance.launched_at = intent.created_at;
  instance.phase_since = now;
  instance.is_adopted = is_found;
  instance.is_hedge = intent.is_hedge;
  instance.usd_per_hour = intent.usd_per_hour;
  instance.vcpus = intent.vcpus;
  const PoolOffers* offers = market_.offers_of(intent.pool);
  if (offers != nullptr) instance.settings = offers->settings;
  fleet_.add(std::move(instance));
  place_claim(made.id, now);
}

/// A launched intent goes with the last of its instances.
void Controller::forget_intent(const IntentId& id) {
  const Intent* intent = fleet_.find(id);
  if (intent == nullptr || intent->state != IntentState::launched) return;
  const auto& all = fleet_.instances();
  const bool is_needed = std::any_of(all.begin(), all.end(), [&](const auto& one) {
    return one.second.intent == id && one.second.phase != InstancePhase::gone;
  });
  if (is_needed) return;
  fleet_.move(id, IntentState::ended);
  fleet_.remove(id);
}

void Controller::on(const InstancesListed& event, TimePoint now) {
  take_unanswered(event, now);
  std::vector<std::string_view> seen;
  for (const SeenInstance& one : event.instances) {
    seen.push_back(one.id.value());
    see(one, event.asked_at, now);
  }
  std::vector<InstanceId> missing;
  std::sort(seen.begin(), seen.end());
  for (const auto& [id, instance] : fleet_.instances()) {
    const bool is_seen = std::binary_search(seen.begin(), seen.end(), id.value());
    if (!is_seen) missing.push_back(id);
  }
  for (const InstanceId& id : missing) absent(id, event.asked_at, now);
}

/// A launch that is turned away whenever it is asked for again made what is there all the same.
/// What is not shown may be hidden: it stays open for that, as long as it can be.
void Controller::take_unanswered(const InstancesListed& event, TimePoint now) {
  std::map<IntentId, std::vector<const SeenInstance*>> made;
  for (const auto& [id, intent] : fleet_.intents()) {
    if (intent.state == IntentState::open && intent.made_by != TimePoint{}) made[id];
  }
  for (const SeenInstance& one : event.instances) {
    const Intent* intent = fleet_.find(one.intent);
    const bool is_open = intent != nullptr && intent->state == IntentState::open;
    if (is_open && one.state != SeenInstance::State::ending) made[one.intent].push_back(&one);
  }
  for (const auto& [id, instances] : made) {
    Intent& intent = fleet_.glance(id);
    if (intent.made_by == TimePoint{}) intent.made_by = event.asked_at;
    if (!intent.is_refused && event.asked_at - intent.created_at < kAnswered) continue;
    for (const SeenInstance* one : instances) {
      add_launched(intent, *one, true, now);
      fleet_.note_found(id, one->id);
    }
    if (intent.rest() > 0 && event.asked_at - intent.made_by < kMayBeInvisible) continue;
    fleet_.move(id, IntentState::launched);
    forget_intent(id);
  }
}

void Controller::see(const SeenInstance& seen, TimePoint asked_at, TimePoint now) {
  if (const Instance* known = fleet_.find(seen.id)) {
    fleet_.glance(seen.id).absence_count = 0;
    const bool is_news = asked_at > known->protection_set_at + kTagLate;
    if (is_news && known->is_protected != seen.is_protected) {
      fleet_.edit(seen.id).is_protected = seen.is_protected;
    }
    return see_known(*known, seen, now);
  }
  if (seen.state == SeenInstance::State::ending) return;
  const Intent* intent = fleet_.find(seen.intent);
  // Whoever launched it has not read the answer yet, and will.
  if (intent != nullptr && intent->state == IntentState::open) return;
  adopt(seen, now);
}

void Controller::adopt(const SeenInstance& seen, TimePoint now) {
  Instance instance;
  instance.id = seen.id;
  instance.intent = seen.intent;
  instance.pool = seen.pool;
  instance.size = seen.size;
  instance.offering = seen.offering;
  instance.address = seen.address;
  instance.launched_at = seen.launched_at;
  instance.phase_since = now;
  instance.is_adopted = true;
  instance.is_protected = seen.is_protected;
  instance.phase = InstancePhase::booting;
  if (const PoolOffers* offers = market_.offers_of(seen.pool)) {
    for (const PricedOffering& one : offers->offerings) {
      const bool is_same = one.offering.instance_type == seen.offering.instance_type &&
                           one.offering.capacity_type == seen.offering.capacity_type;
      if (!is_same) continue;
      instance.usd_per_hour = one.usd_per_hour;
      instance.vcpus = one.vcpus;
    }
  }
  const bool runs =
      seen.state == SeenInstance::State::pending || seen.state == SeenInstance::State::running;
  if (!runs && !seen.is_protected) {
    instance.phase = InstancePhase::terminating;
    instance.reason = "found stopped, and nothing knows it";
  }
  fleet_.add(std::move(instance));
  place_claim(seen.id, now);
}

void Controller::see_known(const Instance& known, const SeenInstance& seen, TimePoint now) {
  using State = SeenInstance::State;
  const InstanceId id = known.id;
  if (!seen.address.empty() && known.address != seen.address) {
    fleet_.edit(id).address = seen.address;
  }
  switch (seen.state) {
    case State::ending: return instance_gone(id, seen.reason, now);
    case State::running: {
      const bool is_up = known.phase == InstancePhase::pending ||
                         (known.phase == InstancePhase::starting && now - known.phase_since > 1s);
      if (is_up) return fleet_.move(id, InstancePhase::booting, now);
      if (known.phase == InstancePhase::stopped) {
        const bool is_stale = now - known.phase_since < kMayBeInvisible;
        if (!is_stale) terminate(id, "was started by somebody else", now);
        return;
      }
      break;
    }
    case State::stopped:
      if (known.phase == InstancePhase::stopping) {
        return fleet_.move(id, InstancePhase::stopped, now);
      }
      [[fallthrough]];
    case State::stopping: {
      const bool is_ours =
          known.phase == InstancePhase::stopping || known.phase == InstancePhase::stopped ||
          known.phase == InstancePhase::starting || known.phase == InstancePhase::terminating;
      // Of no use to its job, and nobody starts it again.
      if (!is_ours && now - known.phase_since > kTerminateAgain) {
        return on(MachineUnfit{id, "was stopped by somebody else"}, now);
      }
      break;
    }
    case State::pending: break;
  }
  const bool was_ignored = known.phase == InstancePhase::terminating &&
                           known.terminated_at != TimePoint{} &&
                           now - known.terminated_at > kTerminateAgain;
  if (was_ignored) fleet_.edit(id).terminated_at = TimePoint{};
}

void Controller::absent(const InstanceId& id, TimePoint asked_at, TimePoint now) {
  Instance& instance = fleet_.glance(id);
  const TimePoint began = std::max(instance.launched_at, instance.phase_since);
  const bool is_fresh = instance.phase == InstancePhase::terminating
                            ? now - instance.launched_at < kMayBeInvisible
                            : asked_at - began < kMayBeInvisible;
  if (instance.absence_count == 0) instance.absent_since = asked_at;
  ++instance.absence_count;
  const bool is_proven = instance.absence_count >= kAbsencesToBelieve &&
                         now - instance.absent_since >= kAbsentFor &&
                         instance.contact_at < instance.absent_since;
  if (is_fresh || !is_proven) return;
  instance_gone(id, "the cloud has it no more", now);
}

void Controller::instance_gone(const InstanceId& id, const std::string& why, TimePoint now) {
  const Instance instance = *fleet_.find(id);
  const bool was_taken =
      why.find("Spot") != std::string::npos && instance.phase != InstancePhase::terminating;
  if (was_taken) market_.interrupted(instance.offering, now);
  const bool has_failed = is_coming(instance.phase) && !was_taken && !instance.is_adopted;
  if (has_failed) market_.boot_failed(instance.pool, why, now);
  take_job(instance, "its instance ended: " + why, now);
  fleet_.move(id, InstancePhase::gone, now);
  fleet_.remove(id);
  forget_intent(instance.intent);
}

void Controller::take_job(const Instance& instance, const std::string& why, TimePoint now) {
  const Lease* lease = fleet_.find(instance.lease);
  if (lease == nullptr || lease->state == LeaseState::reported) return;
  if (lease->state == LeaseState::started || lease->is_cancelled) {
    finish(lease->id, JobOutcome::lost, 0, lease->is_cancelled ? lease->reason : why, now);
  } else {
    give_back(lease->id, why, now);
  }
}

void Controller::terminate(const InstanceId& id, const std::string& why, TimePoint now) {
  const Instance& instance = *fleet_.find(id);
  if (instance.phase == InstancePhase::terminating || instance.phase == InstancePhase::gone) return;
  Instance& changed = fleet_.edit(id);
  changed.reason = why;
  changed.lease = LeaseId();
  fleet_.move(id, InstancePhase::terminating, now);
}

void Controller::free_instance(const Lease& lease, bool was_touched, bool is_fit, TimePoint now) {
  const Instance* instance = fleet_.find(lease.instance);
  if (instance == nullptr || instance->lease != lease.id) return;
  const InstanceId id = instance->id;
  fleet_.edit(id).lease = LeaseId();
  if (lease.is_restored && place_claim(id, now)) return;
  if (instance->phase != InstancePhase::busy) {
    if (instance->phase == InstancePhase::draining) terminate(id, instance->reason, now);
    return;
  }
  const Pool* pool = find_pool(instance->pool);
  if (!is_fit) return terminate(id, "its last job left it unfit", now);
  if (!instance->reason.empty()) return terminate(id, instance->reason, now);
  if (!was_touched && instance->job_count == 0) return fleet_.move(id, InstancePhase::idle, now);
  const bool may_be_reused =
      pool != nullptr && instance->job_count < pool->reuse.jobs &&
      (pool->reuse.time_max == Duration{} || now - instance->launched_at < pool->reuse.time_max);
  if (may_be_reused) return fleet_.move(id, InstancePhase::idle, now);
  terminate(id, "its job has ended", now);
}

}  // namespace muster
