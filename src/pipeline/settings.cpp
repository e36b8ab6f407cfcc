#include "pipeline/settings.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace muster::pipeline {
namespace {

std::string without_underscores(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '_') out += c;
  }
  return out;
}

/// An integer of YAML 1.1: decimal, `0x1F`, octal `0755` and `0o755`, `0b101`, with underscores.
std::optional<long long> yaml_integer(std::string_view source) {
  std::string text = without_underscores(source);
  bool is_negative = false;
  std::size_t at = 0;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    is_negative = text[0] == '-';
    at = 1;
  }
  int base = 10;
  const std::string_view rest = std::string_view(text).substr(at);
  if (rest.starts_with("0x") || rest.starts_with("0X")) {
    base = 16;
    at += 2;
  } else if (rest.starts_with("0o")) {
    base = 8;
    at += 2;
  } else if (rest.starts_with("0b")) {
    base = 2;
    at += 2;
  } else if (rest.size() > 1 && rest[0] == '0') {
    base = 8;
  }
  long long value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + at, end, value, base);
  if (error != std::errc{} || stop != end || at == text.size()) return std::nullopt;
  return is_negative ? -value : value;
}

/// A float of YAML 1.1: it has a point, or is an infinity or no number.
std::optional<double> yaml_float(std::string_view source) {
  const bool is_negative = source.starts_with('-');
  std::string_view bare = source;
  if (bare.starts_with('-') || bare.starts_with('+')) bare.remove_prefix(1);
  if (bare == ".inf" || bare == ".Inf" || bare == ".INF") {
    const double infinity = std::numeric_limits<double>::infinity();
    return is_negative ? -infinity : infinity;
  }
  if (bare == ".nan" || bare == ".NaN" || bare == ".NAN") return std::nan("");
  if (bare.find('.') == std::string_view::npos) return std::nullopt;
  const std::string text = without_underscores(bare);
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return is_negative ? -value : value;
}

std::string float_text(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (std::isnan(value)) return "NaN";
  return fmt::format("{}", value);
}

std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=' || c == '\n' || c == ' ') continue;
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<unsigned>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 255);
  }
  return out;
}

/// A scalar that is no string: its text by its meaning.
std::optional<std::string> typed_text(const Node& value) {
  if (value.is_quoted) return std::nullopt;
  if (const auto flag = yaml_boolean(value.text)) return *flag ? "true" : "false";
  if (const auto number = yaml_integer(value.text)) return std::to_string(*number);
  if (const auto number = yaml_float(value.text)) return float_text(*number);
  return std::nullopt;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (code < 0x20) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json_of(const Node& value) {
  if (value.is_null()) return "null";
  if (value.is_scalar()) return typed_text(value).value_or(json_quoted(value.text));
  std::string out;
  if (value.is_sequence()) {
    for (const Node& item : value.items) out += (out.empty() ? "" : ",") + json_of(item);
    return "[" + out + "]";
  }
  std::map<std::string, std::string> sorted;
  for (const Member& member : value.members) {
    // Below the top a plain key is what YAML 1.1 makes of it: `n` is a boolean.
    const auto flag = yaml_boolean(member.key);
    sorted[flag ? (*flag ? "true" : "false") : member.key] = json_of(member.value);
  }
  for (const auto& [key, text] : sorted) {
    out += (out.empty() ? "" : ",") + json_quoted(key) + ":" + text;
  }
  return "{" + out + "}";
}

}  // namespace

std::optional<std::string> setting_text(const Node& value) {
  if (value.is_null()) return std::nullopt;
  if (value.is_scalar()) {
    if (value.tag == "!!binary" || value.tag == "tag:yaml.org,2002:binary") {
      return decode_base64(value.text).value_or(value.text);
    }
    return typed_text(value).value_or(value.text);
  }
  if (value.is_mapping()) return json_of(value);
  std::string joined;
  for (const Node& item : value.items) {
    if (!item.is_scalar() && !item.is_null()) return json_of(value);
    if (&item != &value.items.front()) joined += ',';
    if (item.is_scalar()) joined += typed_text(item).value_or(item.text);
  }
  return joined;
}

std::optional<long> parse_bytes(std::string_view text) {
  long number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  std::string unit(stop, static_cast<std::size_t>(end - stop));
  for (char& c : unit) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (unit.ends_with("ib")) unit.erase(unit.size() - 2);
  if (unit.ends_with("i") || unit.ends_with("b")) unit.pop_back();
  static const std::map<std::string, int> shifts{
      {"", 0}, {"k", 10}, {"m", 20}, {"g", 30}, {"t", 40}};
  const auto shift = shifts.find(unit);
  if (shift == shifts.end() || number > (std::numeric_limits<long>::max() >> shift->second)) {
    return std::nullopt;
  }
  return number << shift->second;
}

std::string setting_name(const std::string& key) {
  std::string out = "PLUGIN_";
  for (const char c : key) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

}  // namespace muster::pipeline
