#include "service/run_observer.hpp"

namespace muster {

std::string_view to_string(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::passed: return "passed";
    case StepOutcome::failed: return "failed";
    case StepOutcome::ignored: return "ignored";
    case StepOutcome::skipped: return "skipped";
    case StepOutcome::killed: return "killed";
    case StepOutcome::errored: return "errored";
    case StepOutcome::detached: return "detached";
    case StepOutcome::not_started: return "not-started";
  }
  return "";
}

}  // namespace muster
