#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace muster::wire {

/// Section name to key (lower case) to value. A nested block's keys stand as `outer.inner`.
using IniFile = std::map<std::string, std::map<std::string, std::string>>;

/// Reads AWS's shared files (AWS SDKs and Tools Reference Guide, "Shared config and credentials
/// files"): `[section]`, `key = value`, `#` and `;` comments, one level of indented blocks.
/// Errors: invalid_input, with file and line.
[[nodiscard]] Result<IniFile> parse_ini(std::string_view text, std::string_view file);

}  // namespace muster::wire
