#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "service/job_logs.hpp"
#include "service/job_output.hpp"

namespace muster::cli {

/// A job's folder below the state folder: the repository that was submitted with it, and the log of
/// each step. Folders go a week after their job was last written to.
class JobFolder {
 public:
  /// Makes it. Errors: unavailable.
  static Result<std::string> make(const std::string& job);
  static Status write_bundle(const std::string& job, const std::string& bytes);
  /// Empty where there is none. Errors: unavailable.
  static Result<std::string> read_bundle(const std::string& job);
  static void remove_old();
};

/// Keeps what jobs print in their folders, and reads it again.
class JobLogs : public JobOutput, public JobLogReader {
 public:
  std::unique_ptr<RunObserver> open(const Job& job, const LeaseId& lease) override;
  [[nodiscard]] Result<std::vector<StepLog>> steps_of(const JobId& job) const override;
  [[nodiscard]] Result<std::string> read(const JobId& job, const std::string& step,
                                         std::size_t offset, std::size_t bytes_max) const override;
};

}  // namespace muster::cli
