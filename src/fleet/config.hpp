#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fleet/pool.hpp"

namespace muster {

/// What the whole cluster keeps to. 0 and empty: no limit.
struct Limits {
  int instances = 0;
  int vcpus = 0;
  int launches_per_minute = 0;
  std::string usd_per_day;
  int repository_jobs = 0;                    ///< Of one repository, running at a time.
  std::map<std::string, std::string> labels;  ///< Jobs with that label, running at a time.
};

/// The API beyond the local socket.
struct ApiPolicy {
  std::string listen;  ///< `ADDRESS:PORT`; empty: the local socket alone.
  bool plain_http = false;
};

/// An address and a port; nothing for any other text.
[[nodiscard]] std::optional<std::pair<std::string, int>> parse_endpoint(const std::string& text);

/// Whose jobs share the machines fairly with those of others.
struct Tenant {
  int weight = 1;
  std::vector<std::string> repositories;  ///< `owner/name`, or `owner/*`.
};

/// What `muster.yml` says. Immutable once loaded.
struct Config {
  std::string file;                 ///< Where it was read; empty without one.
  std::string cluster = "default";  ///< All that one installation owns carries this tag.
  std::string region;               ///< Empty: the AWS default.
  std::string aws_profile;          ///< A shared profile; empty: the usual chain's.
  std::map<std::string, Pool> pools;
  Limits limits;
  std::map<std::string, Tenant> tenants;
  ApiPolicy api;
  std::map<std::string, std::string> prices;  ///< USD an hour on demand, by instance type.
};

/// A decimal number that is not negative; nothing for any other text.
[[nodiscard]] std::optional<double> parse_decimal(const std::string& text);

/// The tenant that a repository belongs to; without an entry its owner is one.
[[nodiscard]] std::string tenant_of(const Config& config, const std::string& repository);

}  // namespace muster
