#pragma once

namespace muster::cli {

/// Shows pools, jobs or instances, and events, again every second, and obeys keys; once where
/// standard output is no terminal, or as JSON (muster.top/1). Gives the exit code.
[[nodiscard]] int show_top(bool as_json);

}  // namespace muster::cli
