#pragma once

#include <string>

namespace muster::cli {

struct LogsQuestion {
  std::string job;
  std::string step;      ///< Empty: all.
  std::string search;    ///< Only lines that hold this text.
  bool follows = false;  ///< Until the job has ended.
  bool as_json = false;  ///< A muster.log_line/1 for each line.
};

/// Shows what the steps of a job have printed, in the order in which they began; of one step alone,
/// asked for as it is: its bytes. Gives the exit code.
int show_logs(const LogsQuestion& question);

}  // namespace muster::cli
