#include "adapters/aws/instance_metadata.hpp"

#include <fmt/format.h>

#include "base/document.hpp"

namespace muster::aws {
namespace {

constexpr auto kTokenLife = std::chrono::seconds{21600};

std::string setting(const Environment& environment, const char* variable_name,
                    const Profile& profile, const char* key) {
  const std::string value = variable(environment, variable_name);
  return value.empty() ? profile.get(key) : value;
}

}  // namespace

InstanceMetadata::InstanceMetadata(HttpTransport& transport, Clock& clock,
                                   const Environment& environment, const Profile& profile)
    : transport_(transport), clock_(clock) {
  endpoint_ = setting(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT", profile,
                      "ec2_metadata_service_endpoint");
  const std::string mode = setting(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", profile,
                                   "ec2_metadata_service_endpoint_mode");
  if (endpoint_.empty()) {
    const bool is_v6 = mode == "IPv6" || mode == "ipv6";
    endpoint_ = is_v6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
  }
  while (endpoint_.ends_with('/')) endpoint_.pop_back();
  const auto seconds = parse_integer(
      setting(environment, "AWS_METADATA_SERVICE_TIMEOUT", profile, "metadata_service_timeout"));
  time_max_ = std::chrono::seconds{seconds && *seconds > 0 && *seconds < 60 ? *seconds : 1};
  const auto attempts = parse_integer(setting(environment, "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
                                              profile, "metadata_service_num_attempts"));
  attempts_max_ = attempts && *attempts > 0 && *attempts < 20 ? static_cast<int>(*attempts) : 1;
  is_disabled_ = variable(environment, "AWS_EC2_METADATA_DISABLED") == "true";
  allows_v1_ = setting(environment, "AWS_EC2_METADATA_V1_DISABLED", profile,
                       "ec2_metadata_v1_disabled") != "true";
}

HttpRequest InstanceMetadata::request_to(const std::string& path) const {
  HttpRequest request;
  request.url = endpoint_ + path;
  // Short while it is not known whether there is such a service at all.
  request.connect_time_max = was_reached_ ? Duration(std::chrono::seconds{2}) : time_max_;
  request.time_max = request.connect_time_max * 2;
  request.uses_proxy = false;
  return request;
}

Task<Status> InstanceMetadata::open_session() {
  HttpRequest request = request_to("/latest/api/token");
  request.method = "PUT";
  request.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", std::to_string(kTokenLife.count())}};
  const Result<HttpResponse> answer = co_await transport_.send(std::move(request));
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  was_reached_ = true;
  is_v1_ = false;
  if (answer->status == 200) {
    token_ = answer->body;
    // Renewed at 80 % of its life.
    token_ends_at_ = clock_.now() + kTokenLife * 8 / 10;
    co_return Status();
  }
  if ((answer->status == 404 || answer->status == 405) && allows_v1_) {
    is_v1_ = true;
    co_return Status();
  }
  co_return fail(answer->status == 403 ? ErrorKind::forbidden : ErrorKind::unavailable,
                 fmt::format("instance metadata refused a session (HTTP {})", answer->status));
}

Task<Result<std::string>> InstanceMetadata::get_once(std::string path) {
  for (int round = 0; round < 2; ++round) {
    if (!is_v1_ && (token_.empty() || clock_.now() >= token_ends_at_)) {
      Task<Status> opening = open_session();
      const Status opened = co_await std::move(opening);
      if (!opened) co_return tl::unexpected<Error>(opened.error());
    }
    HttpRequest request = request_to(path);
    if (!is_v1_) request.headers = {{"X-aws-ec2-metadata-token", token_}};
    Result<HttpResponse> answer = co_await transport_.send(std::move(request));
    if (!answer) co_return tl::unexpected<Error>(answer.error());
    if (answer->status == 200) co_return std::move(answer->body);
    // The session has ended before its time: a new one, once.
    if (answer->status == 401) {
      token_.clear();
      is_v1_ = false;
      continue;
    }
    const bool is_passing = answer->status >= 500 || answer->status == 429;
    co_return fail(is_passing ? ErrorKind::unavailable : ErrorKind::not_found,
                   fmt::format("instance metadata has no {} (HTTP {})", path, answer->status));
  }
  co_return fail(ErrorKind::forbidden, "instance metadata refuses its own session");
}

Task<Result<std::string>> InstanceMetadata::get(std::string path) {
  Duration pause = std::chrono::milliseconds{200};
  for (int number = 1;; ++number) {
    Task<Result<std::string>> trying = get_once(path);
    Result<std::string> answer = co_await std::move(trying);
    const int attempts = was_reached_ ? std::max(3, attempts_max_) : attempts_max_;
    if (answer || !is_retryable(answer.error().kind) || number >= attempts) co_return answer;
    co_await clock_.sleep(pause);
    pause *= 2;
  }
}

}  // namespace muster::aws
