#include "base/time_zone.hpp"

#include <date/tz.h>

#include <stdexcept>

namespace muster {
namespace {

const date::time_zone* find_zone(const std::string& name) {
  try {
    return date::locate_zone(name);
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

}  // namespace

bool is_time_zone(const std::string& name) { return !name.empty() && find_zone(name) != nullptr; }

std::optional<LocalTime> local_time(TimePoint at, const std::string& zone) {
  const date::time_zone* found = find_zone(zone);
  if (found == nullptr) return std::nullopt;
  const auto local = found->to_local(at);
  const auto day = date::floor<date::days>(local);
  const date::year_month_day date_of(day);
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(local - day).count();
  LocalTime out;
  out.minute = static_cast<int>(minutes % 60);
  out.hour = static_cast<int>(minutes / 60);
  out.day = static_cast<int>(static_cast<unsigned>(date_of.day()));
  out.month = static_cast<int>(static_cast<unsigned>(date_of.month()));
  out.weekday = static_cast<int>(date::weekday(day).c_encoding());
  return out;
}

}  // namespace muster
