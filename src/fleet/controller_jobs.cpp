#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fleet/controller.hpp"
#include "fleet/labels.hpp"

// What CI servers say of their jobs. A listing is the truth; news brings and ends jobs before it.

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr int kAbsencesToDrop = 2;      // Listings without a job that waits here.
constexpr int kListingsToBelieve = 3;   // That contradict what we have done.
constexpr Duration kLate = 30s;         // A listing may be older than what it says.
constexpr Duration kClaimGrace = 2min;  // So long the machine of a claim may be unknown.

bool has_ended(const Job& job) {
  return job.state == JobState::finished || job.state == JobState::dropped;
}

}  // namespace

void Controller::on(const JobsListed& event, TimePoint now) {
  std::set<JobId> listed;
  for (const CiJob& job : event.jobs) {
    const auto [id, is_first] = listed.insert(job_id_of(event.source, job.id));
    // Said twice in one listing, the first word counts.
    if (is_first) list_job(*id, event.source, job, event.asked_at, now);
  }
  std::erase_if(unplaced_claims_, [&](const auto& one) {
    return one.first.value().starts_with(event.source + "/") && !listed.contains(one.first);
  });
  std::vector<JobId> missing;
  const std::string prefix = event.source + "/";
  const std::set<JobId>& open = fleet_.open_jobs();
  for (auto at = open.lower_bound(JobId(prefix));
       at != open.end() && at->value().starts_with(prefix); ++at) {
    if (!listed.contains(*at)) missing.push_back(*at);
  }
  for (const JobId& id : missing) job_absent(id, event.asked_at, now);
}

/// Only what cannot be done twice: the rest waits for the next listing.
void Controller::on(const JobsTold& event, TimePoint now) {
  for (const CiJob& told : event.jobs) {
    const JobId id = job_id_of(event.source, told.id);
    const Job* job = fleet_.find(id);
    const bool is_over = told.state == CiJobState::cancelled || told.state == CiJobState::finished;
    if (is_over) unplaced_claims_.erase(id);
    const bool is_claimed = unplaced_claims_.contains(id);
    if (job == nullptr && told.state == CiJobState::queued && !is_claimed) {
      add_job(id, event.source, told, now);
    } else if (job != nullptr && is_over && !has_ended(*job)) {
      cancel(*job, told.reason.empty() ? "its CI server has ended it" : told.reason, now);
    }
  }
}

void Controller::add_job(const JobId& id, const std::string& source, const CiJob& listed,
                         TimePoint now) {
  Job job;
  job.id = id;
  job.source = source;
  job.labels = normal_labels(listed.labels);
  job.repository = listed.repository;
  job.tenant = tenant_of(config_, listed.repository);
  job.priority = listed.priority;
  job.queued_at = listed.queued_at;
  job.time_max = listed.time_max;
  job.changed_at = now;
  fleet_.add(std::move(job));
}

void Controller::list_job(const JobId& id, const std::string& source, const CiJob& listed,
                          TimePoint asked_at, TimePoint now) {
  const bool is_over =
      listed.state == CiJobState::cancelled || listed.state == CiJobState::finished;
  if (listed.state != CiJobState::claimed) unplaced_claims_.erase(id);
  const Job* known = fleet_.find(id);
  if (known == nullptr) {
    if (is_over) return;
    if (listed.state == CiJobState::claimed) return claim_found(source, listed, now);
    return add_job(id, source, listed, now);
  }
  const Job& job = *known;
  if (has_ended(job)) {
    // An end stands, unless the CI server keeps saying otherwise long after it.
    const bool contradicts = !is_over && asked_at > job.changed_at + kLate;
    if (!contradicts) return;
    if (++fleet_.glance(id).absence_count < kListingsToBelieve) return;
    fleet_.remove(id);
    if (listed.state == CiJobState::claimed) return claim_found(source, listed, now);
    add_job(id, source, listed, now);
    return;
  }
  if (is_over) {
    return cancel(job, listed.reason.empty() ? "its CI server has ended it" : listed.reason, now);
  }
  if (listed.state == CiJobState::claimed && job.state == JobState::queued) {
    // Asked before it was given back, the listing knows no better.
    if (asked_at < job.changed_at) return;
    return claim_found(source, listed, now);
  }
  const Lease* lease = fleet_.find(job.lease);
  const bool was_taken_away = listed.state == CiJobState::queued && lease != nullptr &&
                              lease->state == LeaseState::started &&
                              asked_at > lease->started_at + kLate;
  int& count = fleet_.glance(id).absence_count;
  count = was_taken_away ? count + 1 : 0;
  if (count >= kListingsToBelieve) cancel(job, "its CI server has taken it back", now);
}

/// The CI server says that it is ours, and we do not know by whom: the store is older than that.
void Controller::claim_found(const std::string& source, const CiJob& listed, TimePoint now) {
  if (fleet_.find(listed.lease) != nullptr) return;
  const JobId id = job_id_of(source, listed.id);
  if (const Job* known = fleet_.find(id); known != nullptr && known->state != JobState::queued) {
    unplaced_claims_.erase(id);
    return;
  }
  const Instance* instance = fleet_.find(listed.instance);
  const bool is_off = instance != nullptr && (instance->phase == InstancePhase::stopping ||
                                              instance->phase == InstancePhase::stopped ||
                                              instance->phase == InstancePhase::starting);
  // Known from the store alone, which is older than the claim then.
  const bool is_old_news = is_off && instance->contact_at == TimePoint{};
  const bool can_have_it =
      instance != nullptr && instance->lease.empty() &&
      (instance->phase == InstancePhase::pending || instance->phase == InstancePhase::booting ||
       instance->phase == InstancePhase::idle || instance->phase == InstancePhase::busy ||
       instance->phase == InstancePhase::draining || is_old_news);
  // What ran there does not any more, and nobody starts it again.
  const bool was_stopped = is_off && !can_have_it;
  UnplacedClaim& claim =
      unplaced_claims_.try_emplace(id, UnplacedClaim{now, source, listed}).first->second;
  claim.job = listed;
  const Lease* other = instance == nullptr ? nullptr : fleet_.find(instance->lease);
  const bool is_in_doubt = other != nullptr && other->is_restored;
  if (!can_have_it && !was_stopped && (is_in_doubt || now - claim.since < kClaimGrace)) {
    // Its machine may not have been found yet, or the store is too old to know of it. Until then
    // it is nobody else's.
    if (fleet_.find(id) != nullptr) fleet_.remove(id);
    return;
  }
  unplaced_claims_.erase(id);
  if (fleet_.find(id) == nullptr) add_job(id, source, listed, now);
  const Job job = *fleet_.find(id);
  Lease lease;
  lease.id = listed.lease;
  lease.job = job.id;
  lease.instance = listed.instance;
  lease.created_at = now;
  lease.started_at = now;
  // It may have been started: whoever goes on with it starts what was not, and follows what was.
  lease.state = can_have_it ? LeaseState::started : LeaseState::accepted;
  fleet_.move(job.id, JobState::leased, now);
  Job& changed = fleet_.edit(job.id);
  changed.lease = lease.id;
  changed.instance = lease.instance;
  changed.started_at = now;
  changed.absence_count = 0;
  ++changed.lease_count;
  const LeaseId lease_id = lease.id;
  fleet_.add(std::move(lease));
  if (!can_have_it) {
    return finish(lease_id, JobOutcome::lost, 0,
                  was_stopped ? "its machine was stopped" : "its machine is gone", now);
  }
  fleet_.move(job.id, JobState::running, now);
  const InstanceId at = instance->id;
  const InstancePhase phase = instance->phase;
  if (phase != InstancePhase::busy) fleet_.move(at, InstancePhase::busy, now);
  Instance& taken = fleet_.edit(at);
  if (taken.reason == kUnclaimed) taken.reason.clear();
  taken.lease = lease_id;
  taken.job_count = std::max(1, taken.job_count);
}

/// A claim that was listed before its machine was known, or while an old store had another job
/// there: no other may get it in between. Whether there was one.
bool Controller::place_claim(const InstanceId& id, TimePoint now) {
  const auto claim = std::find_if(unplaced_claims_.begin(), unplaced_claims_.end(),
                                  [&](const auto& one) { return one.second.job.instance == id; });
  if (claim == unplaced_claims_.end()) return false;
  const UnplacedClaim placed = claim->second;
  claim_found(placed.source, placed.job, now);
  return !fleet_.find(id)->lease.empty();
}

void Controller::job_absent(const JobId& id, TimePoint asked_at, TimePoint now) {
  const Job job = *fleet_.find(id);
  // News of it may be ahead of the listing.
  if (job.state != JobState::queued || asked_at < job.changed_at + kLate) return;
  if (++fleet_.glance(id).absence_count < kAbsencesToDrop) return;
  fleet_.edit(id).reason = "its CI server has it no more";
  fleet_.edit(id).outcome = JobOutcome::cancelled;
  fleet_.move(id, JobState::dropped, now);
}

void Controller::cancel(const Job& job, const std::string& why, TimePoint now) {
  if (job.state == JobState::queued) {
    Job& changed = fleet_.edit(job.id);
    changed.outcome = JobOutcome::cancelled;
    changed.reason = why;
    return fleet_.move(job.id, JobState::dropped, now);
  }
  const Lease* lease = fleet_.find(job.lease);
  if (lease == nullptr || lease->is_cancelled || lease->state == LeaseState::reported) return;
  Lease& changed = fleet_.edit(lease->id);
  changed.is_cancelled = true;
  changed.reason = why;
}

}  // namespace muster
