#include "service/journal.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace muster {
namespace {

constexpr std::size_t kEntriesMax = 20'000;

std::string joined(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!text.empty()) text += ", ";
    text += part;
  }
  return text;
}

/// `2 t3.large spot in us-east-1a for pool linux`
std::string describe(const Intent& intent) {
  const Offering& from = intent.offering;
  const std::string what =
      intent.offerings.empty() && !from.instance_type.empty()
          ? fmt::format("{} {} in {}", from.instance_type, to_string(from.capacity_type), from.zone)
          : fmt::format("{} of EC2's choice", to_string(from.capacity_type));
  return fmt::format("{} {} for pool {}", intent.count, what, intent.pool.value());
}

}  // namespace

void Journal::know(const Fleet& fleet) {
  for (const auto& [id, job] : fleet.jobs()) jobs_.emplace(id, job.state);
  for (const auto& [id, instance] : fleet.instances()) instances_.emplace(id, instance.phase);
  for (const auto& [id, intent] : fleet.intents()) {
    if (intent.state == IntentState::open) launches_.emplace(id, Launch{describe(intent), false});
  }
  for (const auto& [id, instance] : fleet.instances()) note_made(instance);
}

void Journal::note(const FleetChanges& changes, TimePoint now) {
  const std::uint64_t before = next_;
  for (const Intent& intent : changes.intents) {
    if (intent.state != IntentState::open) {
      launches_.erase(intent.id);
    } else if (launches_.emplace(intent.id, Launch{describe(intent), false}).second) {
      add({0, now, "launch", intent.id.value(), "asked",
           joined({describe(intent), intent.reason})});
    }
  }
  for (const Instance& instance : changes.instances) note_made(instance);
  for (const IntentId& id : changes.removed_intents) {
    const auto launch = launches_.extract(id);
    if (launch.empty() || launch.mapped().has_made) continue;
    add({0, now, "launch", id.value(), "refused", launch.mapped().asked});
  }
  for (const Job& job : changes.jobs) note_job(job, now);
  for (const Instance& instance : changes.instances) note_instance(instance, now);
  for (const PoolOrder& order : changes.pool_orders) {
    add({0, now, "pool", order.pool.value(), to_string(order.mode),
         joined({order.by.empty() ? "" : "by " + order.by, order.why})});
  }
  for (const JobId& id : changes.removed_jobs) jobs_.erase(id);
  for (const InstanceId& id : changes.removed_instances) {
    if (instances_.erase(id) == 0) continue;
    add({0, now, "instance", id.value(), "gone", ""});
  }
  if (next_ != before) changed_.notify_all();
}

/// A launch that has made something was not refused, whatever it is answered.
void Journal::note_made(const Instance& instance) {
  const auto launch = launches_.find(instance.intent);
  if (launch != launches_.end()) launch->second.has_made = true;
}

void Journal::note_job(const Job& job, TimePoint now) {
  const auto [known, is_new] = jobs_.try_emplace(job.id, job.state);
  if (!is_new && known->second == job.state) return;
  known->second = job.state;
  if (is_new && job.state != JobState::queued) {
    // A machine was there for it at once.
    Job before = job;
    before.state = JobState::queued;
    before.lease = LeaseId();
    jobs_.erase(known);
    note_job(before, now);
    return note_job(job, now);
  }
  const bool has_ended = job.state == JobState::finished || job.state == JobState::dropped;
  const std::string what = has_ended ? to_string(job.outcome) : to_string(job.state);
  std::string labels;
  if (job.state == JobState::queued) {
    for (const std::string& label : job.labels) labels += (labels.empty() ? "" : ",") + label;
  }
  add({0, now, "job", job.id.value(), what,
       joined({labels, job.lease.empty() ? "" : "lease " + job.lease.value(), job.reason})});
}

void Journal::note_instance(const Instance& instance, TimePoint now) {
  const auto [known, is_new] = instances_.try_emplace(instance.id, instance.phase);
  if (!is_new && known->second == instance.phase) return;
  known->second = instance.phase;
  const bool ends = instance.phase == InstancePhase::terminating;
  add({0, now, "instance", instance.id.value(), to_string(instance.phase),
       joined({"pool " + instance.pool.value(),
               instance.lease.empty() ? "" : "lease " + instance.lease.value(),
               ends ? instance.reason : ""})});
}

void Journal::add(JournalEntry entry) {
  entry.number = next_++;
  log_.info(entry.kind, {{"id", entry.subject}, {"now", entry.what}, {"detail", entry.detail}});
  entries_.push_back(std::move(entry));
  if (entries_.size() > kEntriesMax) entries_.pop_front();
}

std::vector<JournalEntry> Journal::after(std::uint64_t number, std::size_t count_max) const {
  const auto first =
      std::upper_bound(entries_.begin(), entries_.end(), number,
                       [](std::uint64_t at, const JournalEntry& one) { return at < one.number; });
  const auto left = static_cast<std::size_t>(std::distance(first, entries_.end()));
  return {first, first + static_cast<std::ptrdiff_t>(std::min(left, count_max))};
}

}  // namespace muster
