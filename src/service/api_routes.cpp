#include <fmt/format.h>

#include <algorithm>

#include "service/api_call.hpp"

// What the API has, and how it describes itself.

namespace muster {

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Node list_document(const char* schema, const char* name, std::vector<Node> items) {
  Node document = Node::mapping();
  document.set("schema", Node::string(schema)).set(name, Node::sequence(std::move(items)));
  return document;
}

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> kRoutes{
      {"GET",
       "/status",
       ApiRole::viewer,
       "How the daemon is",
       "muster.status/1",
       {},
       Route::kEarly,
       &Api::show_status},
      {"GET",
       "/jobs",
       ApiRole::viewer,
       "Jobs, the oldest first",
       "muster.jobs/1",
       {"state", "label", "repository", "limit"},
       Route::kPlain,
       &Api::list_jobs},
      {"GET",
       "/jobs/{job}",
       ApiRole::viewer,
       "One job",
       "muster.job/1",
       {},
       Route::kPlain,
       &Api::show_job},
      {"GET",
       "/jobs/{job}/explain",
       ApiRole::viewer,
       "Why a job stands as it does",
       "muster.explanation/1",
       {},
       Route::kPlain,
       &Api::explain_job},
      {"GET",
       "/jobs/{job}/steps",
       ApiRole::viewer,
       "The steps of a job and their logs",
       "muster.steps/1",
       {},
       Route::kPlain,
       &Api::list_steps},
      {"GET",
       "/jobs/{job}/steps/{step}/log",
       ApiRole::viewer,
       "What a step has printed, in base64, from an offset on",
       "muster.log/1",
       {"offset", "limit"},
       Route::kPlain,
       &Api::read_log},
      {"POST",
       "/jobs/{job}/cancel",
       ApiRole::operator_,
       "End a submitted job",
       "muster.job/1",
       {},
       Route::kReason,
       &Api::cancel_job},
      {"GET",
       "/pools",
       ApiRole::viewer,
       "Pools with their counts",
       "muster.pools/1",
       {},
       Route::kPlain,
       &Api::list_pools},
      {"POST",
       "/pools/{pool}/{order}",
       ApiRole::operator_,
       "pause, drain or resume a pool",
       "muster.pools/1",
       {},
       Route::kReason,
       &Api::order_pool},
      {"GET",
       "/instances",
       ApiRole::viewer,
       "Instances",
       "muster.instances/1",
       {"pool", "phase"},
       Route::kPlain,
       &Api::list_instances},
      {"GET",
       "/instances/{instance}/ssh",
       ApiRole::operator_,
       "How to reach an instance by SSH; its key is made from the cluster's secret",
       "muster.ssh/1",
       {},
       Route::kPlain,
       &Api::show_ssh},
      {"POST",
       "/instances/{instance}/{order}",
       ApiRole::operator_,
       "drain, terminate, protect, unprotect or interrupt an instance (as EC2 takes a spot "
       "instance "
       "back, after notice: 2m unless said); force=true ends one with a job",
       "muster.instances/1",
       {"force", "notice"},
       Route::kReason,
       &Api::order_instance},
      {"GET",
       "/events",
       ApiRole::viewer,
       "What happened after an event's number; waits so many seconds for the next",
       "muster.events/1",
       {"after", "limit", "wait"},
       Route::kPlain,
       &Api::list_events},
      {"GET",
       "/events/stream",
       ApiRole::viewer,
       "The same as server-sent events, for as long as the connection is open; Last-Event-ID is "
       "heeded",
       "text/event-stream",
       {"after"},
       Route::kPlain,
       &Api::stream_events},
      {"GET",
       "/metrics",
       ApiRole::viewer,
       "Figures in Prometheus' text format",
       "text/plain",
       {},
       Route::kEarly,
       &Api::show_metrics},
      {"GET",
       "/tokens",
       ApiRole::admin,
       "Tokens for the API over TCP, without themselves",
       "muster.tokens/1",
       {},
       Route::kEarly,
       &Api::list_tokens},
      {"POST",
       "/tokens/{token}",
       ApiRole::admin,
       "Make a token of that name; expires is a duration such as 720h (2160h unless said), or "
       "never",
       "muster.token/1",
       {"role", "expires"},
       Route::kEarly,
       &Api::create_token},
      {"POST",
       "/tokens/{token}/revoke",
       ApiRole::admin,
       "A token is worth nothing from now on",
       "muster.tokens/1",
       {},
       Route::kEarly,
       &Api::revoke_token},
      {"POST",
       "/config/reload",
       ApiRole::operator_,
       "Read the configuration again",
       "muster.status/1",
       {},
       Route::kPlain,
       &Api::reload},
      {"GET",
       "/openapi.json",
       ApiRole::viewer,
       "This description",
       "",
       {},
       Route::kEarly,
       &Api::describe},
  };
  return kRoutes;
}

Task<Result<Node>> Api::describe(Call* call) {
  static_cast<void>(call);
  co_return openapi();
}

Node Api::openapi() {
  Node paths = Node::mapping();
  std::map<std::string, Node> by_path;
  for (const Route& route : routes()) {
    Node operation = Node::mapping();
    operation.set("summary", Node::string(std::string(route.summary)));
    Node parameters = Node::sequence();
    const auto add = [&](const std::string& name, const char* place, bool is_required) {
      Node schema = Node::mapping();
      schema.set("type", Node::string("string"));
      Node one = Node::mapping();
      one.set("name", Node::string(name)).set("in", Node::string(place));
      one.set("required", Node::boolean(is_required)).set("schema", std::move(schema));
      parameters.items.push_back(std::move(one));
    };
    for (const std::string& part : segments_of(route.path)) {
      if (part.starts_with('{')) add(part.substr(1, part.size() - 2), "path", true);
    }
    for (const std::string_view name : route.query) add(std::string(name), "query", false);
    if (!parameters.items.empty()) operation.set("parameters", std::move(parameters));
    Node fine = Node::mapping();
    std::string what = route.schema.empty() ? "This document" : std::string(route.schema);
    if (route.schema.starts_with("muster.")) what = fmt::format("A {} document", route.schema);
    fine.set("description", Node::string(what));
    Node wrong = Node::mapping();
    wrong.set("description", Node::string("A muster.error/1 document"));
    Node responses = Node::mapping();
    responses.set("200", std::move(fine)).set("default", std::move(wrong));
    operation.set("responses", std::move(responses));
    operation.set("x-muster-role", Node::string(to_string(route.role)));
    Node& item = by_path.try_emplace(std::string(route.path), Node::mapping()).first->second;
    item.set(route.method == "GET" ? "get" : "post", std::move(operation));
  }
  for (auto& [path, item] : by_path) paths.set(std::string(kApiPrefix) + path, std::move(item));
  Node info = Node::mapping();
  info.set("title", Node::string("muster")).set("version", Node::string(MUSTER_VERSION));
  Node document = Node::mapping();
  document.set("openapi", Node::string("3.1.0")).set("info", std::move(info));
  document.set("paths", std::move(paths));
  return document;
}

}  // namespace muster
