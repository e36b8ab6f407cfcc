#pragma once

#include <string>
#include <string_view>

namespace muster {

/// `'text'` for a POSIX shell.
[[nodiscard]] std::string shell_quote(std::string_view text);

}  // namespace muster
