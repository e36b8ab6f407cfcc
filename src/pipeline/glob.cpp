#include "pipeline/glob.hpp"

#include <string>
#include <vector>

namespace muster::pipeline {
namespace {

constexpr std::size_t kAlternativesMax = 1000;

/// `a{b,c}d` as `abd` and `acd`; false for braces that do not match.
bool expand_braces(std::string_view pattern, std::vector<std::string>& out) {
  std::size_t open = std::string_view::npos;
  int depth = 0;
  std::vector<std::size_t> cuts;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '{') {
      if (depth++ == 0) open = i;
    } else if (pattern[i] == ',' && depth == 1) {
      cuts.push_back(i);
    } else if (pattern[i] == '}' && depth > 1) {
      --depth;
    } else if (pattern[i] == '}' && depth == 1) {
      cuts.push_back(i);
      std::size_t begin = open + 1;
      for (const std::size_t cut : cuts) {
        std::string one(pattern.substr(0, open));
        one += pattern.substr(begin, cut - begin);
        one += pattern.substr(i + 1);
        if (out.size() > kAlternativesMax || !expand_braces(one, out)) return false;
        begin = cut + 1;
      }
      return true;
    }
  }
  if (depth != 0) return false;
  out.emplace_back(pattern);
  return true;
}

/// Whether `c` is in the class that starts at `at` (behind the bracket); moves `at` behind it.
/// -1 for a class that is never closed.
int in_class(std::string_view pattern, std::size_t& at, char c) {
  const bool is_negated = at < pattern.size() && pattern[at] == '^';
  if (is_negated) ++at;
  bool is_found = false;
  bool is_first = true;
  while (at < pattern.size() && (is_first || pattern[at] != ']')) {
    is_first = false;
    char low = pattern[at++];
    if (low == '\\' && at < pattern.size()) low = pattern[at++];
    char high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      high = pattern[at + 1];
      at += 2;
    }
    is_found = is_found || (low <= c && c <= high);
  }
  if (at >= pattern.size()) return -1;
  ++at;
  return is_found != is_negated ? 1 : 0;
}

bool matches(std::string_view pattern, std::string_view text, int& budget) {
  if (--budget < 0) return false;
  std::size_t at = 0;
  std::size_t in_text = 0;
  while (at < pattern.size()) {
    const bool starts_element = at == 0 || pattern[at - 1] == '/';
    if (starts_element && pattern.substr(at, 2) == "**" &&
        (at + 2 == pattern.size() || pattern[at + 2] == '/')) {
      if (at + 2 == pattern.size()) return at == 0 || in_text <= text.size();
      const std::string_view rest = pattern.substr(at + 3);
      for (std::size_t i = in_text; i <= text.size(); ++i) {
        const bool is_border = i == in_text || text[i - 1] == '/';
        if (is_border && matches(rest, text.substr(i), budget)) return true;
      }
      return false;
    }
    const char c = pattern[at];
    if (c == '*') {
      const std::string_view rest = pattern.substr(at + 1);
      for (std::size_t i = in_text; i <= text.size(); ++i) {
        if (matches(rest, text.substr(i), budget)) return true;
        if (i < text.size() && text[i] == '/') return false;
      }
      return false;
    }
    if (in_text >= text.size()) return false;
    if (c == '?') {
      if (text[in_text] == '/') return false;
      ++at;
    } else if (c == '[') {
      ++at;
      if (in_class(pattern, at, text[in_text]) != 1) return false;
    } else {
      if (c == '\\' && ++at >= pattern.size()) return false;
      if (pattern[at] != text[in_text]) return false;
      ++at;
    }
    ++in_text;
  }
  return in_text == text.size();
}

}  // namespace

bool matches_glob(std::string_view pattern, std::string_view text) {
  std::vector<std::string> alternatives;
  if (pattern.size() > 4096 || !expand_braces(pattern, alternatives)) return false;
  int budget = 100'000;
  for (const std::string& one : alternatives) {
    if (matches(one, text, budget)) return true;
  }
  return false;
}

}  // namespace muster::pipeline
