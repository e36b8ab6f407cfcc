#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/strong.hpp"

namespace muster {

/// A step of a job, as its log has it.
struct StepLog {
  std::string step;
  std::string outcome;  ///< `running`, `passed`, `failed`, …
  int exit_code = 0;
  std::size_t bytes = 0;  ///< That are kept.
};

/// What jobs have printed. Errors: not_found (no such job or step, or its logs have gone),
/// unavailable.
class JobLogReader {
 public:
  virtual ~JobLogReader() = default;
  /// In the order in which they began.
  [[nodiscard]] virtual Result<std::vector<StepLog>> steps_of(const JobId& job) const = 0;
  /// At most so many bytes from there on; fewer or none at its present end.
  [[nodiscard]] virtual Result<std::string> read(const JobId& job, const std::string& step,
                                                 std::size_t offset,
                                                 std::size_t bytes_max) const = 0;
};

}  // namespace muster
