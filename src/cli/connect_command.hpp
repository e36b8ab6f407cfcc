#pragma once

#include <string>
#include <vector>

namespace muster::cli {

/// Opens a shell on the machine of a job or an instance, or runs a command there, with the key of
/// that machine and its pinned host keys. Gives ssh's exit code; 4 where it has no connection.
[[nodiscard]] int run_connect(const std::string& id, const std::vector<std::string>& command);

}  // namespace muster::cli
