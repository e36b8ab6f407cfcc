#include "adapters/aws/ec2_client.hpp"

#include <fmt/format.h>

#include "base/document.hpp"
#include "ports/cloud.hpp"

#include "wire/digest.hpp"
#include "wire/sigv4.hpp"
#include "wire/url.hpp"

namespace muster::aws {
namespace {

constexpr std::string_view kVersion = "2016-11-15";

bool may_be_stale_credentials(const std::string& code) {
  return code == "ExpiredToken" || code == "ExpiredTokenException" ||
         code == "UnrecognizedClientException" || code == "RequestExpired" ||
         code == "InvalidClientTokenId" || code == "AuthFailure";
}

std::string remedy_of(ErrorKind kind, const std::string& code) {
  if (code == "RequestExpired") return "Check this machine's clock, or renew the credentials.";
  if (kind == ErrorKind::unauthenticated) {
    return "Check the access key and its secret, and that the region is the endpoint's.";
  }
  if (kind == ErrorKind::forbidden) return "Grant the permission that the text names.";
  return {};
}

}  // namespace

std::string form_of(const std::string& action, wire::Parameters parameters) {
  wire::Parameters all{{"Action", action}, {"Version", std::string(kVersion)}};
  for (auto& one : parameters) all.push_back(std::move(one));
  return wire::form_encode(all);
}

Error error_of(const std::string& action, int status, const std::string& body) {
  Error error;
  error.context = {"ec2:" + action};
  const Result<wire::XmlElement> root = wire::parse_xml(body, 1 << 20);
  if (root) {
    const wire::XmlElement* errors = root->find("Errors");
    const wire::XmlElement* one = errors != nullptr ? errors->find("Error") : root->find("Error");
    if (one != nullptr) {
      error.code = one->text_at({"Code"});
      error.message = one->text_at({"Message"});
    }
  }
  error.kind = classify(error.code, status);
  if (error.message.empty()) error.message = fmt::format("HTTP {} without a reason", status);
  error.remedy = remedy_of(error.kind, error.code);
  return error;
}

Ec2Client::Ec2Client(HttpTransport& transport, CredentialsChain& credentials, Clock& clock,
                     Random& random, const Log& log, Ec2ClientOptions options)
    : transport_(transport),
      credentials_(credentials),
      clock_(clock),
      random_(random),
      log_(log),
      options_(std::move(options)),
      retry_(random, options_.attempts_max) {}

Task<Result<wire::XmlElement>> Ec2Client::attempt(
    const std::string* action, const std::string* body, std::string invocation_id, int number,
    Duration time_max, std::optional<Duration>* retry_after, bool* has_new_time) {
  const Result<wire::AwsCredentials> credentials = co_await credentials_.get();
  if (!credentials) co_return tl::unexpected<Error>(credentials.error());
  const Result<wire::Url> url = wire::parse_url(options_.endpoint);
  if (!url) co_return tl::unexpected<Error>(url.error());

  wire::SigV4Request signed_part;
  signed_part.method = "POST";
  signed_part.path = url->path;
  signed_part.payload_hash = wire::hex_encode(wire::sha256(*body));
  signed_part.headers = {{"host", url->authority()},
                         {"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
  wire::sign(signed_part, *credentials, options_.region, "ec2", clock_.now() + skew_.offset());

  HttpRequest request;
  request.method = "POST";
  request.url = options_.endpoint;
  request.headers = signed_part.headers;
  request.headers.emplace_back("amz-sdk-invocation-id", invocation_id);
  request.headers.emplace_back("amz-sdk-request",
                               fmt::format("attempt={}; max={}", number, retry_.attempts_max()));
  request.body = *body;
  request.time_max = time_max;
  const Duration started = clock_.monotonic();
  const Result<HttpResponse> response = co_await transport_.send(std::move(request));
  const Duration took = clock_.monotonic() - started;
  if (!response) {
    log_.debug("ec2_call_failed", {{"action", *action},
                                   {"attempt", number},
                                   {"error_kind", to_string(response.error().kind)},
                                   {"took_ms", took}});
    co_return within("ec2:" + *action, "", response.error());
  }
  const std::string wait = header_value(response->headers, "x-amz-retry-after");
  const auto wait_ms = parse_integer(wait);
  if (wait_ms && *wait_ms >= 0 && *wait_ms < 3'600'000) {
    *retry_after = std::chrono::milliseconds{*wait_ms};
  }
  const bool is_success = response->status >= 200 && response->status < 300;
  Error error = is_success ? Error{} : error_of(*action, response->status, response->body);
  log_.debug("ec2_call_answered",
             {{"action", *action},
              {"status", response->status},
              {"error_code", error.code},
              {"attempt", number},
              {"request_id", header_value(response->headers, "x-amzn-requestid")},
              {"took_ms", took}});
  if (!is_success) {
    *has_new_time = skew_.learn(*response, clock_.now()) && ClockSkew::may_cause(error.code);
    co_return tl::unexpected<Error>(std::move(error));
  }
  Result<wire::XmlElement> root = wire::parse_xml(response->body);
  if (!root) co_return within("ec2:" + *action, "", root.error());
  if (root->name != *action + "Response") {
    co_return fail(ErrorKind::corrupt,
                   fmt::format("ec2:{} was answered with <{}>", *action, root->name));
  }
  co_return std::move(*root);
}

Task<Result<wire::XmlElement>> Ec2Client::call(std::string action, std::string body,
                                               Duration time_max) {
  const std::string invocation_id = random_hex(random_, 32);
  bool has_refreshed = false;
  bool has_corrected = false;
  bool is_unknown = false;
  for (int number = 1;; ++number) {
    std::optional<Duration> retry_after;
    bool has_new_time = false;
    Task<Result<wire::XmlElement>> trying =
        attempt(&action, &body, invocation_id, number, time_max, &retry_after, &has_new_time);
    Result<wire::XmlElement> answer = co_await std::move(trying);
    if (answer) {
      retry_.succeeded(number);
      co_return answer;
    }
    const ErrorKind kind = answer.error().kind;
    if (kind == ErrorKind::throttled && options_.throttled) options_.throttled(action);
    if (has_new_time && !has_corrected) {
      // With the right time it is another request, and no repetition of this one.
      has_corrected = true;
      --number;
      continue;
    }
    is_unknown = is_unknown || may_have_acted(kind);
    const bool is_stale = may_be_stale_credentials(answer.error().code) &&
                          answer.error().kind == ErrorKind::unauthenticated;
    if (is_stale && !has_refreshed) {
      has_refreshed = true;
      credentials_.forget();
      continue;
    }
    const std::optional<Duration> delay = retry_.delay_after(number, answer.error(), retry_after);
    if (!delay) {
      // An earlier attempt may have acted although this one was turned away at the door.
      if (is_unknown && is_turned_away(kind)) answer.error().kind = ErrorKind::unavailable;
      co_return answer;
    }
    co_await clock_.sleep(*delay);
    Task<> waiting = before_repetition(action);
    co_await std::move(waiting);
  }
}

Task<> Ec2Client::before_repetition(std::string action) {
  if (!options_.before_repetition) co_return;
  Task<> waiting = options_.before_repetition(std::move(action));
  co_await std::move(waiting);
}

}  // namespace muster::aws
