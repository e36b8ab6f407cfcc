#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace muster::system {

struct ProcessRequest {
  std::vector<std::string> arguments;  ///< The program first, found on PATH.
  std::vector<std::pair<std::string, std::string>> environment;  ///< Beside the inherited one.
  std::string folder;
};

struct ProcessResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// Runs a program on this machine to its end; it blocks. Errors: not_found (no such program),
/// unavailable.
[[nodiscard]] Result<ProcessResult> run_process(const ProcessRequest& request);

}  // namespace muster::system
