#pragma once

#include <map>
#include <string>

#include "fleet/pool.hpp"

namespace muster {

/// What `muster.yml` says. Immutable once loaded.
struct Config {
  std::string file;                 ///< Where it was read; empty without one.
  std::string cluster = "default";  ///< All that one installation owns carries this tag.
  std::string region;               ///< Empty: the AWS default.
  std::string aws_profile;          ///< A shared profile; empty: the usual chain's.
  std::map<std::string, Pool> pools;
};

}  // namespace muster
