#include "service/api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "base/nearest.hpp"
#include "fleet/explain.hpp"
#include "service/api_documents.hpp"
#include "service/machine_identity.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPrefix = "/api/v1";  // And a slash.
constexpr std::size_t kPageDefault = 1000;
constexpr std::size_t kPageMax = 100'000;
constexpr std::size_t kLogBytesMax = 1 << 20;
constexpr std::size_t kReasonBytesMax = 500;
constexpr Duration kWaitMax = 60s;
constexpr int kStreamsMax = 100;
constexpr std::size_t kPieceEvents = 500;
constexpr Duration kHeartbeat = 15s;
constexpr Duration kTokenLifeMax = 24h * 366 * 10;

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input: return 400;
    case ErrorKind::unauthenticated: return 401;
    case ErrorKind::forbidden: return 403;
    case ErrorKind::not_found: return 404;
    case ErrorKind::conflict: return 409;
    case ErrorKind::throttled: return 429;
    case ErrorKind::unavailable:
    case ErrorKind::timeout: return 503;
    default: return 500;
  }
}

std::string_view code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input: return "invalid_input";
    case ErrorKind::unauthenticated: return "unauthenticated";
    case ErrorKind::forbidden: return "forbidden";
    case ErrorKind::not_found: return "not_found";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::throttled: return "throttled";
    case ErrorKind::unavailable: return "unavailable";
    case ErrorKind::timeout: return "timeout";
    default: return "internal";
  }
}

HttpServerResponse json_response(int status, const Node& document) {
  HttpServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"},
                      {"Cache-Control", "no-store"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.body = wire::to_json(document) + "\n";
  return response;
}

HttpServerResponse refusal(const Error& error, int status = 0) {
  Node inner = Node::mapping();
  inner.set("code", Node::string(std::string(code_of(error.kind))));
  inner.set("page", Node::string(error.code));
  inner.set("message", Node::string(error.message)).set("remedy", Node::string(error.remedy));
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.error/1")).set("error", std::move(inner));
  HttpServerResponse response =
      json_response(status == 0 ? status_of(error.kind) : status, document);
  if (error.kind == ErrorKind::unauthenticated)
    response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"muster\"");
  if (error.kind == ErrorKind::throttled) response.headers.emplace_back("Retry-After", "60");
  return response;
}

/// C0, DEL, and C1 in UTF-8.
bool has_control_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (c < 0x20 || c == 0x7F || (c == 0xC2 && next >= 0x80 && next < 0xA0)) return true;
  }
  return false;
}

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

}  // namespace

struct Api::Call {
  ApiCaller caller;
  std::vector<std::string> arguments;  // Of the path, in its order.
  std::map<std::string, std::string> query;
  std::string reason;  // Of the body.
  HttpServerRequest request;
  std::optional<HttpServerResponse> response{};  // In place of a document.

  [[nodiscard]] std::string text(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? std::string() : found->second;
  }
  /// Errors: invalid_input.
  [[nodiscard]] Result<long long> number(const std::string& name, long long usual,
                                         long long most) const {
    const auto found = query.find(name);
    if (found == query.end()) return usual;
    const auto value = parse_integer(found->second);
    if (value && *value >= 0 && *value <= most) return *value;
    return fail(ErrorKind::invalid_input,
                fmt::format("{}={} is no whole number from 0 to {}", name, found->second, most),
                "Correct the query.");
  }
};

struct Api::Route {
  std::string_view method;
  std::string_view path;  // `{name}` stands for one segment.
  ApiRole role;
  std::string_view summary;
  std::string_view schema;  // Of the answer.
  std::vector<std::string_view> query;
  enum Kind { kPlain, kReason, kEarly } kind;  // With a reason in its body; also at the start.
  Task<Result<Node>> (Api::*answer)(Call*);
};

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
       "drain, terminate, protect, unprotect or interrupt an instance (as EC2 would notice it two "
       "minutes ahead); force=true ends one with a job",
       "muster.instances/1",
       {"force"},
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

Task<HttpServerResponse> Api::handle(HttpServerRequest request) {
  Call call;
  Result<ApiCaller> caller = parts_.authenticate(request);
  if (!caller) co_return refusal(caller.error());
  call.caller = std::move(*caller);
  const std::size_t mark = request.target.find('?');
  const std::string path = request.target.substr(0, mark);
  const std::string query = mark == std::string::npos ? "" : request.target.substr(mark + 1);
  const auto parameters = wire::form_decode(query, 100);
  const bool is_below = path.starts_with(std::string(kPrefix) + "/");
  if (!parameters || !is_below) {
    co_return refusal(fail(parameters ? ErrorKind::not_found : ErrorKind::invalid_input,
                           fmt::format("there is nothing at {}", path),
                           "GET /api/v1/openapi.json lists what there is.")
                          .value());
  }
  const std::vector<std::string> parts = segments_of(path.substr(kPrefix.size()));
  const Route* route = nullptr;
  bool is_known = false;
  for (const Route& one : routes()) {
    const std::vector<std::string> wanted = segments_of(one.path);
    if (wanted.size() != parts.size()) continue;
    std::vector<std::string> arguments;
    bool fits = true;
    for (std::size_t i = 0; i < parts.size() && fits; ++i) {
      if (!wanted[i].starts_with('{')) {
        fits = wanted[i] == parts[i];
        continue;
      }
      const auto text = wire::percent_decode(parts[i]);
      fits = text && !text->empty();
      if (fits) arguments.push_back(*text);
    }
    is_known = is_known || fits;
    if (!fits || one.method != request.method) continue;
    route = &one;
    call.arguments = std::move(arguments);
    break;
  }
  if (route == nullptr) {
    co_return refusal(fail(is_known ? ErrorKind::invalid_input : ErrorKind::not_found,
                           fmt::format("there is no {} {}", request.method, path),
                           "GET /api/v1/openapi.json lists what there is.")
                          .value(),
                      is_known ? 405 : 0);
  }
  if (call.caller.role < route->role) {
    co_return refusal(fail(ErrorKind::forbidden,
                           fmt::format("{} is {}, and this needs {}", call.caller.name,
                                       to_string(call.caller.role), to_string(route->role)),
                           "Ask with a token of that role, or on the daemon's own machine.")
                          .value());
  }
  if (!parts_.loop.has_recovered() && route->kind != Route::kEarly) {
    co_return refusal(fail(ErrorKind::unavailable,
                           "the daemon is starting: it lists EC2's instances and reads its store",
                           "Try again in a moment; its log says if EC2 does not answer.")
                          .value());
  }
  for (const auto& [name, value] : *parameters) {
    const bool is_wanted =
        std::find(route->query.begin(), route->query.end(), name) != route->query.end();
    if (is_wanted && call.query.emplace(name, value).second) continue;
    co_return refusal(
        fail(ErrorKind::invalid_input,
             fmt::format("{} {} {}", path, is_wanted ? "takes only one" : "does not take", name),
             "GET /api/v1/openapi.json lists what it takes.")
            .value());
  }
  if (!request.body.empty()) {
    const Result<Node> body = wire::parse_json(request.body);
    const Node* reason = body ? body->find("reason") : nullptr;
    const bool is_fine = route->kind == Route::kReason && body && body->is_mapping() &&
                         body->members.size() == (reason == nullptr ? 0U : 1U) &&
                         (reason == nullptr || (reason->is_scalar() && reason->is_quoted));
    if (reason != nullptr) call.reason = reason->text;
    const bool is_plain = !has_control_characters(call.reason);
    if (!is_fine || !is_plain || call.reason.size() > kReasonBytesMax) {
      co_return refusal(
          fail(ErrorKind::invalid_input,
               fmt::format("the body is not {{\"reason\": \"…\"}}, on one line and of at most {} "
                           "bytes",
                           kReasonBytesMax),
               "Send that, or no body.")
              .value());
    }
  }
  call.request = std::move(request);
  Task<Result<Node>> answering = (this->*route->answer)(&call);
  const Result<Node> answered = co_await std::move(answering);
  if (answered && call.response) co_return std::move(*call.response);
  co_return answered ? json_response(200, *answered) : refusal(answered.error());
}

/// Its whole id, its CI server's id of it, or the beginning of that: whatever names just one.
Result<JobId> Api::find_job(const std::string& id) const {
  const auto& jobs = parts_.loop.fleet().jobs();
  if (jobs.contains(JobId(id))) return JobId(id);
  std::vector<std::string> found;
  std::vector<std::string> same;
  for (const auto& [key, job] : jobs) {
    const std::string own = ci_id_of(job);
    if (own == id) same.push_back(key.value());
    if (own.starts_with(id) || key.value().starts_with(id)) found.push_back(key.value());
  }
  if (!same.empty()) found = same;
  if (found.size() == 1) return JobId(found.front());
  if (found.size() > 1) {
    return fail(ErrorKind::invalid_input,
                fmt::format("{} jobs begin with \"{}\", such as {} and {}", found.size(), id,
                            found[0], found[1]),
                "Give more of the id.");
  }
  return fail(ErrorKind::not_found, fmt::format("there is no job \"{}\"", id),
              "muster jobs lists them; those that ended are kept for a day.");
}

Result<InstanceId> Api::find_instance(const std::string& id) const {
  if (parts_.loop.fleet().find(InstanceId(id)) != nullptr) return InstanceId(id);
  return fail(ErrorKind::not_found, fmt::format("there is no instance \"{}\"", id),
              "muster instances lists them.");
}

tl::unexpected<Error> Api::no_such_pool(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [one, pool] : parts_.loop.controller().config().pools) names.push_back(one);
  const auto near = nearest_name(name, names);
  return fail(ErrorKind::not_found, fmt::format("there is no pool \"{}\"", name),
              near ? fmt::format("Did you mean {}?", *near) : "muster pools lists them.");
}

Task<Result<Node>> Api::list_jobs(Call* call) {
  const Result<long long> limit = call->number("limit", kPageDefault, kPageMax);
  if (!limit) co_return tl::unexpected<Error>(limit.error());
  const std::string state = call->text("state");
  const auto& names = job_graph().names;
  const bool is_state = state.empty() || state == "open" ||
                        std::find(names.begin(), names.end(), state) != names.end();
  if (!is_state) {
    co_return fail(ErrorKind::invalid_input, fmt::format("there is no state \"{}\" of jobs", state),
                   "Say open, queued, leased, running, finished or dropped.");
  }
  const Fleet& fleet = parts_.loop.fleet();
  const TimePoint now = parts_.loop.parts().clock.now();
  std::vector<const Job*> found;
  for (const auto& [id, job] : fleet.jobs()) {
    const bool is_open = job.state != JobState::finished && job.state != JobState::dropped;
    const std::string label = call->text("label");
    const bool fits =
        (state.empty() || (state == "open" ? is_open : to_string(job.state) == state)) &&
        (label.empty() || std::binary_search(job.labels.begin(), job.labels.end(), label)) &&
        (call->text("repository").empty() || job.repository == call->text("repository"));
    if (fits) found.push_back(&job);
  }
  std::sort(found.begin(), found.end(), [](const Job* a, const Job* b) {
    return std::tie(a->queued_at, a->id) < std::tie(b->queued_at, b->id);
  });
  // The youngest are what people look for.
  const std::size_t first = found.size() - std::min(found.size(), static_cast<std::size_t>(*limit));
  std::vector<Node> items;
  for (std::size_t i = first; i < found.size(); ++i) {
    items.push_back(document_of(*found[i], fleet, now));
  }
  Node document = list_document("muster.jobs/1", "jobs", std::move(items));
  document.set("left_out", Node::number(static_cast<long long>(first)));
  co_return document;
}

Task<Result<Node>> Api::show_job(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Fleet& fleet = parts_.loop.fleet();
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.job/1"));
  document.set("job", document_of(*fleet.find(*id), fleet, parts_.loop.parts().clock.now()));
  co_return document;
}

Task<Result<Node>> Api::explain_job(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Controller& controller = parts_.loop.controller();
  const TimePoint now = parts_.loop.parts().clock.now();
  const Job& job = *controller.fleet().find(*id);
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.explanation/1"));
  document.set("job", document_of(job, controller.fleet(), now));
  document.set("explanation", document_of(explain(controller, job, now)));
  co_return document;
}

Task<Result<Node>> Api::list_steps(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Result<std::vector<StepLog>> steps = parts_.logs.steps_of(*id);
  std::vector<Node> items;
  if (!steps && steps.error().kind != ErrorKind::not_found) {
    co_return tl::unexpected<Error>(steps.error());
  }
  if (steps) {
    for (const StepLog& step : *steps) items.push_back(document_of(step));
  }
  const Fleet& fleet = parts_.loop.fleet();
  Node document = list_document("muster.steps/1", "steps", std::move(items));
  document.set("job", document_of(*fleet.find(*id), fleet, parts_.loop.parts().clock.now()));
  co_return document;
}

Task<Result<Node>> Api::read_log(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Result<long long> offset = call->number("offset", 0, 1LL << 40);
  const Result<long long> limit = call->number("limit", 64 << 10, kLogBytesMax);
  for (const auto* one : {&offset, &limit}) {
    if (!*one) co_return tl::unexpected<Error>(one->error());
  }
  const Result<std::string> bytes = parts_.logs.read(
      *id, call->arguments[1], static_cast<std::size_t>(*offset), static_cast<std::size_t>(*limit));
  if (!bytes) co_return tl::unexpected<Error>(bytes.error());
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.log/1"));
  document.set("step", Node::string(call->arguments[1])).set("offset", Node::number(*offset));
  document.set("next_offset", Node::number(*offset + static_cast<long long>(bytes->size())));
  document.set("base64", Node::string(wire::base64_encode(*bytes)));
  co_return document;
}

Task<Result<Node>> Api::cancel_job(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Job job = *parts_.loop.fleet().find(*id);
  if (job.source != "submit") {
    co_return fail(ErrorKind::conflict,
                   fmt::format("{} is a job of {}, which would not know", id->value(), job.source),
                   "Cancel it there: muster ends it at once.");
  }
  std::string why = "cancelled by " + call->caller.name;
  if (!call->reason.empty()) why += ": " + call->reason;
  Task<Status> cancelling =
      parts_.submitted.cancel_submitted(ci_id_of(job), why, parts_.loop.parts().clock.now());
  const Status cancelled = co_await std::move(cancelling);
  if (!cancelled) co_return tl::unexpected<Error>(cancelled.error());
  CiJob told;
  told.id = ci_id_of(job);
  told.state = CiJobState::cancelled;
  told.reason = why;
  Task<> telling = parts_.loop.submit(JobsTold{job.source, {told}});
  co_await std::move(telling);
  Task<Result<Node>> showing = show_job(call);
  co_return co_await std::move(showing);
}

Task<Result<Node>> Api::list_pools(Call* call) {
  static_cast<void>(call);
  const Controller& controller = parts_.loop.controller();
  std::vector<Node> items;
  for (const auto& [name, pool] : controller.config().pools) {
    items.push_back(document_of(pool, controller, parts_.loop.parts().clock.now()));
  }
  Node document = list_document("muster.pools/1", "pools", std::move(items));
  Node today = Node::number(0);
  today.text = fmt::format("{:.4f}", controller.fleet().usd_spent(parts_.loop.parts().clock.now()));
  document.set("usd_today", std::move(today));
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
    items.push_back(document_of(*pool, controller, parts_.loop.parts().clock.now()));
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
    const bool is_kept = parts_.loop.fleet().find(*id)->is_protected;
    if (is_kept && call->text("force") != "true") {
      co_return fail(ErrorKind::conflict, fmt::format("{} is protected", id->value()),
                     "Say --yes (force=true) to interrupt it all the same.");
    }
    parts_.loop.parts().log.info("interruption_drilled",
                                 {{"instance_id", *id}, {"by", call->caller.name}});
    Task<> noticing = parts_.loop.submit(InterruptionNoticed{*id});
    co_await std::move(noticing);
    co_return instances_document({*id});
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
        lease != nullptr
            ? fmt::format("{} runs {}, which would be lost", id->value(), lease->job.value())
            : fmt::format("{} is protected", id->value()),
        lease != nullptr
            ? "Say --yes (force=true) to end it all the same, or: muster instance drain " +
                  id->value()
            : "Say --yes (force=true) to end it all the same.");
  }
  Task<> telling = parts_.loop.submit(InstanceOrdered{*id, order->second, call->caller.name});
  co_await std::move(telling);
  co_return instances_document({*id});
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
  if (pool == nullptr || instance.host_keys.empty() || instance.address.empty()) {
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

Task<Result<Node>> Api::list_events(Call* call) {
  Journal& journal = parts_.journal;
  const Result<long long> after = call->number("after", 0, 1LL << 60);
  const Result<long long> limit = call->number("limit", kPageDefault, kPageMax);
  const Result<long long> wait = call->number("wait", 0, kWaitMax / 1s);
  for (const auto* one : {&after, &limit, &wait}) {
    if (!*one) co_return tl::unexpected<Error>(one->error());
  }
  const auto number = static_cast<std::uint64_t>(*after);
  if (journal.last() <= number && *wait > 0) {
    Task<> waiting = parts_.loop.parts().clock.wait(journal.changed(), std::chrono::seconds{*wait});
    co_await std::move(waiting);
  }
  std::vector<Node> items;
  for (const JournalEntry& entry : journal.after(number, static_cast<std::size_t>(*limit))) {
    items.push_back(document_of(entry));
  }
  Node document = list_document("muster.events/1", "events", std::move(items));
  document.set("last", Node::number(static_cast<long long>(journal.last())));
  document.set("began_at", time_node(journal.began_at()));
  co_return document;
}

/// What came after that event; empty, which ends the stream, when its caller may not look any more.
Task<std::string> Api::next_events(HttpServerRequest request, std::uint64_t* after) {
  Journal& journal = parts_.journal;
  if (journal.last() <= *after) {
    Task<> waiting = parts_.loop.parts().clock.wait(journal.changed(), kHeartbeat);
    co_await std::move(waiting);
  }
  const Result<ApiCaller> caller = parts_.authenticate(request);
  if (!caller || caller->role < ApiRole::viewer) co_return std::string();
  std::string text;
  for (const JournalEntry& entry : journal.after(*after, kPieceEvents)) {
    text += fmt::format("id: {}.{}\nevent: {}\ndata: {}\n\n",
                        journal.began_at().time_since_epoch() / 1ms, entry.number, entry.kind,
                        wire::to_json(document_of(entry)));
    *after = entry.number;
  }
  co_return text.empty() ? std::string(": nothing new\n\n") : text;
}

Task<Result<Node>> Api::stream_events(Call* call) {
  const Result<long long> from =
      call->number("after", static_cast<long long>(parts_.journal.last()), 1LL << 60);
  if (!from) co_return tl::unexpected<Error>(from.error());
  if (*streams_ >= kStreamsMax) {
    co_return fail(ErrorKind::throttled, fmt::format("{} streams are open already", kStreamsMax),
                   "Close one, or ask for /events.");
  }
  auto after = std::make_shared<std::uint64_t>(static_cast<std::uint64_t>(*from));
  // A client that comes back names the last that it has; numbers begin anew with each process.
  const std::string seen = header_value(call->request.headers, "Last-Event-ID");
  if (const std::size_t dot = seen.find('.'); dot != std::string::npos) {
    const auto number = parse_integer(seen.substr(dot + 1));
    const bool is_ours =
        seen.substr(0, dot) == std::to_string(parts_.journal.began_at().time_since_epoch() / 1ms);
    *after = is_ours && number && *number >= 0 ? static_cast<std::uint64_t>(*number) : 0;
  }
  // Of a process before this one.
  if (*after > parts_.journal.last()) *after = 0;
  ++*streams_;
  const std::shared_ptr<void> open(nullptr, [count = streams_](void*) { --*count; });
  HttpServerResponse response;
  response.headers = {{"Content-Type", "text/event-stream"},
                      {"Cache-Control", "no-store"},
                      {"X-Accel-Buffering", "no"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.next_piece = [this, after, open, request = call->request] {
    return next_events(request, after.get());
  };
  call->response = std::move(response);
  co_return Node();
}

Task<Result<Node>> Api::show_metrics(Call* call) {
  HttpServerResponse response;
  response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"},
                      {"Cache-Control", "no-store"}};
  response.body = parts_.metrics.text(parts_.loop.controller(), parts_.loop.parts().clock.now(),
                                      parts_.loop.store_error().has_value());
  call->response = std::move(response);
  co_return Node();
}

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
  const auto& store = loop.store_error();
  document.set("store_error", store ? Node::string(store->describe()) : Node());
  co_return document;
}

Task<Result<Node>> Api::reload(Call* call) {
  Result<Config> config = parts_.reload();
  if (!config) co_return tl::unexpected<Error>(config.error());
  Task<> telling = parts_.loop.submit(ConfigReplaced{std::move(*config)});
  co_await std::move(telling);
  Task<Result<Node>> showing = show_status(call);
  co_return co_await std::move(showing);
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
  for (auto& [path, item] : by_path) paths.set(std::string(kPrefix) + path, std::move(item));
  Node info = Node::mapping();
  info.set("title", Node::string("muster")).set("version", Node::string(MUSTER_VERSION));
  Node document = Node::mapping();
  document.set("openapi", Node::string("3.1.0")).set("info", std::move(info));
  document.set("paths", std::move(paths));
  return document;
}

}  // namespace muster
