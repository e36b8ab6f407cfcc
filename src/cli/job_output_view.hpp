#pragma once

#include <string>

namespace muster::cli {

/// Shows what the steps of a job have printed, in the order in which they began; of one step
/// alone: its bytes. With `follows` until the job has ended. Gives the exit code.
int show_logs(const std::string& job, const std::string& step, bool follows);

}  // namespace muster::cli
