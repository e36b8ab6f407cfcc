#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fleet/pool.hpp"

namespace muster {

/// Sorted, each once, in lower case: labels are compared without case, as GitHub and GitLab do.
[[nodiscard]] std::vector<std::string> normal_labels(std::vector<std::string> labels);

/// Whether the pool's machines are what the job asks for. `size:NAME` is one of the pool's sizes;
/// `pool:NAME` is the pool itself, which then need not match exactly. `wanted` is normal.
[[nodiscard]] bool matches_labels(const Pool& pool, const std::vector<std::string>& wanted);

/// Whether the pool has this one, the other labels left aside.
[[nodiscard]] bool has_label(const Pool& pool, const std::string& label);

/// `pool:NAME`, and the pool that labels name; nothing if they name none.
[[nodiscard]] std::string pool_label(const std::string& name);
[[nodiscard]] std::optional<std::string> named_pool(const std::vector<std::string>& labels);

/// Without `pool:` and `size:`, which no pool is given.
[[nodiscard]] std::vector<std::string> plain_labels(std::vector<std::string> labels);

/// The instance type that a `size:NAME` label asks for; nothing without one.
[[nodiscard]] std::optional<std::string> type_of_size(const Pool& pool,
                                                      const std::vector<std::string>& wanted);

/// `linux,x64`
[[nodiscard]] std::string join_labels(const std::vector<std::string>& labels);

}  // namespace muster
