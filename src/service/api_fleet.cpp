#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.hpp"
#include "service/api_call.hpp"
#include "service/api_documents.hpp"
#include "service/machine_identity.hpp"

// Pools and instances, and what people want of them.

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kNoticeMax = 10min;

}  // namespace

Result<InstanceId> Api::find_instance(const std::string& id) const {
  const auto& instances = parts_.loop.fleet().instances();
  if (instances.contains(InstanceId(id))) return InstanceId(id);
  std::vector<InstanceId> found;
  for (const auto& [key, instance] : instances) {
    if (!id.empty() && key.value().starts_with(id)) found.push_back(key);
  }
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    return fail(ErrorKind::invalid_input,
                fmt::format("{} instances begin with \"{}\", such as {} and {}", found.size(), id,
                            found[0].value(), found[1].value()),
                "Give more of the id.");
  }
  return fail(ErrorKind::not_found, fmt::format("there is no instance \"{}\"", id),
              "muster instances lists them.");
}

tl::unexpected<Error> Api::no_such_pool(const std::string& name) const {
  if (removed_pools(parts_.loop.controller()).contains(PoolName(name))) {
    return fail(ErrorKind::not_found, fmt::format("pool {} was removed from muster.yml", name),
                "Its machines end by themselves; muster instance terminate ends one now.");
  }
  std::vector<std::string> names;
  for (const auto& [one, pool] : parts_.loop.controller().config().pools) names.push_back(one);
  const auto near = nearest_name(name, names);
  return fail(ErrorKind::not_found, fmt::format("there is no pool \"{}\"", name),
              near ? fmt::format("Did you mean {}?", *near) : "muster pools lists them.");
}

Task<Result<Node>> Api::list_pools(Call* call) {
  static_cast<void>(call);
  const Controller& controller = parts_.loop.controller();
  const TimePoint now = parts_.loop.parts().clock.now();
  std::map<PoolName, PoolDemand> demand = demand_by_pool(controller);
  std::vector<Node> items;
  for (const auto& [name, pool] : controller.config().pools) {
    items.push_back(document_of(pool, demand[pool.name], controller, parts_.metrics, now));
  }
  for (const auto& [name, busy] : removed_pools(controller)) {
    Pool pool;
    pool.name = name;
    pool.max_instances = 0;
    items.push_back(document_of(pool, {}, controller, parts_.metrics, now));
  }
  Node document = list_document("muster.pools/1", "pools", std::move(items));
  document.set("usd_today", dollars_node(controller.fleet().usd_spent(now)));
  co_return document;
}

Task<Result<Node>> Api::order_pool(Call* call) {
  static const std::map<std::string, PoolMode> kOrders{
      {"pause", PoolMode::paused}, {"drain", PoolMode::draining}, {"resume", PoolMode::open}};
  const std::string& name = call->arguments[0];
  if (!parts_.loop.controller().config().pools.contains(name)) co_return no_such_pool(name);
  const auto order = kOrders.find(call->arguments[1]);
  if (order == kOrders.end()) {
    co_return fail(ErrorKind::not_found,
                   fmt::format("a pool cannot be told to {}", call->arguments[1]),
                   "Say pause, drain or resume.");
  }
  Task<> telling = parts_.loop.submit(
      PoolOrdered{PoolName(name), order->second, call->caller.name, call->reason});
  co_await std::move(telling);
  const Controller& controller = parts_.loop.controller();
  const Pool* pool = controller.find_pool(PoolName(name));
  std::vector<Node> items;
  if (pool != nullptr) {
    std::map<PoolName, PoolDemand> demand = demand_by_pool(controller);
    items.push_back(document_of(*pool, demand[pool->name], controller, parts_.metrics,
                                parts_.loop.parts().clock.now()));
  }
  co_return list_document("muster.pools/1", "pools", std::move(items));
}

Task<Result<Node>> Api::list_instances(Call* call) {
  const std::string phase = call->text("phase");
  const auto& names = instance_graph().names;
  if (!phase.empty() && std::find(names.begin(), names.end(), phase) == names.end()) {
    co_return fail(ErrorKind::invalid_input,
                   fmt::format("there is no phase \"{}\" of instances", phase),
                   "Say pending, booting, idle, busy, draining, stopping, stopped, starting or "
                   "terminating.");
  }
  const Fleet& fleet = parts_.loop.fleet();
  const std::string pool = call->text("pool");
  const bool is_pool =
      pool.empty() || parts_.loop.controller().find_pool(PoolName(pool)) != nullptr ||
      std::any_of(fleet.instances().begin(), fleet.instances().end(),
                  [&](const auto& one) { return one.second.pool.value() == pool; });
  if (!is_pool) co_return no_such_pool(pool);
  std::vector<Node> items;
  for (const auto& [id, instance] : fleet.instances()) {
    const bool fits = (phase.empty() || to_string(instance.phase) == phase) &&
                      (pool.empty() || instance.pool.value() == pool);
    if (fits) items.push_back(document_of(instance, fleet, parts_.loop.parts().clock.now()));
  }
  co_return list_document("muster.instances/1", "instances", std::move(items));
}

Task<Result<Node>> Api::order_instance(Call* call) {
  static const std::map<std::string, InstanceOrder> kOrders{
      {"drain", InstanceOrder::drained},
      {"terminate", InstanceOrder::terminated},
      {"protect", InstanceOrder::protected_},
      {"unprotect", InstanceOrder::unprotected}};
  const Result<InstanceId> id = find_instance(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  if (call->arguments[1] == "interrupt") {
    Task<Result<Node>> drilling = interrupt_instance(call, *id);
    co_return co_await std::move(drilling);
  }
  const auto order = kOrders.find(call->arguments[1]);
  if (order == kOrders.end()) {
    co_return fail(ErrorKind::not_found,
                   fmt::format("an instance cannot be told to {}", call->arguments[1]),
                   "Say drain, terminate, protect, unprotect or interrupt.");
  }
  const bool is_about_protection =
      order->second == InstanceOrder::protected_ || order->second == InstanceOrder::unprotected;
  if (is_about_protection) {
    // The tag is what holds: it is there for other tools, and after the loss of the store.
    const bool is_on = order->second == InstanceOrder::protected_;
    Task<Status> tagging =
        parts_.loop.parts().control.tag({id->value()}, {{kProtectedTag, is_on ? "true" : "false"}});
    Task<Status> bounded = with_deadline(parts_.loop.parts().clock, 20s, std::move(tagging));
    const Status tagged = co_await std::move(bounded);
    if (!tagged) co_return tl::unexpected<Error>(tagged.error());
  }
  const Instance* known = parts_.loop.fleet().find(*id);
  const bool ends =
      order->second == InstanceOrder::terminated || order->second == InstanceOrder::drained;
  const bool has_job =
      known != nullptr && !known->lease.empty() && order->second == InstanceOrder::terminated;
  const bool is_kept = known != nullptr && known->is_protected && ends;
  if ((has_job || is_kept) && call->text("force") != "true") {
    const Lease* lease = has_job ? parts_.loop.fleet().find(known->lease) : nullptr;
    co_return fail(
        ErrorKind::conflict,
        lease != nullptr ? fmt::format("{} runs {}, which would be lost{}", id->value(),
                                       lease->job.value(), is_kept ? ", and is protected" : "")
                         : fmt::format("{} is protected", id->value()),
        lease != nullptr && !is_kept
            ? "Say --yes to end both (force=true of the API), or: muster instance drain " +
                  id->value()
            : "Say --yes to end it nevertheless (force=true of the API).");
  }
  Task<> telling = parts_.loop.submit(InstanceOrdered{*id, order->second, call->caller.name});
  co_await std::move(telling);
  co_return instances_document({*id});
}

Task<Result<Node>> Api::interrupt_instance(Call* call, InstanceId id) {
  const Instance& known = *parts_.loop.fleet().find(id);
  const bool is_kept = known.is_protected || !known.lease.empty();
  if (is_kept && call->text("force") != "true") {
    co_return fail(
        ErrorKind::conflict,
        fmt::format("{} {}", id.value(), known.is_protected ? "is protected" : "runs a job"),
        "Say --yes to interrupt it nevertheless (force=true of the API).");
  }
  const std::string given = call->query.contains("notice") ? call->text("notice") : "2m";
  const std::optional<Duration> notice = parse_duration(given);
  if (!notice || *notice < 1s || *notice > kNoticeMax) {
    co_return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no notice", given),
                   "Give a duration between 1s and 10m, such as 2m.");
  }
  parts_.loop.parts().log.info(
      "interruption_drilled",
      {{"instance_id", id}, {"by", call->caller.name}, {"notice", format_duration(*notice)}});
  const TimePoint ends_at = parts_.loop.parts().clock.now() + *notice;
  parts_.loop.take_back_at(ends_at, id, call->caller.name);
  Task<> noticing = parts_.loop.submit(InterruptionNoticed{id, ends_at, call->caller.name});
  co_await std::move(noticing);
  co_return instances_document({id});
}

Node Api::instances_document(const std::vector<InstanceId>& ids) const {
  const Fleet& fleet = parts_.loop.fleet();
  std::vector<Node> items;
  for (const InstanceId& id : ids) {
    const Instance* instance = fleet.find(id);
    if (instance == nullptr) continue;
    items.push_back(document_of(*instance, fleet, parts_.loop.parts().clock.now()));
  }
  return list_document("muster.instances/1", "instances", std::move(items));
}

Task<Result<Node>> Api::show_ssh(Call* call) {
  const Result<InstanceId> id = find_instance(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Instance& instance = *parts_.loop.fleet().find(*id);
  const Pool* pool = parts_.loop.controller().find_pool(instance.pool);
  if (pool == nullptr) {
    co_return fail(ErrorKind::conflict,
                   fmt::format("the pool {} of {} was removed from muster.yml, and with it how to "
                               "reach its machines",
                               instance.pool.value(), id->value()),
                   "Put the pool back, and reload.");
  }
  if (instance.host_keys.empty() || instance.address.empty()) {
    co_return fail(
        ErrorKind::conflict,
        fmt::format("{} is {}: nobody has been on it yet", id->value(), to_string(instance.phase)),
        "Wait until it is idle or busy.");
  }
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.ssh/1"));
  document.set("instance", Node::string(id->value()));
  document.set("intent", Node::string(instance.intent.value()));
  document.set("address", Node::string(instance.address));
  document.set("port", Node::number(pool->ssh.port)).set("user", Node::string(pool->ssh.user));
  document.set("host_keys", Node::string(instance.host_keys));
  co_return document;
}

}  // namespace muster
