#pragma once

#include <string>

#include "ports/clock.hpp"
#include "ports/http.hpp"

namespace muster::aws {

/// How far this machine's clock is from a service's (aws.md 5.4). Only what is four minutes off
/// counts: answers take their time.
class ClockSkew {
 public:
  /// Learns from the `Date` of an answer; whether what was known was far wrong.
  bool learn(const HttpResponse& response, TimePoint now);

  /// To be added to this machine's time.
  [[nodiscard]] Duration offset() const { return offset_; }

  /// Whether an error of that code may come from a wrong clock.
  [[nodiscard]] static bool may_cause(const std::string& code);

 private:
  Duration offset_{0};
};

}  // namespace muster::aws
