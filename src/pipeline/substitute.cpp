#include "pipeline/substitute.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/document.hpp"

namespace muster::pipeline {
namespace {

struct Refusal {
  std::string what;
};

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Shell patterns of `#`, `##`, `%`, `%%`: here `*` crosses slashes.
bool matches_shell(std::string_view pattern, std::string_view text, int& budget) {
  if (--budget < 0) return false;
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (matches_shell(pattern.substr(1), text.substr(i), budget)) return true;
    }
    return false;
  }
  if (text.empty()) return false;
  if (pattern[0] == '[') {
    const std::size_t close = pattern.find(']', 2);
    if (close != std::string_view::npos) {
      const bool is_negated = pattern[1] == '^' || pattern[1] == '!';
      bool is_in = false;
      for (std::size_t i = is_negated ? 2 : 1; i < close; ++i) {
        const bool is_range = i + 2 < close && pattern[i + 1] == '-';
        is_in = is_in || (is_range ? pattern[i] <= text[0] && text[0] <= pattern[i + 2]
                                   : pattern[i] == text[0]);
        if (is_range) i += 2;
      }
      return is_in != is_negated &&
             matches_shell(pattern.substr(close + 1), text.substr(1), budget);
    }
  }
  if (pattern[0] != '?' && pattern[0] != text[0]) return false;
  return matches_shell(pattern.substr(1), text.substr(1), budget);
}

/// One pass over the text, left to right.
class Expander {
 public:
  Expander(std::string_view text, const Variables& variables)
      : text_(text), variables_(variables) {}

  std::string run() {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (c == '$' && next == '$') {
        out += '$';
        at_ += 2;
      } else if (c == '\\' && (next == '\\' || next == '/')) {
        out += next;
        at_ += 2;
      } else if (c == '$' && next == '{') {
        out += expression();
      } else {
        out += c;
        ++at_;
      }
    }
    return out;
  }

  [[nodiscard]] std::size_t place() const { return start_; }

 private:
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  [[nodiscard]] std::string value_of(const std::string& name) const {
    const auto found = variables_.find(name);
    return found == variables_.end() ? std::string() : found->second;
  }
  std::string name() {
    std::string out;
    while (is_name(peek())) out += text_[at_++];
    return out;
  }
  void expect_close() {
    if (peek() != '}') throw Refusal{"missing closing brace"};
    ++at_;
  }
  /// Up to the closing brace or a stop character; nested expressions are expanded.
  std::string word(char stop) {
    std::string out;
    while (at_ < text_.size() && peek() != '}' && (stop == '\0' || peek() != stop)) {
      if (text_.substr(at_, 2) == "${") {
        out += expression();
      } else if (peek() == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == '/') {
        out += '/';
        at_ += 2;
      } else {
        out += text_[at_++];
      }
    }
    if (at_ >= text_.size()) throw Refusal{"missing closing brace"};
    return out;
  }

  std::string expression() {
    struct Depth {
      int& value;
      ~Depth() { --value; }
    } const depth{++depth_};
    if (depth_ > 50) throw Refusal{"nested over 50 deep"};
    start_ = at_;
    at_ += 2;
    if (peek() == '#') {
      ++at_;
      const std::string of = name();
      if (of.empty()) throw Refusal{"unable to parse variable name"};
      expect_close();
      return std::to_string(value_of(of).size());
    }
    const std::string of = name();
    if (of.empty()) throw Refusal{"unable to parse variable name"};
    const std::string value = apply(value_of(of));
    return value.find('\n') == std::string::npos ? value : go_quote(value);
  }

  std::string apply(std::string value) {
    switch (peek()) {
      case '}': ++at_; return value;
      case '^': return change_case(std::move(value), '^');
      case ',': return change_case(std::move(value), ',');
      case ':': return slice_or_default(std::move(value));
      case '=': ++at_; return defaulted(std::move(value));
      case '#': return trim(std::move(value), true);
      case '%': return trim(std::move(value), false);
      case '/': return replace(std::move(value));
      default: throw Refusal{"missing closing brace"};
    }
  }

  std::string change_case(std::string value, char kind) {
    ++at_;
    const bool is_all = peek() == kind;
    if (is_all) ++at_;
    if (peek() != '}') throw Refusal{"bad substitution"};
    ++at_;
    const auto change = kind == '^' ? upper : lower;
    for (std::size_t i = 0; i < value.size() && (is_all || i == 0); ++i)
      value[i] = change(value[i]);
    return value;
  }

  std::string defaulted(std::string value) {
    const std::string other = word('\0');
    ++at_;
    return value.empty() ? other : value;
  }

  std::string slice_or_default(std::string value) {
    ++at_;
    const char kind = peek();
    if (kind == '}') throw Refusal{"unable to parse substitution within function"};
    if (kind == '=' || kind == '-' || kind == '+' || kind == '?') {
      ++at_;
      return defaulted(std::move(value));
    }
    const std::string from_text = word(':');
    std::string length_text;
    const bool has_length = peek() == ':';
    if (has_length) {
      ++at_;
      length_text = word('\0');
    }
    ++at_;
    const auto from = parse_integer(from_text);
    const auto length = parse_integer(length_text);
    if (!from || (has_length && !length)) return value;
    const auto size = static_cast<long long>(value.size());
    const long long begin = std::clamp<long long>(*from < 0 ? size + *from : *from, 0, size);
    // A negative length counts from the end, as in the shell.
    long long end = size;
    if (has_length) end = *length < 0 ? size + *length : std::min(size, begin + *length);
    if (end <= begin) return {};
    return value.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  }

  std::string trim(std::string value, bool is_prefix) {
    const char kind = text_[at_++];
    const bool is_longest = peek() == kind;
    if (is_longest) ++at_;
    if (peek() == '}') throw Refusal{"unable to parse substitution within function"};
    const std::string pattern = word('\0');
    ++at_;
    const std::size_t size = value.size();
    int budget = 1'000'000;
    for (std::size_t step = 0; step <= size; ++step) {
      const std::size_t length = is_longest ? size - step : step;
      const std::string_view part = is_prefix ? std::string_view(value).substr(0, length)
                                              : std::string_view(value).substr(size - length);
      if (!matches_shell(pattern, part, budget)) continue;
      return is_prefix ? value.substr(length) : value.substr(0, size - length);
    }
    return value;
  }

  std::string replace(std::string value) {
    ++at_;
    char mode = '\0';
    if (peek() == '/' || peek() == '#' || peek() == '%') mode = text_[at_++];
    const std::string old = word('/');
    if (peek() != '/') throw Refusal{"bad substitution"};
    ++at_;
    const std::string fresh = word('\0');
    ++at_;
    if (old.empty()) return value;
    if (mode == '#') return value.starts_with(old) ? fresh + value.substr(old.size()) : value;
    if (mode == '%') {
      return value.ends_with(old) ? value.substr(0, value.size() - old.size()) + fresh : value;
    }
    std::size_t from = 0;
    while ((from = value.find(old, from)) != std::string::npos) {
      value.replace(from, old.size(), fresh);
      from += fresh.size();
      if (mode != '/') break;
    }
    return value;
  }

  std::string_view text_;
  const Variables& variables_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;
  int depth_ = 0;
};

}  // namespace

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\v': out += "\\v"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out + "\"";
}

Result<std::string> substitute(std::string_view text, const Variables& variables) {
  Expander expander(text, variables);
  try {
    return expander.run();
  } catch (const Refusal& refusal) {
    const auto line =
        1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(expander.place()),
                       '\n');
    return fail(ErrorKind::invalid_input, fmt::format("line {}: {}", line, refusal.what),
                "Write $${ where the shell is to see ${.");
  }
}

}  // namespace muster::pipeline
