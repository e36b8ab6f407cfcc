#pragma once

#include <string_view>

namespace muster::pipeline {

/// Path globs of Drone's conditions: `*` any run without `/`, `**` as a whole element any depth,
/// `?` one character, `[a-c]`, `[^a]`, `{a,b}`, `\` escapes. A broken pattern matches nothing.
[[nodiscard]] bool matches_glob(std::string_view pattern, std::string_view text);

}  // namespace muster::pipeline
