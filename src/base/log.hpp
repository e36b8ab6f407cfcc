#pragma once

#include <chrono>
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/strong.hpp"

namespace muster {

/// One field of a log record. A `Secret` shows as `[redacted]`.
struct LogField {
  LogField(std::string_view key, std::string_view value) : name(key), text(value) {}
  LogField(std::string_view key, const char* value) : name(key), text(value) {}
  LogField(std::string_view key, const std::string& value) : name(key), text(value) {}
  LogField(std::string_view key, bool value) : name(key), text(value ? "true" : "false") {}
  template <std::integral T>
  LogField(std::string_view key, T value) : name(key), text(std::to_string(value)) {}
  template <class Tag>
  LogField(std::string_view key, const Strong<Tag>& value) : name(key), text(value.value()) {}
  LogField(std::string_view key, const Secret&) : name(key), text(kRedacted) {}
  LogField(std::string_view key, Duration value);

  std::string name;
  std::string text;
};

enum class LogLevel { debug, info, warn, error, off };

/// Structured records on standard error: `time level event key=value …`. The event is a constant
/// name in the past tense; values are quoted where they need it and never carry control characters.
class Log {
 public:
  explicit Log(LogLevel level = LogLevel::warn);

  void debug(std::string_view event, std::initializer_list<LogField> fields) const;
  void info(std::string_view event, std::initializer_list<LogField> fields) const;
  void warn(std::string_view event, std::initializer_list<LogField> fields) const;
  void error(std::string_view event, std::initializer_list<LogField> fields) const;

 private:
  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const;

  LogLevel level_;
};

/// `event key=value …` with values quoted where needed.
[[nodiscard]] std::string format_record(std::string_view event,
                                        std::initializer_list<LogField> fields);

}  // namespace muster
