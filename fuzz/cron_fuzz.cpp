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
  const auto period = muster::CronPeriod::parse(schedule.when);
  if (!period) return 0;
  for (long minute = 0; minute < 40'000; minute += 1999) {
    const muster::TimePoint at{std::chrono::minutes{28'000'000 + minute}};
    if (schedule.holds(at, *period) && !muster::is_time_zone(schedule.timezone)) std::abort();
  }
  return 0;
}
