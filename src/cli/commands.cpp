#include "cli/commands.hpp"

namespace muster::cli {

LogLevel CommonFlags::level() const {
  if (log_level == "debug") return LogLevel::debug;
  if (log_level == "info") return LogLevel::info;
  if (log_level == "error") return LogLevel::error;
  return LogLevel::warn;
}

}  // namespace muster::cli
