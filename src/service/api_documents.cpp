#include "service/api_documents.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace muster {
namespace {

using namespace std::chrono_literals;

/// Whether the cloud, or what the pool says, keeps machines from coming.
bool turns_away(WaitCause cause) {
  return cause == WaitCause::capacity || cause == WaitCause::quota ||
         cause == WaitCause::launch_error || cause == WaitCause::circuit_open;
}

Node millis(Duration time) { return Node::number(std::max<Duration>(time, Duration{}) / 1ms); }

}  // namespace

Node time_node(TimePoint at) {
  return at == TimePoint{} ? Node() : Node::string(format_iso8601_millis(at));
}

Node dollars_node(double usd) {
  Node node = Node::number(0);
  node.text = fmt::format("{:.6f}", usd);
  return node;
}

Node strings_node(const std::vector<std::string>& texts) {
  Node node = Node::sequence();
  for (const std::string& text : texts) node.items.push_back(Node::string(text));
  return node;
}

std::string WaitTexts::of(const Job& job) {
  const auto found = fleet_.demand().find(key_of(job));
  if (found == fleet_.demand().end()) return {};
  const Demand& demand = found->second;
  const bool are_all_coming = demand.coming_count >= static_cast<int>(demand.jobs.size());
  if (are_all_coming) return demand.coming_reason.text;
  const auto [first, is_new] = blocked_.try_emplace(&demand);
  if (is_new) first->second = *std::next(demand.jobs.begin(), demand.coming_count);
  const bool is_coming = std::pair(job.queued_at, job.id) < first->second;
  return (is_coming ? demand.coming_reason : demand.reason).text;
}

Node document_of(const Job& job, const Fleet& fleet, WaitTexts& waits, TimePoint now) {
  const Lease* lease = fleet.find(job.lease);
  const bool is_queued = job.state == JobState::queued && lease == nullptr;
  const bool has_ended = job.state == JobState::finished || job.state == JobState::dropped;
  Node node = Node::mapping();
  node.set("id", Node::string(job.id.value())).set("source", Node::string(job.source));
  node.set("state", Node::string(to_string(job.state)));
  node.set("outcome", has_ended ? Node::string(to_string(job.outcome)) : Node());
  const bool has_code = job.outcome == JobOutcome::passed || job.outcome == JobOutcome::failed;
  node.set("exit_code", has_code ? Node::number(job.exit_code) : Node());
  node.set("reason", Node::string(is_queued ? waits.of(job) : job.reason));
  node.set("labels", strings_node(job.labels));
  node.set("repository", Node::string(job.repository)).set("tenant", Node::string(job.tenant));
  node.set("priority", Node::number(job.priority));
  const bool has_instance = !is_queued && !job.instance.empty();
  const bool has_started = has_instance && job.started_at != TimePoint{};
  node.set("instance", has_instance ? Node::string(job.instance.value()) : Node());
  node.set("queued_at", time_node(job.queued_at));
  node.set("started_at", has_started ? time_node(job.started_at) : Node());
  node.set("changed_at", time_node(job.changed_at));
  node.set("ended_at", has_ended ? time_node(job.changed_at) : Node());
  const TimePoint until = has_ended ? job.changed_at : now;
  node.set("age_ms", millis(now - job.queued_at));
  node.set("waited_ms", millis((has_started ? job.started_at : until) - job.queued_at));
  node.set("took_ms", has_started ? millis(until - job.started_at) : Node());
  return node;
}

Node document_of(const Instance& instance, const Fleet& fleet, TimePoint now) {
  const Lease* lease = fleet.find(instance.lease);
  Node node = Node::mapping();
  node.set("id", Node::string(instance.id.value()));
  node.set("pool", Node::string(instance.pool.value()));
  node.set("phase", Node::string(to_string(instance.phase)));
  node.set("type", Node::string(instance.offering.instance_type));
  node.set("capacity", Node::string(to_string(instance.offering.capacity_type)));
  node.set("zone", Node::string(instance.offering.zone));
  node.set("address", Node::string(instance.address));
  node.set("job", lease == nullptr ? Node() : Node::string(lease->job.value()));
  node.set("jobs_run", Node::number(instance.job_count));
  node.set("launched_at", time_node(instance.launched_at));
  node.set("phase_since", time_node(instance.phase_since));
  node.set("age_ms", millis(now - instance.launched_at));
  node.set("usd_per_hour", dollars_node(instance.usd_per_hour));
  node.set("is_priced", Node::boolean(instance.usd_per_hour > 0));
  node.set("is_protected", Node::boolean(instance.is_protected));
  node.set("reason", Node::string(instance.reason));
  node.set("trouble", Node::string(instance.trouble));
  node.set("taken_back_at",
           instance.taken_back_at > now ? time_node(instance.taken_back_at) : Node());
  return node;
}

Node document_of(const Explanation& explanation) {
  Node node = Node::mapping();
  node.set("cause", Node::string(explanation.cause));
  node.set("headline", Node::string(explanation.headline));
  node.set("since", time_node(explanation.since));
  node.set("next", Node::string(explanation.next));
  node.set("next_at", explanation.next_at ? time_node(*explanation.next_at) : Node());
  node.set("change", Node::string(explanation.change));
  node.set("queue", Node::string(explanation.queue));
  Node timeline = Node::sequence();
  for (const auto& [at, what] : explanation.timeline) {
    Node entry = Node::mapping();
    entry.set("at", time_node(at)).set("what", Node::string(what));
    timeline.items.push_back(std::move(entry));
  }
  node.set("timeline", std::move(timeline));
  return node;
}

Node document_of(const JournalEntry& entry) {
  Node node = Node::mapping();
  node.set("number", Node::number(static_cast<long long>(entry.number)));
  node.set("at", time_node(entry.at)).set("kind", Node::string(entry.kind));
  node.set("subject", Node::string(entry.subject)).set("what", Node::string(entry.what));
  node.set("detail", Node::string(entry.detail));
  return node;
}

Node document_of(const ApiToken& token) {
  Node node = Node::mapping();
  node.set("name", Node::string(token.name)).set("role", Node::string(token.role));
  node.set("created_by", Node::string(token.created_by));
  node.set("created_at", time_node(token.created_at));
  node.set("expires_at", time_node(token.expires_at));
  return node;
}

Node document_of(const StepLog& step) {
  Node node = Node::mapping();
  node.set("step", Node::string(step.step)).set("outcome", Node::string(step.outcome));
  node.set("exit_code", Node::number(step.exit_code));
  node.set("bytes", Node::number(static_cast<long long>(step.bytes)));
  return node;
}

std::map<PoolName, PoolDemand> demand_by_pool(const Controller& controller) {
  std::map<PoolName, PoolDemand> found;
  for (const auto& [key, demand] : controller.fleet().demand()) {
    if (demand.jobs.empty()) continue;
    const auto pools = controller.planner().pools_for(key.labels);
    if (pools.empty()) continue;
    PoolDemand& at = found[pools.front().pool];
    at.queued += demand.jobs.size();
    at.is_turned_away = at.is_turned_away || turns_away(demand.reason.cause);
    const bool is_blocked = demand.coming_count < static_cast<int>(demand.jobs.size());
    if (at.note.empty() && is_blocked) at.note = demand.reason.text;
  }
  return found;
}

std::map<PoolName, int> removed_pools(const Controller& controller) {
  std::map<PoolName, int> busy;
  for (const auto& [at, supply] : controller.fleet().supply()) {
    const bool is_empty = supply.live() == 0 && supply.stopped.empty();
    if (is_empty || at.pool.empty() || controller.find_pool(at.pool) != nullptr) continue;
    busy[at.pool] += supply.busy;
  }
  return busy;
}

int busy_in_removed_pools(const Controller& controller) {
  int count = 0;
  for (const auto& [name, busy] : removed_pools(controller)) count += busy;
  return count;
}

std::size_t jobs_without_pool(const Controller& controller) {
  std::size_t count = 0;
  for (const auto& [key, demand] : controller.fleet().demand()) {
    if (controller.planner().pools_for(key.labels).empty()) count += demand.jobs.size();
  }
  return count;
}

PoolStanding standing_of(const Pool& pool, const PoolDemand& demand, const Controller& controller,
                         TimePoint now) {
  const Fleet& fleet = controller.fleet();
  if (controller.find_pool(pool.name) == nullptr) {
    return {"removed",
            "muster.yml has it no more: idle machines end, busy ones after their job; protected "
            "ones stay"};
  }
  const PoolMode mode = fleet.mode_of(pool.name);
  if (mode != PoolMode::open) {
    const PoolOrder& order = fleet.pool_orders().at(pool.name);
    return {to_string(mode),
            fmt::format("by {}, {} ago{}", order.by, format_duration(now - order.since),
                        order.why.empty() ? "" : ": \"" + order.why + "\"")};
  }
  if (const std::string schedule = controller.planner().closed_by(pool, now); !schedule.empty()) {
    return {"closed", "by its schedule " + schedule};
  }
  const PoolOffers* offers = controller.market().offers_of(pool.name);
  std::string failure = controller.market().last_failure(pool.name, now);
  if (offers != nullptr && offers->error) failure = offers->error->describe();
  if (!failure.empty()) return {"degraded", failure};
  return {demand.is_turned_away ? "degraded" : "ok", demand.note};
}

Node document_of(const Pool& pool, const PoolDemand& demand, const Controller& controller,
                 const Metrics& metrics, TimePoint now) {
  const Fleet& fleet = controller.fleet();
  std::size_t idle = 0;
  std::size_t coming = 0;
  std::size_t stopped = 0;
  int busy = 0;
  std::size_t ending = 0;
  for (const auto& [at, supply] : fleet.supply()) {
    if (at.pool != pool.name) continue;
    idle += supply.idle.size();
    coming += supply.booting.size() + static_cast<std::size_t>(supply.requested);
    stopped += supply.stopped.size();
    busy += supply.busy;
    ending += supply.ending.size();
  }
  const PoolStanding standing = standing_of(pool, demand, controller, now);
  Node node = Node::mapping();
  const auto count = [](auto number) { return Node::number(static_cast<long long>(number)); };
  node.set("name", Node::string(pool.name.value())).set("state", Node::string(standing.state));
  node.set("labels", strings_node(pool.labels)).set("idle", count(idle));
  node.set("idle_wanted", count(controller.planner().idle_target(pool, now)));
  node.set("coming", count(coming)).set("busy", count(busy)).set("ending", count(ending));
  node.set("stopped", count(stopped)).set("limit", count(pool.max_instances));
  const auto waits = metrics.waits_of(pool.name, now);
  node.set("queued", count(demand.queued));
  node.set("wait_p50_ms", waits ? millis(waits->p50) : Node());
  node.set("wait_p95_ms", waits ? millis(waits->p95) : Node());
  node.set("note", Node::string(standing.note));
  return node;
}

}  // namespace muster
