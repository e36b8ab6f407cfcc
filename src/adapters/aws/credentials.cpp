#include "adapters/aws/credentials.hpp"

#include <fmt/format.h>

#include "wire/json.hpp"

namespace muster::aws {
namespace {

constexpr auto kRefreshBefore = std::chrono::minutes{10};

tl::unexpected<Error> unsupported(const std::string& what, const std::string& where) {
  return fail(ErrorKind::unauthenticated, fmt::format("{} in {} is not supported yet", what, where),
              "Export AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN instead, for "
              "example with: eval \"$(aws configure export-credentials --format env)\".");
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

CredentialsChain::CredentialsChain(HttpTransport& transport, Clock& clock, Environment environment,
                                   Profile profile)
    : transport_(transport),
      clock_(clock),
      environment_(std::move(environment)),
      profile_(std::move(profile)) {}

void CredentialsChain::forget() { cached_.reset(); }

Task<Result<wire::AwsCredentials>> CredentialsChain::get() {
  const bool is_fresh =
      cached_ && (!cached_->expiration || *cached_->expiration - clock_.now() > kRefreshBefore);
  if (is_fresh) co_return *cached_;
  for (const auto provider :
       {&CredentialsChain::from_environment, &CredentialsChain::from_profile}) {
    Result<std::optional<wire::AwsCredentials>> found = (this->*provider)();
    if (!found) co_return tl::unexpected<Error>(found.error());
    if (!*found) continue;
    cached_ = **found;
    co_return *cached_;
  }
  Result<wire::AwsCredentials> found = co_await from_instance();
  const bool still_valid = cached_ && cached_->expiration && *cached_->expiration > clock_.now();
  if (!found && still_valid) co_return *cached_;
  if (found) cached_ = *found;
  co_return found;
}

Result<std::optional<wire::AwsCredentials>> CredentialsChain::from_environment() {
  const std::string id = variable(environment_, "AWS_ACCESS_KEY_ID");
  const std::string secret = variable(environment_, "AWS_SECRET_ACCESS_KEY");
  if (id.empty() != secret.empty()) {
    return fail(ErrorKind::unauthenticated,
                fmt::format("{} is set and {} is not",
                            id.empty() ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                            id.empty() ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY"),
                "Set both, or neither.");
  }
  if (!id.empty()) {
    origin_ = "environment";
    return wire::AwsCredentials{id, Secret(secret),
                                Secret(variable(environment_, "AWS_SESSION_TOKEN")), std::nullopt};
  }
  if (!variable(environment_, "AWS_WEB_IDENTITY_TOKEN_FILE").empty()) {
    return unsupported("AWS_WEB_IDENTITY_TOKEN_FILE", "the environment");
  }
  return std::optional<wire::AwsCredentials>();
}

Result<std::optional<wire::AwsCredentials>> CredentialsChain::from_profile() {
  const std::string where = fmt::format("profile {}", profile_.name);
  const std::string id = profile_.get("aws_access_key_id");
  const std::string secret = profile_.get("aws_secret_access_key");
  for (const char* key : {"role_arn", "web_identity_token_file", "sso_session", "sso_start_url",
                          "login_session", "credential_source"}) {
    if (!profile_.get(key).empty()) return unsupported(key, where);
  }
  if (id.empty() != secret.empty()) {
    return fail(
        ErrorKind::unauthenticated,
        fmt::format("{} has only one of aws_access_key_id and aws_secret_access_key", where),
        fmt::format("Complete it in {}.", profile_.credentials_file));
  }
  if (!id.empty()) {
    origin_ = where;
    return wire::AwsCredentials{id, Secret(secret), Secret(profile_.get("aws_session_token")),
                                std::nullopt};
  }
  if (!profile_.get("credential_process").empty()) return unsupported("credential_process", where);
  for (const char* name :
       {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}) {
    if (!variable(environment_, name).empty()) return unsupported(name, "the environment");
  }
  return std::optional<wire::AwsCredentials>();
}

Task<Result<std::string>> CredentialsChain::read_metadata(std::string path) {
  const std::string configured = variable(environment_, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
  std::string base = configured.empty() ? "http://169.254.169.254" : configured;
  while (base.ends_with('/')) base.pop_back();
  HttpRequest ask;
  ask.method = "PUT";
  ask.url = base + "/latest/api/token";
  ask.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}};
  ask.connect_time_max = std::chrono::seconds{1};
  ask.time_max = std::chrono::seconds{2};
  ask.uses_proxy = false;
  const Result<HttpResponse> token = co_await transport_.send(std::move(ask));
  if (!token) co_return tl::unexpected<Error>(token.error());
  if (token->status != 200) {
    co_return fail(ErrorKind::unavailable,
                   fmt::format("instance metadata refused a session (HTTP {})", token->status));
  }
  HttpRequest get;
  get.url = base + path;
  get.headers = {{"X-aws-ec2-metadata-token", token->body}};
  get.connect_time_max = std::chrono::seconds{1};
  get.time_max = std::chrono::seconds{2};
  get.uses_proxy = false;
  const Result<HttpResponse> answer = co_await transport_.send(std::move(get));
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  if (answer->status != 200) {
    co_return fail(ErrorKind::not_found,
                   fmt::format("instance metadata has no {} (HTTP {})", path, answer->status));
  }
  co_return answer->body;
}

Task<Result<std::string>> CredentialsChain::instance_region() {
  Task<Result<std::string>> reading = read_metadata("/latest/meta-data/placement/region");
  co_return co_await std::move(reading);
}

Task<Result<wire::AwsCredentials>> CredentialsChain::from_instance() {
  const std::string remedy =
      "Export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, set AWS_PROFILE, or run on an instance "
      "with a role.";
  if (variable(environment_, "AWS_EC2_METADATA_DISABLED") == "true") {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("no AWS credentials: none in the environment, none in profile {}, "
                               "and AWS_EC2_METADATA_DISABLED is true",
                               profile_.name),
                   remedy);
  }
  const std::string base = "/latest/meta-data/iam/security-credentials/";
  Task<Result<std::string>> naming = read_metadata(base);
  const Result<std::string> role = co_await std::move(naming);
  if (!role) {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("no AWS credentials: none in the environment, none in profile {}, "
                               "and no instance role ({})",
                               profile_.name, role.error().message),
                   remedy);
  }
  Task<Result<std::string>> reading = read_metadata(base + first_line(*role));
  const Result<std::string> text = co_await std::move(reading);
  if (!text) co_return within("instance metadata", "", text.error());
  const Result<Node> document = wire::parse_json(*text);
  if (!document) co_return within("instance metadata", "", document.error());
  if (document->text_at({"Code"}) != "Success") {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("instance metadata has no credentials for role {}: {}",
                               first_line(*role), document->text_at({"Message"})));
  }
  wire::AwsCredentials credentials{
      document->text_at({"AccessKeyId"}), Secret(document->text_at({"SecretAccessKey"})),
      Secret(document->text_at({"Token"})), parse_iso8601(document->text_at({"Expiration"}))};
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    co_return fail(ErrorKind::corrupt, "instance metadata answered with incomplete credentials");
  }
  origin_ = "instance role " + first_line(*role);
  co_return credentials;
}

}  // namespace muster::aws
