#include "fleet/job.hpp"

namespace muster {

std::string to_string(JobOutcome outcome) {
  switch (outcome) {
    case JobOutcome::none: return "none";
    case JobOutcome::passed: return "passed";
    case JobOutcome::failed: return "failed";
    case JobOutcome::cancelled: return "cancelled";
    case JobOutcome::timed_out: return "timed out";
    case JobOutcome::lost: return "lost";
  }
  return {};
}

}  // namespace muster
