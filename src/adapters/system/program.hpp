#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"

namespace muster::system {

/// Runs a program without a shell, without blocking; its standard output, at most 1 MiB. It is
/// killed at the limit and when the caller is cancelled. Errors: not_found (no such program),
/// timeout, unavailable (it failed; the message has its standard error).
[[nodiscard]] Task<Result<std::string>> run_program(Executor executor, Clock& clock,
                                                    std::vector<std::string> arguments,
                                                    Duration limit);

}  // namespace muster::system
