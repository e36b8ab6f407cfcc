#include "base/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace muster {
namespace {

struct Civil {
  int year;
  unsigned month;
  unsigned day;
  std::chrono::hh_mm_ss<std::chrono::nanoseconds> clock;
};

Civil civil_of(TimePoint time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  return {static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          std::chrono::hh_mm_ss<std::chrono::nanoseconds>{time - day}};
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  const char* end = text.data() + at + count;
  const auto [stop, error] = std::from_chars(text.data() + at, end, value);
  if (error != std::errc{} || stop != end || text[at] == '-') return std::nullopt;
  return value;
}

}  // namespace

std::string format_iso8601(TimePoint time) {
  const Civil at = civil_of(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", at.year, at.month, at.day,
                     at.clock.hours().count(), at.clock.minutes().count(),
                     at.clock.seconds().count());
}

std::string format_iso8601_millis(TimePoint time) {
  const Civil at = civil_of(time);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(at.clock.subseconds()).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", at.year, at.month, at.day,
                     at.clock.hours().count(), at.clock.minutes().count(),
                     at.clock.seconds().count(), millis);
}

std::string format_iso8601_basic(TimePoint time) {
  const Civil at = civil_of(time);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", at.year, at.month, at.day,
                     at.clock.hours().count(), at.clock.minutes().count(),
                     at.clock.seconds().count());
}

namespace {

constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

std::string format_http_date(TimePoint time) {
  const Civil at = civil_of(time);
  const std::chrono::weekday day{std::chrono::floor<std::chrono::days>(time)};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[day.c_encoding()], at.day,
                     kMonths[at.month - 1], at.year, at.clock.hours().count(),
                     at.clock.minutes().count(), at.clock.seconds().count());
}

std::optional<TimePoint> parse_http_date(std::string_view text) {
  if (text.size() != 29 || !text.ends_with(" GMT") || text.substr(3, 2) != ", ")
    return std::nullopt;
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) return std::nullopt;
  const std::array<std::optional<int>, 5> parts{digits(text, 12, 4), digits(text, 5, 2),
                                                digits(text, 17, 2), digits(text, 20, 2),
                                                digits(text, 23, 2)};
  for (const auto& part : parts) {
    if (!part) return std::nullopt;
  }
  const std::chrono::year_month_day date{
      std::chrono::year{*parts[0]},
      std::chrono::month{static_cast<unsigned>(month - kMonths.begin() + 1)},
      std::chrono::day{static_cast<unsigned>(*parts[1])}};
  const bool is_in_range = *parts[0] >= 1678 && *parts[0] <= 2261;
  if (!is_in_range || !date.ok() || *parts[2] > 23 || *parts[3] > 59 || *parts[4] > 60) {
    return std::nullopt;
  }
  return TimePoint{std::chrono::sys_days{date}} + std::chrono::hours{*parts[2]} +
         std::chrono::minutes{*parts[3]} + std::chrono::seconds{*parts[4]};
}

std::optional<TimePoint> parse_iso8601(std::string_view text) {
  if (text.empty() || text.back() != 'Z') return std::nullopt;
  const bool is_basic = text.size() == 16 && text[8] == 'T';
  const bool is_extended = text.size() >= 20 && text[4] == '-' && text[7] == '-' &&
                           text[10] == 'T' && text[13] == ':' && text[16] == ':';
  if (!is_basic && !is_extended) return std::nullopt;
  const std::array<std::size_t, 6> places = is_basic
                                                ? std::array<std::size_t, 6>{0, 4, 6, 9, 11, 13}
                                                : std::array<std::size_t, 6>{0, 5, 8, 11, 14, 17};
  std::array<int, 6> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::optional<int> part = digits(text, places[i], i == 0 ? 4 : 2);
    if (!part) return std::nullopt;
    parts[i] = *part;
  }
  const std::chrono::year_month_day date{std::chrono::year{parts[0]},
                                         std::chrono::month{static_cast<unsigned>(parts[1])},
                                         std::chrono::day{static_cast<unsigned>(parts[2])}};
  if (!date.ok() || parts[3] > 23 || parts[4] > 59 || parts[5] > 60) return std::nullopt;
  // Nanoseconds since 1970 in 64 bits reach from 1678 to 2262.
  if (parts[0] < 1678) return TimePoint::min();
  if (parts[0] > 2261) return TimePoint::max();
  Duration fraction{0};
  if (is_extended && text.size() > 20) {
    if (text[19] != '.') return std::nullopt;
    const std::string_view tail = text.substr(20, text.size() - 21);
    if (tail.empty() || tail.size() > 9) return std::nullopt;
    const std::optional<int> value = digits(tail, 0, tail.size());
    if (!value) return std::nullopt;
    long nanos = *value;
    for (std::size_t i = tail.size(); i < 9; ++i) nanos *= 10;
    fraction = Duration{nanos};
  }
  return TimePoint{std::chrono::sys_days{date}} + std::chrono::hours{parts[3]} +
         std::chrono::minutes{parts[4]} + std::chrono::seconds{parts[5]} + fraction;
}

std::string format_duration(Duration duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  const auto whole = std::chrono::round<std::chrono::seconds>(duration).count();
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::optional<Duration> parse_duration(std::string_view text) {
  long count = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc{} || count < 0 || count > 1'000'000'000) return std::nullopt;
  const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
  if (unit == "ms") return std::chrono::milliseconds{count};
  if (unit == "s") return std::chrono::seconds{count};
  if (unit == "m" || unit == "min") return std::chrono::minutes{count};
  if (unit == "h") return std::chrono::hours{count};
  if (unit == "d" && count <= 10'000) return std::chrono::days{count};
  return std::nullopt;
}

}  // namespace muster
