#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

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

namespace {

Node typed(const char* type) {
  Node schema = Node::mapping();
  schema.set("type", Node::string(type));
  return schema;
}

Node one_of(std::initializer_list<const char*> values) {
  Node schema = typed("string");
  Node words = Node::sequence();
  for (const char* value : values) words.items.push_back(Node::string(value));
  schema.set("enum", std::move(words));
  return schema;
}

Node one_of(const std::vector<std::string_view>& values) {
  Node schema = typed("string");
  Node words = Node::sequence();
  for (const std::string_view value : values) {
    words.items.push_back(Node::string(std::string(value)));
  }
  schema.set("enum", std::move(words));
  return schema;
}

/// What the values of a parameter may be.
Node schema_of(std::string_view name) {
  if (name == "limit" || name == "after" || name == "wait" || name == "offset") {
    Node schema = typed("integer");
    schema.set("minimum", Node::number(0));
    return schema;
  }
  if (name == "force") return one_of({"true", "false"});
  if (name == "role") return one_of({"viewer", "operator", "admin"});
  if (name == "state") {
    return one_of({"open", "queued", "leased", "running", "finished", "dropped", "passed", "failed",
                   "cancelled", "timed-out", "lost"});
  }
  if (name == "phase") {
    const auto& names = instance_graph().names;
    return one_of(std::vector<std::string_view>(names.begin(), names.end()));
  }
  return typed("string");
}

Node order_schema(bool is_of_pool) {
  if (is_of_pool) return one_of({"pause", "drain", "resume"});
  return one_of({"drain", "terminate", "protect", "unprotect", "interrupt"});
}

Node parameter(std::string_view name, const char* place, Node schema) {
  Node one = Node::mapping();
  one.set("name", Node::string(std::string(name))).set("in", Node::string(place));
  one.set("required", Node::boolean(std::string_view(place) == "path"));
  one.set("schema", std::move(schema));
  return one;
}

Node object(std::vector<std::pair<std::string, Node>> members,
            const std::vector<std::string>& required) {
  Node properties = Node::mapping();
  for (auto& [name, schema] : members) properties.set(name, std::move(schema));
  Node schema = typed("object");
  schema.set("properties", std::move(properties));
  if (required.empty()) return schema;
  Node names = Node::sequence();
  for (const std::string& name : required) names.items.push_back(Node::string(name));
  schema.set("required", std::move(names));
  return schema;
}

Node constant(std::string_view text) {
  Node schema = typed("string");
  schema.set("const", Node::string(std::string(text)));
  return schema;
}

Node content(const char* type, Node schema) {
  Node media = Node::mapping();
  media.set("schema", std::move(schema));
  Node types = Node::mapping();
  types.set(type, std::move(media));
  return types;
}

Node reference(const char* kind, const char* name) {
  Node node = Node::mapping();
  node.set("$ref", Node::string(fmt::format("#/components/{}/{}", kind, name)));
  return node;
}

Node reason_schema() {
  Node reason = typed("string");
  reason.set("maxLength", Node::number(static_cast<long long>(kReasonBytesMax)));
  Node schema = object({{"reason", std::move(reason)}}, {});
  schema.set("additionalProperties", Node::boolean(false));
  return schema;
}

Node answer_of(std::string_view schema) {
  Node answer = Node::mapping();
  const bool is_document = schema.starts_with("muster.");
  std::string what = schema.empty() ? "This document" : std::string(schema);
  if (is_document) what = fmt::format("A {} document", schema);
  answer.set("description", Node::string(what));
  if (is_document) {
    answer.set("content",
               content("application/json", object({{"schema", constant(schema)}}, {"schema"})));
  } else {
    const std::string type = schema.empty() ? "application/json" : std::string(schema);
    answer.set("content",
               content(type.c_str(), schema.empty() ? typed("object") : typed("string")));
  }
  return answer;
}

Node refusal_response() {
  Node error = object({{"code", typed("string")},
                       {"page", typed("string")},
                       {"message", typed("string")},
                       {"remedy", typed("string")}},
                      {"code", "message", "remedy"});
  Node schema = object({{"schema", constant("muster.error/1")}, {"error", std::move(error)}},
                       {"schema", "error"});
  Node answer = Node::mapping();
  answer.set("description", Node::string("Why it is refused, and the remedy"));
  answer.set("content", content("application/json", std::move(schema)));
  return answer;
}

}  // namespace

Task<Result<Node>> Api::describe(Call* call) {
  static_cast<void>(call);
  co_return openapi();
}

Node Api::openapi() {
  std::map<std::string, Node> by_path;
  for (const Route& route : routes()) {
    Node operation = Node::mapping();
    operation.set("summary", Node::string(std::string(route.summary)));
    Node parameters = Node::sequence();
    for (const std::string& part : segments_of(route.path)) {
      if (!part.starts_with('{')) continue;
      const std::string name = part.substr(1, part.size() - 2);
      const bool is_of_pool = route.path.starts_with("/pools");
      parameters.items.push_back(
          parameter(name, "path", name == "order" ? order_schema(is_of_pool) : schema_of(name)));
    }
    for (const std::string_view name : route.query) {
      parameters.items.push_back(parameter(name, "query", schema_of(name)));
    }
    if (!parameters.items.empty()) operation.set("parameters", std::move(parameters));
    if (route.kind == Route::kReason) {
      Node body = Node::mapping();
      body.set("required", Node::boolean(false));
      body.set("content", content("application/json", reason_schema()));
      operation.set("requestBody", std::move(body));
    }
    Node responses = Node::mapping();
    responses.set("200", answer_of(route.schema)).set("default", reference("responses", "refusal"));
    operation.set("responses", std::move(responses));
    operation.set("x-muster-role", Node::string(to_string(route.role)));
    Node& item = by_path.try_emplace(std::string(route.path), Node::mapping()).first->second;
    item.set(route.method == "GET" ? "get" : "post", std::move(operation));
  }
  Node paths = Node::mapping();
  for (auto& [path, item] : by_path) paths.set(std::string(kApiPrefix) + path, std::move(item));
  Node info = Node::mapping();
  info.set("title", Node::string("muster")).set("version", Node::string(MUSTER_VERSION));
  Node document = Node::mapping();
  document.set("openapi", Node::string("3.1.0")).set("info", std::move(info));
  Node bearer = Node::mapping();
  bearer.set("type", Node::string("http")).set("scheme", Node::string("bearer"));
  bearer.set("description",
             Node::string("A token of `muster token create`; the local socket needs none."));
  Node schemes = Node::mapping();
  schemes.set("token", std::move(bearer));
  Node refusals = Node::mapping();
  refusals.set("refusal", refusal_response());
  Node components = Node::mapping();
  components.set("securitySchemes", std::move(schemes)).set("responses", std::move(refusals));
  Node with_token = Node::mapping();
  with_token.set("token", Node::sequence());
  Node security = Node::sequence();
  security.items = {Node::mapping(), std::move(with_token)};
  document.set("security", std::move(security)).set("components", std::move(components));
  document.set("paths", std::move(paths));
  return document;
}

}  // namespace muster
