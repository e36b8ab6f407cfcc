#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// The known name that a typo most likely means, or nothing if none is close.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view typo,
                                                      const std::vector<std::string>& known);

}  // namespace muster
