#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"

namespace muster {

/// A right to use the API over TCP. Only a hash of the token itself is kept.
struct ApiToken {
  std::string name;
  std::string role;  ///< `viewer`, `operator` or `admin`
  std::string hash;  ///< SHA-256 of the token, in hex.
  std::string created_by;
  TimePoint created_at{};
  TimePoint expires_at{};  ///< The epoch: never.
};

/// Where tokens are kept. Errors: unavailable, corrupt; those named.
class TokenStore {
 public:
  virtual ~TokenStore() = default;
  /// Errors: conflict (there is one of that name).
  virtual Task<Status> add_token(ApiToken token) = 0;
  virtual Task<Result<std::vector<ApiToken>>> list_tokens() = 0;
  /// Errors: not_found.
  virtual Task<Status> remove_token(std::string name) = 0;
};

}  // namespace muster
