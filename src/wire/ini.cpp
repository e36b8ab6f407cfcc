#include "wire/ini.hpp"

#include <fmt/format.h>

namespace muster::wire {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// Cuts a comment that stands after white space.
std::string_view without_comment(std::string_view value) {
  for (std::size_t i = 1; i < value.size(); ++i) {
    const bool is_mark = value[i] == '#' || value[i] == ';';
    if (is_mark && (value[i - 1] == ' ' || value[i - 1] == '\t')) return value.substr(0, i);
  }
  return value;
}

}  // namespace

Result<IniFile> parse_ini(std::string_view text, std::string_view file) {
  IniFile out;
  std::map<std::string, std::string>* section = nullptr;
  std::string outer;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    const std::string_view raw = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const std::string_view line = trimmed(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const auto refuse = [&](std::string_view why) {
      return fail(ErrorKind::invalid_input, fmt::format("{}:{}: {}", file, number, why),
                  "Correct the line, or name another file.");
    };
    if (line.front() == '[') {
      const std::size_t close = line.find(']');
      if (close == std::string_view::npos)
        return refuse("a section name without a closing bracket");
      section = &out[std::string(trimmed(line.substr(1, close - 1)))];
      outer.clear();
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return refuse("neither a section nor key = value");
    if (section == nullptr) return refuse("a key before the first section");
    const std::string key = lower(trimmed(line.substr(0, equals)));
    const std::string value(trimmed(without_comment(line.substr(equals + 1))));
    const bool is_nested = (raw.front() == ' ' || raw.front() == '\t') && !outer.empty();
    (*section)[is_nested ? fmt::format("{}.{}", outer, key) : key] = value;
    if (!is_nested) outer = value.empty() ? key : std::string();
  }
  return out;
}

}  // namespace muster::wire
