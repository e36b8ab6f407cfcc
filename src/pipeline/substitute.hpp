#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace muster::pipeline {

using Variables = std::map<std::string, std::string>;

/// Drone's `${…}` expansion of a whole file, before it is parsed: unknown names are empty, `$$`
/// stands for `$`, a backslash before `\` or `/` is dropped. A value with a newline is inserted as
/// a quoted string. Errors: invalid_input, with Drone's texts and the line.
[[nodiscard]] Result<std::string> substitute(std::string_view text, const Variables& variables);

/// Go's `%q`: in double quotes with escapes.
[[nodiscard]] std::string go_quote(std::string_view text);

}  // namespace muster::pipeline
