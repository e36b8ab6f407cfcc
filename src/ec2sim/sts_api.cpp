#include "ec2sim/sts_api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/document.hpp"
#include "ec2sim/parameters.hpp"
#include "wire/json.hpp"
#include "wire/xml.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

bool is_session_name(const std::string& name) {
  return name.size() >= 2 && name.size() <= 64 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-") ==
             std::string::npos;
}

/// Who a JSON web token speaks for, if it has the form of one and has not expired. Signatures are
/// not checked: the simulator knows no identity provider.
Answer<std::string> subject_of(const std::string& token, muster::TimePoint now) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string::npos ? first : token.find('.', first + 1);
  const auto malformed = [] {
    return refuse("InvalidIdentityToken",
                  "The web identity token that was passed could not be validated by AWS. Get a new "
                  "identity token from the identity provider and then retry the request.");
  };
  if (second == std::string::npos) return malformed();
  std::string text = token.substr(first + 1, second - first - 1);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  while (text.size() % 4 != 0) text += '=';
  const auto bytes = muster::wire::base64_decode(text);
  const auto claims =
      bytes ? muster::wire::parse_json(*bytes) : muster::fail(muster::ErrorKind::corrupt, "");
  if (!claims) return malformed();
  const auto expires = muster::parse_integer(claims->text_at({"exp"}));
  if (!expires) return malformed();
  if (muster::TimePoint{std::chrono::seconds{*expires}} < now) {
    return refuse("ExpiredTokenException", "Token expired");
  }
  return claims->text_at({"sub"});
}

}  // namespace

muster::wire::AwsCredentials StsApi::open_session(const std::string& account,
                                                  const std::string& role,
                                                  const std::string& session,
                                                  muster::TimePoint expires_at) {
  std::string id = "ASIA" + muster::random_hex(random_, 16);
  std::transform(id.begin(), id.end(), id.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  const muster::wire::AwsCredentials made{id, muster::Secret(muster::random_hex(random_, 40)),
                                          muster::Secret(muster::random_hex(random_, 200)),
                                          expires_at};
  Caller caller;
  caller.account = account;
  caller.arn = fmt::format("arn:aws:sts::{}:assumed-role/{}/{}", account, role, session);
  caller.user_id = fmt::format("AROA{:0>16}:{}", role.substr(0, 16), session);
  authenticator_.add(made, caller);
  return made;
}

Answer<std::string> StsApi::assume(const ServiceCall& call, bool is_web_identity) {
  const Answer<Parameters> given =
      is_web_identity
          ? Parameters::check(call.parameters,
                              {"RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds",
                               "Policy", "ProviderId"},
                              {"RoleArn", "RoleSessionName", "WebIdentityToken"})
          : Parameters::check(call.parameters,
                              {"RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId",
                               "Policy", "SourceIdentity", "Tags.member.N.Key",
                               "Tags.member.N.Value", "TransitiveTagKeys.member.N"},
                              {"RoleArn", "RoleSessionName"});
  if (!given) return again(given);
  const auto seconds = given->integer("DurationSeconds");
  if (!seconds) return again(seconds);
  const std::string session = given->text("RoleSessionName");
  if (!is_session_name(session)) {
    return refuse(
        "ValidationError",
        fmt::format("1 validation error detected: Value '{}' at 'roleSessionName' failed to "
                    "satisfy constraint: Member must satisfy regular expression pattern: "
                    "[\\w+=,.@-]*",
                    session));
  }
  std::string subject;
  if (is_web_identity) {
    const Answer<std::string> read = subject_of(given->text("WebIdentityToken"), call.now);
    if (!read) return again(read);
    subject = *read;
  }
  const std::string arn = given->text("RoleArn");
  const Account* owner = nullptr;
  const Role* found = nullptr;
  for (const Account& account : universe_.accounts()) {
    for (const Role& role : account.roles) {
      if (account.role_arn(role) != arn) continue;
      owner = &account;
      found = &role;
    }
  }
  const bool is_trusted = found != nullptr && (found->external_id.empty() ||
                                               found->external_id == given->text("ExternalId"));
  if (!is_trusted) {
    return refuse(
        "AccessDenied",
        is_web_identity
            ? "Not authorized to perform sts:AssumeRoleWithWebIdentity"
            : fmt::format("User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
                          call.caller.arn, arn),
        403);
  }
  const int duration = seconds->value_or(3600);
  if (duration < 900 || duration > 43200) {
    return refuse(
        "ValidationError",
        fmt::format("1 validation error detected: Value '{}' at 'durationSeconds' failed to "
                    "satisfy constraint: Member must have value between 900 and 43200",
                    duration));
  }
  const bool is_chained = call.caller.arn.find(":assumed-role/") != std::string::npos;
  const muster::Duration longest = is_chained ? std::chrono::hours{1} : found->session_max;
  if (std::chrono::seconds{duration} > longest) {
    return refuse("ValidationError",
                  "The requested DurationSeconds exceeds the MaxSessionDuration set for this role"
                  " or the 1 hour session limit for roles assumed by role chaining.");
  }
  const muster::TimePoint expires_at = call.now + std::chrono::seconds{duration};
  const auto keys = open_session(owner->id, found->name, session, expires_at);
  XmlWriter out;
  out.open(is_web_identity ? "AssumeRoleWithWebIdentityResult" : "AssumeRoleResult");
  if (is_web_identity)
    out.text("SubjectFromWebIdentityToken", subject).text("Audience", "sts.amazonaws.com");
  out.open("AssumedRoleUser")
      .text("AssumedRoleId", fmt::format("AROA{:0>16}:{}", found->name.substr(0, 16), session));
  out.text("Arn",
           fmt::format("arn:aws:sts::{}:assumed-role/{}/{}", owner->id, found->name, session))
      .close();
  out.open("Credentials").text("AccessKeyId", keys.access_key_id);
  out.text("SecretAccessKey", keys.secret_access_key.reveal());
  out.text("SessionToken", keys.session_token.reveal());
  out.text("Expiration", muster::format_iso8601(expires_at)).close().close();
  return out.take();
}

ServiceAnswer StsApi::answer(const ServiceCall& call) {
  std::string action;
  for (const auto& [name, value] : call.parameters) {
    if (name == "Action") action = value;
  }
  if (action == "AssumeRole") return {action, assume(call, false)};
  if (action == "AssumeRoleWithWebIdentity") return {action, assume(call, true)};
  if (action == "GetCallerIdentity") {
    XmlWriter out;
    out.open("GetCallerIdentityResult").text("Arn", call.caller.arn);
    out.text("UserId", call.caller.user_id).text("Account", call.caller.account).close();
    return {action, out.take()};
  }
  if (action == "DecodeAuthorizationMessage") {
    return {action, refuse("InvalidAuthorizationMessageException",
                           "The message could not be decoded: the simulator encodes none.")};
  }
  return {"(unknown)",
          refuse("InvalidAction",
                 fmt::format("Could not find operation {} for version 2011-06-15", action))};
}

muster::HttpServerResponse StsApi::success(const std::string& action, const std::string& body,
                                           const std::string& request_id) const {
  XmlWriter out;
  out.open(action + "Response", R"(xmlns="https://sts.amazonaws.com/doc/2011-06-15/")");
  out.raw(body).open("ResponseMetadata").text("RequestId", request_id).close().close();
  return xml_response(200, request_id, out.take());
}

muster::HttpServerResponse StsApi::refusal(const Ec2Error& error,
                                           const std::string& request_id) const {
  XmlWriter out;
  out.open("ErrorResponse", R"(xmlns="https://sts.amazonaws.com/doc/2011-06-15/")").open("Error");
  out.text("Type", error.status < 500 ? "Sender" : "Receiver").text("Code", error.code);
  out.text("Message", error.message).close().text("RequestId", request_id).close();
  return xml_response(error.status, request_id, out.take());
}

Ec2Error StsApi::translate(Ec2Error error) const {
  if (error.code == "AuthFailure") {
    return {"InvalidClientTokenId", 403, "The security token included in the request is invalid."};
  }
  if (error.code == "RequestExpired") {
    const bool is_skew = error.message.starts_with("Request");
    return {is_skew ? "SignatureDoesNotMatch" : "ExpiredToken", 403,
            is_skew ? "Signature expired" : error.message};
  }
  return error;
}

Ec2Error StsApi::throttled() const { return {"Throttling", 400, "Rate exceeded"}; }

Ec2Error StsApi::internal_failure() const {
  return {"InternalFailure", 500, "The request processing has failed."};
}

}  // namespace ec2sim
