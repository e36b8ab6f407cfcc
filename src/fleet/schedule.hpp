#pragma once

#include <array>
#include <bitset>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "base/time_zone.hpp"

namespace muster {

/// When something holds: the five fields of cron, matched against the minute that the wall clock
/// shows. `* 8-17 * * mon-fri` is from 8:00 to 17:59 on weekdays. As with cron, a day matches by
/// its date or by its weekday when both are narrowed.
class CronPeriod {
 public:
  /// Nothing for a text that is no such pattern.
  static std::optional<CronPeriod> parse(const std::string& text);

  [[nodiscard]] bool matches(const LocalTime& at) const;

 private:
  struct Field {
    std::bitset<60> values;
    bool is_any = false;
  };
  static std::optional<Field> parse_field(const std::string& text, std::size_t which);

  std::array<Field, 5> fields_;  // Minute, hour, day of the month, month, weekday.
};

/// Counts of instances that hold for some of the time.
struct Schedule {
  std::string when;
  std::string timezone = "UTC";
  int idle_count = 0;
  int max_instances = -1;  ///< Of the pool while it holds; -1: as without it.

  /// Whether it holds now, by its parsed pattern. False for a zone that is none.
  [[nodiscard]] bool holds(TimePoint now, const CronPeriod& period) const;
};

}  // namespace muster
