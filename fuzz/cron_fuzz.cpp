#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "fleet/schedule.hpp"

/// A zone, a line end, a pattern: whatever they are, nothing holds at no time for a bad one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = text.find('\n');
  muster::Schedule schedule;
  schedule.timezone = end == std::string::npos ? "UTC" : text.substr(0, end);
  schedule.when = end == std::string::npos ? text : text.substr(end + 1);
  const bool is_pattern = muster::CronPeriod::parse(schedule.when).has_value();
  for (long minute = 0; minute < 40'000; minute += 1999) {
    const bool holds = schedule.holds(muster::TimePoint{std::chrono::minutes{28'000'000 + minute}});
    if (holds && !is_pattern) std::abort();
  }
  return 0;
}
