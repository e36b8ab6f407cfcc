#include "ec2sim/authenticator.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "wire/digest.hpp"

namespace ec2sim {

using ec2model::refuse;
namespace wire = muster::wire;

void Authenticator::add(const wire::AwsCredentials& credentials, Caller known) {
  keys_[credentials.access_key_id] = {credentials, std::move(known)};
}

void Authenticator::forget_temporary() {
  std::erase_if(keys_,
                [](const auto& one) { return one.second.credentials.expiration.has_value(); });
}

ec2model::Answer<Caller> Authenticator::check(const muster::HttpServerRequest& request,
                                              const std::string& path,
                                              const wire::Parameters& query,
                                              muster::TimePoint now) const {
  const std::string header = muster::header_value(request.headers, "authorization");
  if (header.empty()) {
    return refuse("MissingAuthenticationToken", "Request is missing Authentication Token", 403);
  }
  const auto mismatch = [] {
    return refuse("SignatureDoesNotMatch",
                  "The request signature we calculated does not match the signature you provided. "
                  "Check your AWS Secret Access Key and signing method. Consult the service "
                  "documentation for details.",
                  403);
  };
  const auto authorization = wire::parse_authorization(header);
  if (!authorization) return refuse("AuthFailure", authorization.error().message, 401);
  const auto key = keys_.find(authorization->access_key_id);
  if (key == keys_.end()) {
    return refuse("AuthFailure", "AWS was not able to validate the provided access credentials",
                  401);
  }
  const std::string amz_date = muster::header_value(request.headers, "x-amz-date");
  const auto date = muster::parse_iso8601(amz_date);
  if (!date || authorization->scope.date != amz_date.substr(0, 8)) return mismatch();
  const auto& signed_headers = authorization->signed_headers;
  const auto is_signed = [&](std::string_view name) {
    return std::find(signed_headers.begin(), signed_headers.end(), name) != signed_headers.end();
  };
  if (!is_signed("host")) return mismatch();
  wire::SigV4Request rebuilt;
  rebuilt.method = request.method;
  rebuilt.path = path;
  rebuilt.query = query;
  rebuilt.payload_hash = wire::hex_encode(wire::sha256(request.body));
  for (const std::string& name : signed_headers) {
    for (const auto& [given, value] : request.headers) {
      if (muster::header_value({{given, "x"}}, name) == "x")
        rebuilt.headers.emplace_back(name, value);
    }
  }
  const std::string expected =
      wire::sigv4_signature(wire::canonical_request(rebuilt, authorization->scope), amz_date,
                            authorization->scope, key->second.credentials.secret_access_key);
  if (!wire::equals_in_constant_time(expected, authorization->signature)) return mismatch();
  const muster::Duration age = now > *date ? now - *date : *date - now;
  if (age > std::chrono::minutes{15}) {
    return refuse("RequestExpired", "Request has expired.");
  }
  const wire::AwsCredentials& credentials = key->second.credentials;
  const std::string& token = credentials.session_token.reveal();
  // A token beside keys that have none is as wrong as another's.
  if (muster::header_value(request.headers, "x-amz-security-token") != token) {
    return refuse("AuthFailure", "AWS was not able to validate the provided access credentials",
                  401);
  }
  if (credentials.expiration && *credentials.expiration < now) {
    return refuse("RequestExpired", "The security token included in the request is expired");
  }
  Caller caller = key->second.known;
  caller.region = authorization->scope.region;
  caller.service = authorization->scope.service;
  return caller;
}

}  // namespace ec2sim
