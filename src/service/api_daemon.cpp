#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "fleet/config_keys.hpp"
#include "service/api_call.hpp"
#include "service/api_documents.hpp"
#include "wire/json.hpp"

// The daemon itself: who may ask it, how it is, and its configuration.

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kTokenLifeMax = 24h * 366 * 10;

/// Which pools a new configuration has added, removed and changed.
void add_differences(Node& document, const std::map<std::string, Pool>& before,
                     const std::map<std::string, Pool>& after) {
  std::vector<std::string> added;
  std::vector<std::string> changed;
  std::vector<std::string> removed;
  for (const auto& [name, pool] : after) {
    const auto old = before.find(name);
    if (old == before.end()) {
      added.push_back(name);
    } else if (wire::to_json(pool_keys().write(old->second)) !=
               wire::to_json(pool_keys().write(pool))) {
      changed.push_back(name);
    }
  }
  for (const auto& [name, pool] : before) {
    if (!after.contains(name)) removed.push_back(name);
  }
  document.set("pools_added", strings_node(added)).set("pools_changed", strings_node(changed));
  document.set("pools_removed", strings_node(removed));
}

}  // namespace

Task<Result<Node>> Api::list_tokens(Call* call) {
  static_cast<void>(call);
  std::vector<Node> items;
  for (const ApiToken& token : parts_.tokens.list()) items.push_back(document_of(token));
  co_return list_document("muster.tokens/1", "tokens", std::move(items));
}

Task<Result<Node>> Api::create_token(Call* call) {
  const std::string name = call->arguments[0];
  const auto role = parse_role(call->text("role"));
  if (!role) {
    co_return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no role", call->text("role")),
                   "Say viewer, operator or admin.");
  }
  const std::string expires = call->query.contains("expires") ? call->text("expires") : "2160h";
  const bool is_endless = expires == "never";
  const auto life = is_endless ? std::optional<Duration>(Duration{}) : parse_duration(expires);
  if (!life || (!is_endless && (*life <= Duration{} || *life > kTokenLifeMax))) {
    co_return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no lifetime", expires),
                   "Write a number with s, m or h, such as 720h, or never.");
  }
  Task<Result<std::string>> creating = parts_.tokens.create(name, *role, *life, call->caller.name);
  const Result<std::string> token = co_await std::move(creating);
  if (!token) co_return tl::unexpected<Error>(token.error());
  parts_.loop.parts().log.info("token_created", {{"token", name}, {"by", call->caller.name}});
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.token/1")).set("name", Node::string(name));
  document.set("role", Node::string(to_string(*role))).set("token", Node::string(*token));
  co_return document;
}

Task<Result<Node>> Api::revoke_token(Call* call) {
  const std::string name = call->arguments[0];
  Task<Status> revoking = parts_.tokens.revoke(name);
  const Status revoked = co_await std::move(revoking);
  if (!revoked) co_return tl::unexpected<Error>(revoked.error());
  parts_.loop.parts().log.info("token_revoked", {{"token", name}, {"by", call->caller.name}});
  Task<Result<Node>> listing = list_tokens(call);
  co_return co_await std::move(listing);
}

Task<Result<Node>> Api::show_status(Call* call) {
  static_cast<void>(call);
  const ControlLoop& loop = parts_.loop;
  const Fleet& fleet = loop.fleet();
  long queued = 0;
  for (const auto& [key, demand] : fleet.demand()) queued += static_cast<long>(demand.jobs.size());
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.status/1"));
  document.set("version", Node::string(MUSTER_VERSION));
  document.set("cluster", Node::string(loop.options().cluster));
  document.set("region", Node::string(loop.options().region));
  document.set("is_ready", Node::boolean(loop.has_listed_sources()));
  document.set("jobs_queued", Node::number(queued));
  document.set("jobs_open", Node::number(static_cast<long long>(fleet.open_jobs().size())));
  document.set("instances", Node::number(fleet.live_count()));
  document.set("usd_today", dollars_node(fleet.usd_spent(loop.parts().clock.now())));
  const auto unpriced = std::count_if(fleet.instances().begin(), fleet.instances().end(),
                                      [](const auto& one) { return one.second.usd_per_hour <= 0; });
  document.set("instances_without_price", Node::number(static_cast<long long>(unpriced)));
  std::map<PoolName, PoolDemand> demand = demand_by_pool(loop.controller());
  std::map<std::string, long> pools;
  for (const auto& [name, pool] : loop.controller().config().pools) {
    const TimePoint now = loop.parts().clock.now();
    ++pools[standing_of(pool, demand[pool.name], loop.controller(), now).state];
  }
  const std::size_t removed = removed_pools(loop.controller()).size();
  if (removed > 0) pools["removed"] = static_cast<long>(removed);
  Node states = Node::mapping();
  for (const auto& [state, count] : pools) states.set(state, Node::number(count));
  document.set("pools", std::move(states));
  const auto& store = loop.store_error();
  document.set("store_error", store ? Node::string(store->describe()) : Node());
  co_return document;
}

Task<Result<Node>> Api::reload(Call* call) {
  Result<Config> config = parts_.reload();
  if (!config) co_return tl::unexpected<Error>(config.error());
  const std::map<std::string, Pool> before = parts_.loop.controller().config().pools;
  Task<> telling = parts_.loop.submit(ConfigReplaced{std::move(*config)});
  co_await std::move(telling);
  Task<Result<Node>> showing = show_status(call);
  Result<Node> document = co_await std::move(showing);
  if (!document) co_return document;
  const Controller& controller = parts_.loop.controller();
  add_differences(*document, before, controller.config().pools);
  document->set("busy_in_removed_pools", Node::number(busy_in_removed_pools(controller)));
  document->set("jobs_without_pool",
                Node::number(static_cast<long long>(jobs_without_pool(controller))));
  co_return document;
}

}  // namespace muster
