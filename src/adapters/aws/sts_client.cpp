#include "adapters/aws/sts_client.hpp"

#include <fmt/format.h>

#include "adapters/aws/clock_skew.hpp"
#include "wire/digest.hpp"
#include "wire/url.hpp"
#include "wire/xml.hpp"

namespace muster::aws {
namespace {

Error sts_error(const std::string& action, int status, const std::string& body) {
  Error error;
  error.context = {"sts:" + action};
  const Result<wire::XmlElement> root = wire::parse_xml(body, 1 << 20);
  const wire::XmlElement* one = root ? root->find("Error") : nullptr;
  if (one != nullptr) {
    error.code = one->text_at({"Code"});
    error.message = one->text_at({"Message"});
  }
  error.kind = classify(error.code, status);
  // The identity provider may answer a moment later (STS API reference).
  if (error.code == "IDPCommunicationError") error.kind = ErrorKind::unavailable;
  if (error.code == "ExpiredTokenException" || error.code == "InvalidIdentityToken") {
    error.kind = ErrorKind::unauthenticated;
  }
  if (error.code == "AccessDenied") error.kind = ErrorKind::forbidden;
  if (error.message.empty()) error.message = fmt::format("HTTP {} without a reason", status);
  return error;
}

}  // namespace

Task<Result<wire::AwsCredentials>> assume_role(HttpTransport& transport, Clock& clock,
                                               Random& random, StsOptions options,
                                               std::string action, wire::Parameters parameters,
                                               std::optional<wire::AwsCredentials> signer) {
  const Result<wire::Url> url = wire::parse_url(options.endpoint);
  if (!url) co_return tl::unexpected<Error>(url.error());
  wire::Parameters all{{"Action", action}, {"Version", "2011-06-15"}};
  for (auto& one : parameters) all.push_back(std::move(one));
  const std::string body = wire::form_encode(all);
  RetryPolicy retry(random);
  ClockSkew skew;
  bool has_corrected = false;
  for (int number = 1;; ++number) {
    wire::SigV4Request signed_part;
    signed_part.method = "POST";
    signed_part.path = url->path;
    signed_part.payload_hash = wire::hex_encode(wire::sha256(body));
    signed_part.headers = {{"host", url->authority()},
                           {"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
    if (signer)
      wire::sign(signed_part, *signer, options.region, "sts", clock.now() + skew.offset());
    HttpRequest request;
    request.method = "POST";
    request.url = options.endpoint;
    request.headers = signed_part.headers;
    request.body = body;
    const Result<HttpResponse> answer = co_await transport.send(std::move(request));
    Error error;
    if (!answer) {
      error = answer.error();
      error.context.push_back("sts:" + action);
    } else if (answer->status != 200) {
      error = sts_error(action, answer->status, answer->body);
      // With the right time it is another request, and no repetition of this one.
      const bool is_new = skew.learn(*answer, clock.now());
      if (is_new && signer && !has_corrected && ClockSkew::may_cause(error.code)) {
        has_corrected = true;
        --number;
        continue;
      }
    } else {
      const Result<wire::XmlElement> root = wire::parse_xml(answer->body, 1 << 20);
      if (!root) co_return within("sts:" + action, "", root.error());
      const auto at = [&](const char* name) {
        return root->text_at({action + "Result", "Credentials", name});
      };
      wire::AwsCredentials made{at("AccessKeyId"), Secret(at("SecretAccessKey")),
                                Secret(at("SessionToken")), parse_iso8601(at("Expiration"))};
      if (!made.access_key_id.empty() && !made.secret_access_key.empty()) co_return made;
      co_return fail(ErrorKind::corrupt, fmt::format("sts:{} was answered without keys", action));
    }
    const auto delay = retry.delay_after(number, error, std::nullopt);
    if (!delay) co_return tl::unexpected<Error>(std::move(error));
    co_await clock.sleep(*delay);
  }
}

}  // namespace muster::aws
