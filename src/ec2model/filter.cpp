#include "ec2model/filter.hpp"

#include <algorithm>
#include <optional>

namespace ec2model {
namespace {

/// One element of a pattern: a character, any character, or any run.
struct Element {
  enum class Kind { literal, one, run } kind;
  char value = 0;
};

std::vector<Element> elements_of(std::string_view pattern) {
  std::vector<Element> out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      out.push_back({Element::Kind::literal, pattern[++i]});
    } else if (c == '*') {
      out.push_back({Element::Kind::run});
    } else if (c == '?') {
      out.push_back({Element::Kind::one});
    } else {
      out.push_back({Element::Kind::literal, c});
    }
  }
  return out;
}

}  // namespace

bool matches_wildcard(std::string_view pattern, std::string_view text) {
  if (pattern.find_first_of("*?\\") == std::string_view::npos) return pattern == text;
  const std::vector<Element> elements = elements_of(pattern);
  std::size_t at = 0;
  std::size_t in_text = 0;
  std::optional<std::size_t> last_run;
  std::size_t run_end = 0;
  while (in_text < text.size()) {
    const bool is_left = at < elements.size();
    if (is_left && elements[at].kind == Element::Kind::run) {
      last_run = at++;
      run_end = in_text;
    } else if (is_left &&
               (elements[at].kind == Element::Kind::one || elements[at].value == text[in_text])) {
      ++at;
      ++in_text;
    } else if (last_run) {
      at = *last_run + 1;
      in_text = ++run_end;
    } else {
      return false;
    }
  }
  while (at < elements.size() && elements[at].kind == Element::Kind::run) ++at;
  return at == elements.size();
}

bool matches_any(const Filter& filter, std::string_view value) {
  return std::any_of(filter.values.begin(), filter.values.end(),
                     [&](const std::string& pattern) { return matches_wildcard(pattern, value); });
}

bool matches_any(const Filter& filter, const std::vector<std::string>& values) {
  return std::any_of(values.begin(), values.end(),
                     [&](const std::string& value) { return matches_any(filter, value); });
}

}  // namespace ec2model
