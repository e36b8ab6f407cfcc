#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace muster {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::sys_time<std::chrono::nanoseconds>;

/// `2026-01-02T03:04:05Z`, UTC, fractions cut off.
[[nodiscard]] std::string format_iso8601(TimePoint time);

/// `2026-01-02T03:04:05.678Z`, UTC: EC2's form in answers.
[[nodiscard]] std::string format_iso8601_millis(TimePoint time);

/// `20260102T030405Z`, UTC: the form of `X-Amz-Date`.
[[nodiscard]] std::string format_iso8601_basic(TimePoint time);

/// Reads `2026-01-02T03:04:05[.fraction]Z` and `20260102T030405Z`; nothing else.
/// A time before 1678 or after 2261 is told as the earliest or latest there is.
[[nodiscard]] std::optional<TimePoint> parse_iso8601(std::string_view text);

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as HTTP's `Date` header has it (RFC 9110, IMF-fixdate).
[[nodiscard]] std::string format_http_date(TimePoint time);

/// Reads that form; nothing else.
[[nodiscard]] std::optional<TimePoint> parse_http_date(std::string_view text);

/// For people: `0.29 s`, `38 s`, `3 min 7 s`, `2 h 5 min`.
[[nodiscard]] std::string format_duration(Duration duration);

/// Reads `500ms`, `30s`, `10m`, `2h`, `1d`; a number alone has no unit and is refused.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);

}  // namespace muster
