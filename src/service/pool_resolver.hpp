#pragma once

#include <string>
#include <vector>

#include "base/secret.hpp"
#include "fleet/config.hpp"
#include "fleet/market.hpp"
#include "ports/cloud.hpp"

namespace muster {

/// What a pool's names stand for in the account.
struct ResolvedPool {
  ImageView image;
  std::vector<SubnetView> subnets;
  std::vector<std::string> groups;
};

/// Looks up what a pool names. Errors: not_found and invalid_input with the key to correct, and
/// those of the cloud.
class PoolResolver {
 public:
  PoolResolver(CloudCatalog& catalog, std::string region)
      : catalog_(catalog), region_(std::move(region)) {}

  Task<Result<ResolvedPool>> resolve(Pool pool);

  /// The pool's offerings with vCPUs and prices. `prices` is what on-demand costs by instance type.
  Task<Result<PoolOffers>> offers(Pool pool, ResolvedPool resolved,
                                  std::map<std::string, std::string> prices);

 private:
  Task<Result<ImageView>> image(const Pool* pool);
  /// None when they are the launch template's.
  Task<Result<std::vector<SubnetView>>> subnets(const Pool* pool);
  Task<Result<std::vector<std::string>>> groups(const Pool* pool, std::string vpc);

  CloudCatalog& catalog_;
  std::string region_;
};

/// The launch of a pool's machines in one offering, with the user data that admits the key. What
/// the machines are for (count, tags) is for the caller to add.
[[nodiscard]] LaunchSpec launch_spec(const Pool& pool, const ResolvedPool& resolved,
                                     const Offering& offering, const std::string& public_key);

/// A digest of what the machines of a pool are made of: another one, other machines.
[[nodiscard]] std::string settings_digest(const Pool& pool, const ResolvedPool& resolved);

/// Adds what to correct when EC2 refuses something that the pool says, as far as it can be told.
[[nodiscard]] Error of_pool(const char* step, const Pool& pool, Error error);

}  // namespace muster
