#pragma once

#include <optional>
#include <string>

#include "adapters/aws/retry.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "ports/random.hpp"
#include "wire/encoding.hpp"
#include "wire/sigv4.hpp"

namespace muster::aws {

struct StsOptions {
  std::string endpoint;  ///< `https://sts.eu-central-1.amazonaws.com`
  std::string region;    ///< Signed for.
};

/// Temporary keys from STS (API version 2011-06-15). `signer` is absent for the one call that
/// nobody signs, AssumeRoleWithWebIdentity. Errors: forbidden, unauthenticated (with STS's code),
/// invalid_input, unavailable, timeout, corrupt.
[[nodiscard]] Task<Result<wire::AwsCredentials>> assume_role(
    HttpTransport& transport, Clock& clock, Random& random, StsOptions options, std::string action,
    wire::Parameters parameters, std::optional<wire::AwsCredentials> signer);

}  // namespace muster::aws
