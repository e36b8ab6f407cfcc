#include "base/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace muster {
namespace {

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

spdlog::logger& sink() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("muster",
                                                 std::make_shared<spdlog::sinks::stderr_sink_st>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

spdlog::level::level_enum sink_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::error:
    case LogLevel::off: break;
  }
  return spdlog::level::err;
}

}  // namespace

LogField::LogField(std::string_view key, Duration value)
    : name(key),
      text(std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(value).count())) {}

std::string format_record(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line(event);
  for (const LogField& field : fields) {
    line += fmt::format(" {}={}", field.name,
                        needs_quotes(field.text) ? quoted(field.text) : field.text);
  }
  return line;
}

Log::Log(LogLevel level) : level_(level) {}

void Log::debug(std::string_view event, std::initializer_list<LogField> fields) const {
  write(LogLevel::debug, event, fields);
}
void Log::info(std::string_view event, std::initializer_list<LogField> fields) const {
  write(LogLevel::info, event, fields);
}
void Log::warn(std::string_view event, std::initializer_list<LogField> fields) const {
  write(LogLevel::warn, event, fields);
}
void Log::error(std::string_view event, std::initializer_list<LogField> fields) const {
  write(LogLevel::error, event, fields);
}

void Log::write(LogLevel level, std::string_view event,
                std::initializer_list<LogField> fields) const {
  if (level < level_) return;
  sink().log(sink_level(level), "{}", format_record(event, fields));
}

}  // namespace muster
