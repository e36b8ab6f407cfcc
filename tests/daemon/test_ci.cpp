#include "test_ci.hpp"

#include <fmt/format.h>

#include "base/document.hpp"
#include "wire/json.hpp"

namespace muster::test {

using namespace std::chrono_literals;

namespace {

CiJobState state_of(const std::string& name) {
  if (name == "queued") return CiJobState::queued;
  if (name == "claimed") return CiJobState::claimed;
  if (name == "cancelled") return CiJobState::cancelled;
  return CiJobState::finished;
}

/// Seconds with a fraction.
Duration seconds_of(const std::string& text) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(text.empty() ? 0 : std::stod(text)));
}

}  // namespace

Task<Result<Node>> TestCi::call(std::string method, std::string path, Node body) {
  HttpRequest request;
  request.method = method;
  request.url = url_ + path;
  request.uses_proxy = false;
  request.time_max = 15s;
  if (method == "POST") {
    request.body = wire::to_json(body);
    request.headers = {{"Content-Type", "application/json"}};
  }
  Task<Result<HttpResponse>> sending = transport_.send(std::move(request));
  const Result<HttpResponse> answer = co_await std::move(sending);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  switch (answer->status) {
    case 200: co_return wire::parse_json(answer->body);
    case 404: co_return fail(ErrorKind::not_found, "the CI server does not know the job");
    case 409: co_return fail(ErrorKind::conflict, "the CI server does not give the job");
    default: co_return fail(ErrorKind::unavailable, fmt::format("answer {}", answer->status));
  }
}

Task<Result<std::vector<CiJob>>> TestCi::list_jobs() {
  Task<Result<Node>> calling = call("GET", "/jobs", Node());
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  version_ = parse_integer(answer->text_at({"version"})).value_or(0);
  std::vector<CiJob> jobs;
  const Node* listed = answer->find("jobs");
  if (listed == nullptr) co_return fail(ErrorKind::corrupt, "an answer without jobs");
  for (const Node& one : listed->items) {
    CiJob job;
    job.id = one.text_at({"id"});
    if (const Node* labels = one.find("labels")) {
      for (const Node& label : labels->items) job.labels.push_back(label.text);
    }
    job.repository = one.text_at({"repository"});
    job.priority = static_cast<int>(parse_integer(one.text_at({"priority"})).value_or(0));
    job.queued_at = TimePoint{seconds_of(one.text_at({"queued_at"}))};
    job.time_max = seconds_of(one.text_at({"time_max"}));
    job.state = state_of(one.text_at({"state"}));
    job.lease = LeaseId(one.text_at({"lease"}));
    job.instance = InstanceId(one.text_at({"instance"}));
    jobs.push_back(std::move(job));
  }
  co_return jobs;
}

Task<CiNews> TestCi::wait_for_news(Duration time_max) {
  static_cast<void>(time_max);
  Task<Result<Node>> calling = call("GET", fmt::format("/news?version={}", version_), Node());
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_await clock_.sleep(1s);
  co_return CiNews{{}, true};
}

Task<Result<WorkOrder>> TestCi::claim(std::string job, LeaseId lease, InstanceId instance) {
  Node body = Node::mapping();
  body.set("job", Node::string(job)).set("lease", Node::string(lease.value()));
  body.set("instance", Node::string(instance.value()));
  Task<Result<Node>> calling = call("POST", "/claim", std::move(body));
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  WorkOrder order;
  order.body = Secret(answer->text_at({"script"}));
  co_return order;
}

Task<Status> TestCi::give_back(std::string job, LeaseId lease) {
  Node body = Node::mapping();
  body.set("job", Node::string(job)).set("lease", Node::string(lease.value()));
  Task<Result<Node>> calling = call("POST", "/give-back", std::move(body));
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  co_return Status();
}

Task<Status> TestCi::finish(std::string job, LeaseId lease, JobResult result) {
  Node body = Node::mapping();
  body.set("job", Node::string(job)).set("lease", Node::string(lease.value()));
  body.set("outcome", Node::string(to_string(result.outcome)));
  body.set("exit_code", Node::number(result.exit_code));
  Task<Result<Node>> calling = call("POST", "/finish", std::move(body));
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  co_return Status();
}

}  // namespace muster::test
