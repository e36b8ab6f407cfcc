#include "ec2sim/gateway.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "wire/encoding.hpp"

namespace ec2sim {

using ec2model::refuse;
using muster::HttpServerRequest;
using muster::HttpServerResponse;

namespace {

constexpr std::string_view kAdminPath = "/_ec2sim/";

/// A mistake of ours is told as EC2 tells one of its own.
ServiceAnswer answer_of(ServiceApi& service, const ServiceCall& call) {
  try {
    return service.answer(call);
  } catch (const std::exception&) {
    return {"(unknown)", tl::unexpected<Ec2Error>(service.internal_failure())};
  }
}

std::string action_of(const muster::wire::Parameters& parameters) {
  for (const auto& [name, value] : parameters) {
    if (name == "Action") return value;
  }
  return {};
}

}  // namespace

Gateway::Gateway(Universe& universe, const Authenticator& authenticator, Ec2Api& ec2, StsApi& sts,
                 SsmApi& ssm, InstanceConnectApi& connect, HttpHandler& admin, muster::Clock& clock,
                 muster::Random& random, Events events)
    : universe_(universe),
      authenticator_(authenticator),
      ec2_(ec2),
      sts_(sts),
      ssm_(ssm),
      connect_(connect),
      admin_(admin),
      clock_(clock),
      random_(random),
      events_(std::move(events)) {}

ServiceApi& Gateway::service_of(const HttpServerRequest& request,
                                const std::string& scope_service) {
  // Every service of the JSON protocol gets its errors as JSON.
  const std::string target = muster::header_value(request.headers, "x-amz-target");
  const bool is_connect = scope_service == "ec2-instance-connect" ||
                          target.starts_with("AWSEC2InstanceConnectService.");
  if (is_connect) return connect_;
  if (scope_service == "ssm" || !target.empty()) return ssm_;
  if (scope_service == "sts") return sts_;
  return ec2_;
}

bool Gateway::strikes(const std::string& fault, double chance) {
  if (chance <= 0) return false;
  if (static_cast<double>(random_.next() >> 11) * 0x1.0p-53 >= chance) return false;
  events_.struck(fault);
  return true;
}

muster::Task<HttpServerResponse> Gateway::handle(HttpServerRequest request) {
  if (request.target.starts_with(kAdminPath)) {
    HttpServerResponse answer = co_await admin_.handle(std::move(request));
    co_return answer;
  }
  const muster::TimePoint arrived_at = clock_.now();
  std::string id = muster::random_hex(random_, 32);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) id.insert(at, "-");
  const std::size_t question = request.target.find('?');
  const std::string path = request.target.substr(0, question);
  const auto query = muster::wire::form_decode(
      question == std::string::npos ? std::string() : request.target.substr(question + 1));
  const auto authorization =
      muster::wire::parse_authorization(muster::header_value(request.headers, "authorization"));
  const bool is_json = !muster::header_value(request.headers, "x-amz-target").empty();
  const auto body = is_json ? std::optional<muster::wire::Parameters>(muster::wire::Parameters())
                            : muster::wire::form_decode(request.body);
  ServiceApi* service = &service_of(request, authorization ? authorization->scope.service : "");
  if (!query || !body) {
    const Ec2Error error{"MalformedQueryString", 400, "The query string is malformed"};
    events_.called(arrived_at, "(unknown)", error.code);
    co_return service->refusal(error, id);
  }
  const muster::wire::Parameters& parameters = request.method == "GET" ? *query : *body;
  // The one call that nobody signs: who makes it has no keys yet.
  const bool is_unsigned = !authorization && action_of(parameters) == "AssumeRoleWithWebIdentity";
  Answer<Caller> caller = Caller{};
  if (is_unsigned) {
    service = &sts_;
  } else {
    caller = authenticator_.check(request, path, *query, clock_.now());
    const bool is_played = !authorization || authorization->scope.service == "ec2" ||
                           authorization->scope.service == "ssm" ||
                           authorization->scope.service == "ec2-instance-connect" ||
                           authorization->scope.service == "sts";
    if (caller && !is_played) {
      caller =
          refuse("UnknownEndpoint",
                 "The simulator does not play the service " + authorization->scope.service, 404);
    }
    if (caller && universe_.find(caller->account, caller->region) == nullptr) {
      caller = refuse(
          "SignatureDoesNotMatch",
          fmt::format("Credential should be scoped to a valid region, not '{}'.", caller->region),
          403);
    }
    if (caller && path != "/") {
      caller = refuse("InvalidAction", "There is nothing at " + path, 404);
    }
  }
  if (!caller) {
    events_.called(arrived_at, "(unknown)", caller.error().code);
    co_return service->refusal(service->translate(caller.error()), id);
  }
  const Universe::Region* region = universe_.find(caller->account, caller->region);
  const ec2model::Faults faults =
      region != nullptr ? region->model.world().faults : ec2model::Faults{};
  const std::string named =
      is_json ? muster::header_value(request.headers, "x-amz-target") : action_of(parameters);
  const std::string short_name =
      named.substr(named.find('.') == std::string::npos ? 0 : named.find('.') + 1);
  const bool is_target = std::any_of(
      faults.actions.begin(), faults.actions.end(),
      [&](const std::string& pattern) { return ec2model::matches_wildcard(pattern, short_name); });
  const double scale = is_target ? 1 : 0;
  if (strikes("throttle", faults.throttle * scale)) {
    const Ec2Error error = service->throttled();
    events_.called(arrived_at, short_name, error.code);
    co_return service->refusal(error, id);
  }
  if (strikes("internal_error", faults.internal_error * scale)) {
    const Ec2Error error = service->internal_failure();
    events_.called(arrived_at, short_name, error.code);
    co_return service->refusal(error, id);
  }
  const ServiceAnswer answered = answer_of(*service, {request, parameters, *caller, clock_.now()});
  events_.called(arrived_at, answered.action, answered.body ? "" : answered.body.error().code);
  HttpServerResponse response = answered.body
                                    ? service->success(answered.action, *answered.body, id)
                                    : service->refusal(answered.body.error(), id);
  response.headers.emplace_back("Date", muster::format_http_date(clock_.now()));
  if (strikes("lost", faults.lost * scale)) response.bytes_max = 0;
  if (strikes("cut", faults.cut * scale)) response.bytes_max = 64 + response.body.size() / 2;
  if (strikes("late", faults.late * scale)) co_await clock_.sleep(faults.late_by);
  co_return response;
}

muster::Task<HttpServerResponse> InnerGateway::handle(HttpServerRequest request) {
  // Not a file of that name is what a machine finds there.
  if (request.target.starts_with(kAdminPath)) request.target = "/nothing";
  HttpServerResponse answer = co_await gateway_.handle(std::move(request));
  co_return answer;
}

}  // namespace ec2sim
