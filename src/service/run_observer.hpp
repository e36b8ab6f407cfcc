#pragma once

#include <string>
#include <string_view>

#include "base/time.hpp"

namespace muster {

/// How a step ended.
enum class StepOutcome {
  passed,
  failed,
  ignored,
  skipped,
  killed,
  errored,
  detached,     ///< Goes on in the background.
  not_started,  ///< Was detached, and could not be started after all.
};

/// `not-started` and the like.
[[nodiscard]] std::string_view to_string(StepOutcome outcome);

struct StepResult {
  StepOutcome outcome = StepOutcome::passed;
  int exit_code = 0;
  std::string error;  ///< Why it could not be run at all.
  Duration took{};
};

/// Is told what happens during a run, as it happens.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  /// A part of the way to the machine is done: `launch`, `boot`.
  virtual void phase_done(std::string_view name, std::string_view text, Duration took) = 0;
  virtual void note(std::string_view text) = 0;
  virtual void step_started(const std::string& step) = 0;
  virtual void step_output(const std::string& step, std::string_view bytes) = 0;
  virtual void step_finished(const std::string& step, const StepResult& result) = 0;
};

}  // namespace muster
