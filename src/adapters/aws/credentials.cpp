#include "adapters/aws/credentials.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include "base/document.hpp"
#include "wire/json.hpp"
#include "wire/url.hpp"

namespace muster::aws {
namespace {

using namespace std::chrono_literals;

constexpr auto kRefreshSoon = 15min;
constexpr auto kRefreshNow = 10min;
constexpr auto kLookAgain = 50ms;
constexpr int kContainerAttempts = 3;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Result<std::string> read_token(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || text.str().size() > 20'000) {
    return fail(ErrorKind::unauthenticated, fmt::format("the token file {} cannot be read", path),
                "Correct its path or permissions.");
  }
  std::string token = text.str();
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  return token;
}

/// Keys in the JSON of a container's endpoint or of instance metadata; the token's name differs
/// from that of credential_process.
Result<wire::AwsCredentials> read_keys(const std::string& text, const std::string& where,
                                       const char* token_name) {
  const Result<Node> document = wire::parse_json(text);
  if (!document) return within(where, "", document.error());
  wire::AwsCredentials keys{document->text_at({"AccessKeyId"}),
                            Secret(document->text_at({"SecretAccessKey"})),
                            Secret(document->text_at({token_name})), std::nullopt};
  const std::string expiration = document->text_at({"Expiration"});
  if (!expiration.empty()) {
    keys.expiration = parse_iso8601(expiration);
    if (!keys.expiration) {
      return fail(ErrorKind::corrupt,
                  fmt::format("{}: the expiration \"{}\" is no time", where, expiration));
    }
  }
  if (keys.access_key_id.empty() || keys.secret_access_key.empty()) {
    return fail(ErrorKind::corrupt, where + " answered with incomplete credentials");
  }
  return keys;
}

/// Whom a full URI may name: TLS, this host, or the addresses of ECS and EKS.
bool is_container_host(const wire::Url& url) {
  constexpr std::array<std::string_view, 5> kHosts{"169.254.170.2", "169.254.170.23",
                                                   "fd00:ec2::23", "localhost", "::1"};
  in_addr address{};
  const bool is_loopback =
      inet_pton(AF_INET, url.host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
  return url.scheme == "https" || is_loopback ||
         std::find(kHosts.begin(), kHosts.end(), url.host) != kHosts.end();
}

}  // namespace

Result<std::vector<std::string>> split_words(const std::string& command) {
  std::vector<std::string> words;
  std::string word;
  bool is_open = false;
  char quote = 0;
  for (std::size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (quote == '\'') {
      if (c == '\'') quote = 0;
      if (c != '\'') word += c;
    } else if (quote == '"') {
      const bool escapes =
          c == '\\' && i + 1 < command.size() &&
          std::string_view("\"\\$`").find(command[i + 1]) != std::string_view::npos;
      if (c == '"') {
        quote = 0;
      } else {
        word += escapes ? command[++i] : c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      is_open = true;
    } else if (c == '\\' && i + 1 < command.size()) {
      word += command[++i];
      is_open = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (is_open) words.push_back(std::exchange(word, {}));
      is_open = false;
    } else {
      word += c;
      is_open = true;
    }
  }
  if (quote != 0) {
    return fail(ErrorKind::invalid_input, fmt::format("an open quote in \"{}\"", command),
                "Close it.");
  }
  if (is_open) words.push_back(word);
  return words;
}

CredentialsChain::CredentialsChain(Parts parts, Environment environment, Profile profile)
    : parts_(std::move(parts)),
      environment_(std::move(environment)),
      profile_(std::move(profile)),
      metadata_(parts_.transport, parts_.clock, environment_, profile_) {}

void CredentialsChain::forget() { is_stale_ = true; }

Task<Result<std::string>> CredentialsChain::instance_region() {
  if (metadata_.is_disabled()) {
    co_return fail(ErrorKind::unavailable, "AWS_EC2_METADATA_DISABLED is true");
  }
  Task<Result<std::string>> reading = metadata_.get("/latest/meta-data/placement/region");
  Result<std::string> region = co_await std::move(reading);
  if (region || region.error().kind != ErrorKind::not_found) co_return region;
  // Older services have the zone only.
  Task<Result<std::string>> zoning = metadata_.get("/latest/meta-data/placement/availability-zone");
  Result<std::string> zone = co_await std::move(zoning);
  if (zone && !zone->empty()) zone->pop_back();
  co_return zone;
}

Task<Result<wire::AwsCredentials>> CredentialsChain::get() {
  while (true) {
    const bool has_some = cached_ && !is_stale_;
    if (has_some && !cached_->expiration) co_return *cached_;
    const Duration left = has_some ? *cached_->expiration - parts_.clock.wall() : Duration{0};
    if (has_some && left > kRefreshSoon) co_return *cached_;
    // One refreshes; the others go on with what is still good, or wait.
    if (has_some && is_refreshing_ && left > kRefreshNow) co_return *cached_;
    if (!is_refreshing_) break;
    co_await parts_.clock.sleep(kLookAgain);
  }
  Task<Result<wire::AwsCredentials>> refreshing = refresh();
  co_return co_await std::move(refreshing);
}

Task<Result<wire::AwsCredentials>> CredentialsChain::refresh() {
  struct Mark {
    explicit Mark(bool& flag) : flag_(flag) { flag_ = true; }
    ~Mark() { flag_ = false; }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;
    bool& flag_;
  };
  const Mark mark(is_refreshing_);
  Task<Result<wire::AwsCredentials>> reading = read();
  Result<wire::AwsCredentials> found = co_await std::move(reading);
  if (!found) {
    const bool still_good = cached_ && !is_stale_ &&
                            (!cached_->expiration || *cached_->expiration > parts_.clock.wall());
    if (!still_good) co_return found;
    parts_.log.warn("credentials_not_refreshed",
                    {{"origin", origin_}, {"error", found.error().describe()}});
    co_return *cached_;
  }
  cached_ = *found;
  is_stale_ = false;
  co_return found;
}

Task<Result<wire::AwsCredentials>> CredentialsChain::read() {
  Found found = from_environment();
  if (found && !*found) {
    const std::string file = variable(environment_, "AWS_WEB_IDENTITY_TOKEN_FILE");
    if (!file.empty() && !profile_.is_configured) {
      const std::string role = variable(environment_, "AWS_ROLE_ARN");
      if (role.empty()) {
        co_return fail(ErrorKind::unauthenticated,
                       "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not",
                       "Set both, or neither.");
      }
      Task<Found> reading = from_web_identity(
          file, role, variable(environment_, "AWS_ROLE_SESSION_NAME"), "the environment");
      found = co_await std::move(reading);
    }
  }
  if (found && !*found) {
    Task<Found> reading = from_profile(profile_.name, {});
    found = co_await std::move(reading);
  }
  if (found && !*found) {
    Task<Found> reading = from_container();
    found = co_await std::move(reading);
  }
  if (found && !*found) {
    Task<Found> reading = from_instance();
    found = co_await std::move(reading);
  }
  if (!found) co_return tl::unexpected<Error>(found.error());
  if (!*found) co_return none_found("nothing else to ask");
  co_return **found;
}

CredentialsChain::Found CredentialsChain::from_environment() {
  // A profile that the configuration names stands before keys that happen to be set.
  if (profile_.is_configured) return std::optional<wire::AwsCredentials>();
  const std::string id = variable(environment_, "AWS_ACCESS_KEY_ID");
  const std::string secret = variable(environment_, "AWS_SECRET_ACCESS_KEY");
  if (id.empty() != secret.empty()) {
    return fail(ErrorKind::unauthenticated,
                fmt::format("{} is set and {} is not",
                            id.empty() ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                            id.empty() ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY"),
                "Set both, or neither.");
  }
  if (id.empty()) return std::optional<wire::AwsCredentials>();
  origin_ = "environment";
  return wire::AwsCredentials{id, Secret(secret),
                              Secret(variable(environment_, "AWS_SESSION_TOKEN")), std::nullopt};
}

std::string CredentialsChain::session_name(const std::string& configured) const {
  if (!configured.empty()) return configured;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(parts_.clock.now());
  return fmt::format("muster-{}", seconds.time_since_epoch().count());
}

Task<CredentialsChain::Found> CredentialsChain::from_web_identity(std::string file,
                                                                  std::string role,
                                                                  std::string session,
                                                                  std::string where) {
  if (!sts_options_) co_return fail(ErrorKind::unauthenticated, "no region to assume a role in");
  for (int round = 1;; ++round) {
    // Read each time: whoever rotates it replaces the file.
    const Result<std::string> token = read_token(file);
    if (!token) co_return within("web identity of", where, token.error());
    wire::Parameters parameters{{"RoleArn", role},
                                {"RoleSessionName", session_name(session)},
                                {"WebIdentityToken", *token}};
    Task<Result<wire::AwsCredentials>> assuming =
        assume_role(parts_.transport, parts_.clock, parts_.random, *sts_options_,
                    "AssumeRoleWithWebIdentity", std::move(parameters), std::nullopt);
    Result<wire::AwsCredentials> keys = co_await std::move(assuming);
    if (keys) {
      origin_ = fmt::format("web identity of {}, role {}", where, role);
      co_return std::optional<wire::AwsCredentials>(std::move(*keys));
    }
    const bool is_stale =
        keys.error().code == "InvalidIdentityToken" || keys.error().code == "ExpiredTokenException";
    if (is_stale && round == 1) continue;
    if (is_stale) keys.error().remedy = fmt::format("Let the token in {} be renewed.", file);
    co_return within("web identity of", where, keys.error());
  }
}

Task<CredentialsChain::Found> CredentialsChain::from_role(std::string name,
                                                          std::vector<std::string> chain) {
  const ProfileSettings* settings = profile_.find(name);
  const std::string where = fmt::format("profile {}", name);
  const std::string role = settings->get("role_arn");
  const std::string source = settings->get("source_profile");
  const std::string from = settings->get("credential_source");
  if (source.empty() == from.empty()) {
    co_return fail(ErrorKind::invalid_input,
                   fmt::format("{} has role_arn and {} of source_profile and credential_source",
                               where, source.empty() ? "none" : "both"),
                   "Give exactly one of them.");
  }
  if (!settings->get("mfa_serial").empty()) {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("mfa_serial in {} is not supported", where),
                   "Nobody can type a code here: use a role without MFA, or credential_process.");
  }
  Found signer = std::optional<wire::AwsCredentials>();
  if (!source.empty()) {
    const bool is_own = source == name;
    const bool is_cycle = !is_own && std::find(chain.begin(), chain.end(), source) != chain.end();
    if (is_cycle || profile_.find(source) == nullptr) {
      co_return fail(ErrorKind::invalid_input,
                     is_cycle
                         ? fmt::format("source_profile goes round in a circle: {} -> {}",
                                       fmt::join(chain, " -> "), source)
                         : fmt::format("source_profile of {} names \"{}\", which does not exist",
                                       where, source),
                     "Correct source_profile.");
    }
    if (is_own) {
      const std::string id = settings->get("aws_access_key_id");
      if (id.empty()) {
        co_return fail(ErrorKind::invalid_input,
                       fmt::format("{} is its own source_profile and has no keys", where),
                       "Add aws_access_key_id and aws_secret_access_key, or name another profile.");
      }
      signer = wire::AwsCredentials{id, Secret(settings->get("aws_secret_access_key")),
                                    Secret(settings->get("aws_session_token")), std::nullopt};
    } else {
      Task<Found> reading = from_profile(source, chain);
      signer = co_await std::move(reading);
    }
  } else if (from == "Environment") {
    const bool was_configured = std::exchange(profile_.is_configured, false);
    signer = from_environment();
    profile_.is_configured = was_configured;
  } else if (from == "Ec2InstanceMetadata") {
    Task<Found> reading = from_instance();
    signer = co_await std::move(reading);
  } else if (from == "EcsContainer") {
    Task<Found> reading = from_container();
    signer = co_await std::move(reading);
  } else {
    co_return fail(ErrorKind::invalid_input,
                   fmt::format("credential_source \"{}\" in {} is not known", from, where),
                   "Use Environment, Ec2InstanceMetadata or EcsContainer.");
  }
  if (!signer) co_return signer;
  if (!*signer) {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("{} of {} has no credentials to assume {} with",
                               source.empty() ? from : "source_profile " + source, where, role),
                   "Add some there.");
  }
  if (!sts_options_) co_return fail(ErrorKind::unauthenticated, "no region to assume a role in");
  wire::Parameters parameters{
      {"RoleArn", role}, {"RoleSessionName", session_name(settings->get("role_session_name"))}};
  const std::string external = settings->get("external_id");
  if (!external.empty()) parameters.emplace_back("ExternalId", external);
  const std::string seconds = settings->get("duration_seconds");
  const auto duration = parse_integer(seconds);
  if (!seconds.empty() && (!duration || *duration < 900 || *duration > 43200)) {
    co_return fail(
        ErrorKind::invalid_input,
        fmt::format("duration_seconds \"{}\" in {} is not between 900 and 43200", seconds, where),
        "Correct it.");
  }
  if (duration) {
    // Roles assumed by a role last an hour at most (STS API reference).
    const long long longest = (*signer)->session_token.empty() ? 43200 : 3600;
    parameters.emplace_back("DurationSeconds", std::to_string(std::min(*duration, longest)));
  }
  Task<Result<wire::AwsCredentials>> assuming =
      assume_role(parts_.transport, parts_.clock, parts_.random, *sts_options_, "AssumeRole",
                  std::move(parameters), std::move(*signer));
  Result<wire::AwsCredentials> keys = co_await std::move(assuming);
  if (!keys) {
    if (keys.error().kind == ErrorKind::forbidden) {
      keys.error().remedy = "Let the role's trust policy name this caller, and check external_id.";
    }
    co_return within("role of", where, keys.error());
  }
  origin_ = fmt::format("{}, role {}", where, role);
  co_return std::optional<wire::AwsCredentials>(std::move(*keys));
}

Task<CredentialsChain::Found> CredentialsChain::from_process(std::string command,
                                                             std::string where) {
  const Result<std::vector<std::string>> words = split_words(command);
  if (!words || words->empty()) {
    co_return fail(ErrorKind::invalid_input,
                   fmt::format("credential_process in {} is no command", where),
                   words ? "Name a program." : words.error().message);
  }
  Task<Result<std::string>> running = parts_.run_program(*words);
  const Result<std::string> out = co_await std::move(running);
  if (!out) {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("credential_process in {} failed: {}", where, out.error().message),
                   "Run it by hand to see why.");
  }
  const Result<Node> document = wire::parse_json(*out);
  if (!document || document->text_at({"Version"}) != "1") {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("credential_process in {} printed no JSON of Version 1", where),
                   "It must print {\"Version\":1,\"AccessKeyId\":…,\"SecretAccessKey\":…}.");
  }
  Result<wire::AwsCredentials> keys =
      read_keys(*out, "credential_process in " + where, "SessionToken");
  if (!keys) co_return tl::unexpected<Error>(keys.error());
  origin_ = "credential_process of " + where;
  co_return std::optional<wire::AwsCredentials>(std::move(*keys));
}

Task<CredentialsChain::Found> CredentialsChain::from_profile(std::string name,
                                                             std::vector<std::string> chain) {
  const ProfileSettings* settings = profile_.find(name);
  if (settings == nullptr) co_return std::optional<wire::AwsCredentials>();
  const std::string where = fmt::format("profile {}", name);
  chain.push_back(name);
  const std::string role = settings->get("role_arn");
  const std::string token_file = settings->get("web_identity_token_file");
  if (!role.empty() && !token_file.empty()) {
    Task<Found> reading =
        from_web_identity(token_file, role, settings->get("role_session_name"), where);
    co_return co_await std::move(reading);
  }
  if (!role.empty()) {
    Task<Found> reading = from_role(name, chain);
    co_return co_await std::move(reading);
  }
  const std::string id = settings->get("aws_access_key_id");
  const std::string secret = settings->get("aws_secret_access_key");
  if (id.empty() != secret.empty()) {
    co_return fail(
        ErrorKind::unauthenticated,
        fmt::format("{} has only one of aws_access_key_id and aws_secret_access_key", where),
        fmt::format("Complete it in {}.", profile_.credentials_file));
  }
  const std::string process = settings->get("credential_process");
  // Keys of the credentials file stand before a process, those of the config file behind it.
  const bool keys_first = settings->from_credentials_file.contains("aws_access_key_id");
  if (!process.empty() && !(keys_first && !id.empty())) {
    Task<Found> reading = from_process(process, where);
    co_return co_await std::move(reading);
  }
  if (!id.empty()) {
    origin_ = where;
    co_return wire::AwsCredentials{id, Secret(secret), Secret(settings->get("aws_session_token")),
                                   std::nullopt};
  }
  for (const char* key : {"sso_session", "sso_start_url", "login_session"}) {
    if (settings->get(key).empty()) continue;
    co_return fail(
        ErrorKind::unauthenticated, fmt::format("{} in {} is not supported", key, where),
        "Use credential_process, for example: aws configure export-credentials --profile NAME.");
  }
  co_return std::optional<wire::AwsCredentials>();
}

Task<CredentialsChain::Found> CredentialsChain::from_container() {
  const std::string relative = variable(environment_, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string full = variable(environment_, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) co_return std::optional<wire::AwsCredentials>();
  HttpRequest request;
  request.url = relative.empty() ? full : "http://169.254.170.2" + relative;
  request.headers = {{"Accept", "application/json"}};
  request.connect_time_max = 2s;
  request.time_max = 2s;
  request.uses_proxy = false;
  const Result<wire::Url> url = wire::parse_url(request.url);
  if (!url || !is_container_host(*url)) {
    co_return fail(
        ErrorKind::invalid_input,
        fmt::format("AWS_CONTAINER_CREDENTIALS_FULL_URI \"{}\" is neither https nor an address of "
                    "this host or of ECS or EKS",
                    full),
        "Correct it.");
  }
  const std::string file = variable(environment_, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  std::string token = variable(environment_, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (!file.empty()) {
    Result<std::string> read_from = read_token(file);
    if (!read_from)
      co_return within("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "", read_from.error());
    token = std::move(*read_from);
  }
  if (token.find_first_of("\r\n") != std::string::npos) {
    co_return fail(ErrorKind::invalid_input, "the container authorization token has a line break",
                   "Correct AWS_CONTAINER_AUTHORIZATION_TOKEN or its file.");
  }
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  for (int number = 1;; ++number) {
    HttpRequest sent = request;
    const Result<HttpResponse> answer = co_await parts_.transport.send(std::move(sent));
    if (answer && answer->status == 200) {
      Result<wire::AwsCredentials> keys =
          read_keys(answer->body, "the container's endpoint", "Token");
      if (!keys) co_return tl::unexpected<Error>(keys.error());
      origin_ = "container";
      co_return std::optional<wire::AwsCredentials>(std::move(*keys));
    }
    const bool is_passing = !answer || answer->status >= 500 || answer->status == 429;
    if (!is_passing || number == kContainerAttempts) {
      const std::string why =
          answer ? fmt::format("HTTP {}", answer->status) : answer.error().message;
      co_return fail(
          is_passing ? ErrorKind::unavailable : ErrorKind::unauthenticated,
          fmt::format("the container's endpoint {} gave no credentials: {}", url->authority(), why),
          "Check the task's role, and AWS_CONTAINER_AUTHORIZATION_TOKEN.");
    }
    co_await parts_.clock.sleep(1s);
  }
}

tl::unexpected<Error> CredentialsChain::none_found(const std::string& why) const {
  return fail(
      ErrorKind::unauthenticated,
      fmt::format(
          "no AWS credentials: none in the environment, none in profile {}, and no instance "
          "role ({})",
          profile_.name, why),
      "Export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, set AWS_PROFILE, or run on an instance "
      "with a role.");
}

Task<CredentialsChain::Found> CredentialsChain::from_instance() {
  if (metadata_.is_disabled()) co_return none_found("AWS_EC2_METADATA_DISABLED is true");
  const std::string base = "/latest/meta-data/iam/security-credentials/";
  Task<Result<std::string>> naming = metadata_.get(base);
  const Result<std::string> role = co_await std::move(naming);
  if (!role) co_return none_found(role.error().message);
  Task<Result<std::string>> reading = metadata_.get(base + first_line(*role));
  const Result<std::string> text = co_await std::move(reading);
  if (!text) co_return within("instance metadata", "", text.error());
  const Result<Node> document = wire::parse_json(*text);
  if (!document) co_return within("instance metadata", "", document.error());
  if (document->text_at({"Code"}) != "Success") {
    co_return fail(ErrorKind::unauthenticated,
                   fmt::format("instance metadata has no credentials for role {}: {}",
                               first_line(*role), document->text_at({"Message"})),
                   "Check that the role still exists and trusts ec2.amazonaws.com.");
  }
  Result<wire::AwsCredentials> keys = read_keys(*text, "instance metadata", "Token");
  if (!keys) co_return tl::unexpected<Error>(keys.error());
  // In an outage of its own the service gives old keys on: they are good for longer than they say.
  if (keys->expiration && *keys->expiration - parts_.clock.wall() < kRefreshSoon) {
    const auto more = std::chrono::seconds{120 + static_cast<long>(parts_.random.next() % 481)};
    keys->expiration = parts_.clock.wall() + kRefreshSoon + more;
    parts_.log.warn("credentials_extended", {{"origin", "instance metadata"}});
  }
  origin_ = "instance role " + first_line(*role);
  co_return std::optional<wire::AwsCredentials>(std::move(*keys));
}

}  // namespace muster::aws
