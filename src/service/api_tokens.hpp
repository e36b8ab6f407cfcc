#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"
#include "ports/token_store.hpp"

namespace muster {

/// What a caller may do; each may do all that those before it may.
enum class ApiRole {
  none,
  viewer,     ///< Look at everything.
  operator_,  ///< Cancel, pause, drain, terminate, reload.
  admin,      ///< Make and revoke tokens.
};

/// `viewer`, `operator` or `admin`
[[nodiscard]] std::string to_string(ApiRole role);
[[nodiscard]] std::optional<ApiRole> parse_role(std::string_view text);

/// Who asks, as the server has found out.
struct ApiCaller {
  std::string name;
  ApiRole role = ApiRole::none;
};

/// Those who may use the API over TCP. A token is 256 random bits, shown once and kept as a hash;
/// whoever guesses is slowed down by address.
class ApiTokens {
 public:
  ApiTokens(TokenStore& store, Clock& clock, Random& random)
      : store_(store), clock_(clock), random_(random) {}

  /// Reads what is kept. Errors: those of the store.
  Task<Status> load();

  /// Makes one and gives it, this once. Errors: invalid_input (the name), conflict.
  Task<Result<std::string>> create(std::string name, ApiRole role, Duration life, std::string by);
  /// It is worth nothing from now on. Errors: not_found.
  Task<Status> revoke(std::string name);
  /// Sorted by name.
  [[nodiscard]] std::vector<ApiToken> list() const;

  /// Whose token the header `Authorization` brings. Errors: unauthenticated, throttled (an unknown
  /// one, after ten of them from that address within a minute).
  [[nodiscard]] Result<ApiCaller> find(std::string_view authorization,
                                       const std::string& peer_address);

 private:
  struct Failures {
    int count = 0;
    Duration since{};
  };

  TokenStore& store_;
  Clock& clock_;
  Random& random_;
  std::map<std::string, ApiToken> by_hash_;
  std::map<std::string, Failures> failures_;
};

}  // namespace muster
