#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "service/run_observer.hpp"

namespace muster::cli {

/// A run's folder below the state folder: a lock, the repository's bundle, and the log of each
/// step. Folders of runs older than a week go when a new one is made.
class RunFolder {
 public:
  /// Makes and locks it. Errors: conflict (another process works on the run), unavailable.
  static Result<std::unique_ptr<RunFolder>> open(const std::string& run);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string bundle_path() const { return path_ + "/bundle"; }
  void remove_bundle() const;

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;
  int lock_ = -1;
};

/// Writes what steps print into the run's folder before it is shown, and shows only what no
/// earlier part of the run has written there: each byte once, whoever was killed in between.
class StepLogs : public RunObserver {
 public:
  /// A log keeps this much of a step; what follows is shown, and not kept.
  static constexpr std::size_t kBytesMax = std::size_t{64} << 20;

  /// The name of a step's log, below the folder's `steps`.
  [[nodiscard]] static std::string file_of(const std::string& step);

  StepLogs(RunObserver& next, std::string folder);
  ~StepLogs() override;

  void phase_done(std::string_view name, std::string_view text, Duration took) override;
  void note(std::string_view text) override;
  void step_started(const std::string& step) override;
  void step_output(const std::string& step, std::string_view bytes) override;
  void step_finished(const std::string& step, const StepResult& result) override;

 private:
  struct Log;
  Log& log_of(const std::string& step);

  RunObserver& next_;
  std::string folder_;
  std::map<std::string, std::unique_ptr<Log>> logs_;
};

}  // namespace muster::cli
