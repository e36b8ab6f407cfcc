#pragma once

#include <optional>
#include <string>

#include "base/time.hpp"

namespace muster {

/// What a wall clock shows at one moment.
struct LocalTime {
  int minute = 0;
  int hour = 0;
  int day = 1;      ///< Of the month.
  int month = 1;    ///< 1 is January.
  int weekday = 0;  ///< 0 is Sunday.
};

/// Whether the system's time zone database has a zone of that name, such as `Europe/Berlin`.
[[nodiscard]] bool is_time_zone(const std::string& name);

/// The wall clock of a zone, with its daylight saving time; nothing for an unknown zone.
[[nodiscard]] std::optional<LocalTime> local_time(TimePoint at, const std::string& zone);

}  // namespace muster
