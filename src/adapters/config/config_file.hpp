#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/node_reader.hpp"
#include "base/result.hpp"
#include "fleet/config.hpp"

namespace muster::config {

/// Reads the text of `muster.yml`; every problem is a finding. `folder` is where relative files
/// (`user_data: file:…`) are looked for.
[[nodiscard]] Config read_config(std::string_view text, const std::string& file,
                                 std::vector<Finding>& findings);

}  // namespace muster::config
