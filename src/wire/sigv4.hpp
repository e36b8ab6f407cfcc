#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "wire/encoding.hpp"

namespace muster::wire {

/// Long-lived or temporary keys of an AWS principal.
struct AwsCredentials {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;                   ///< Empty for long-lived keys.
  std::optional<TimePoint> expiration{};  ///< Absent: never.
};

using Headers = std::vector<std::pair<std::string, std::string>>;

/// What Signature Version 4 signs. The header list is what is signed: `host` and the rest.
struct SigV4Request {
  std::string method;
  std::string path = "/";  ///< As sent, percent-encoded.
  Parameters query;        ///< Decoded.
  Headers headers;
  std::string payload_hash;  ///< Lower-case hex of SHA-256, or `UNSIGNED-PAYLOAD`.
};

struct SigV4Scope {
  std::string date;  ///< `20260102`
  std::string region;
  std::string service;  ///< `s3` switches path normalisation and double encoding off.

  [[nodiscard]] std::string text() const;
};

/// The six-part canonical request (AWS General Reference, "Create a canonical request").
[[nodiscard]] std::string canonical_request(const SigV4Request& request, const SigV4Scope& scope,
                                            bool normalises_path = true);

/// The signed headers' names, lower case, sorted, joined by `;`.
[[nodiscard]] std::string signed_header_names(const Headers& headers);

/// Hex signature over the request at `amz_date` (`20260102T030405Z`).
[[nodiscard]] std::string sigv4_signature(std::string_view canonical, std::string_view amz_date,
                                          const SigV4Scope& scope, const Secret& secret);

/// The 32-byte key of a day, region and service.
[[nodiscard]] std::string sigv4_signing_key(const SigV4Scope& scope, const Secret& secret);

/// Adds `x-amz-date`, the session token and `authorization` to `request.headers`, which must
/// hold `host` and whatever else is to be signed.
void sign(SigV4Request& request, const AwsCredentials& credentials, std::string_view region,
          std::string_view service, TimePoint now);

/// The query parameters that sign a URL, `X-Amz-Signature` last (S3: `UNSIGNED-PAYLOAD`).
[[nodiscard]] Parameters presign(SigV4Request request, const AwsCredentials& credentials,
                                 std::string_view region, std::string_view service, TimePoint now,
                                 std::chrono::seconds expires);

/// An `Authorization` header taken apart.
struct SigV4Authorization {
  std::string access_key_id;
  SigV4Scope scope;
  std::vector<std::string> signed_headers;
  std::string signature;
};

/// Errors: invalid_input.
[[nodiscard]] Result<SigV4Authorization> parse_authorization(std::string_view header);

}  // namespace muster::wire
