#pragma once

#include "base/key_table.hpp"
#include "fleet/config.hpp"

namespace muster {

/// The keys of a pool, in the order in which they are explained.
[[nodiscard]] const KeyTable<Pool>& pool_keys();

/// The keys of `muster.yml`.
[[nodiscard]] const KeyTable<Config>& config_keys();

}  // namespace muster
