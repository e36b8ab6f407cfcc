#include "fleet/schedule.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <vector>

namespace muster {
namespace {

struct FieldRule {
  int first;
  int last;
  std::vector<std::string_view> names;  // The first one's number is `first`.
};

const std::array<FieldRule, 5>& rules() {
  static const std::array<FieldRule, 5> table{
      FieldRule{0, 59, {}}, FieldRule{0, 23, {}}, FieldRule{1, 31, {}},
      FieldRule{
          1,
          12,
          {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
      FieldRule{0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}};
  return table;
}

std::optional<int> parse_value(std::string text, const FieldRule& rule) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (std::size_t i = 0; i < rule.names.size(); ++i) {
    if (text == rule.names[i]) return rule.first + static_cast<int>(i);
  }
  int value = 0;
  const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = failure == std::errc{} && stop == text.data() + text.size();
  if (!is_whole || value < rule.first || value > rule.last) return std::nullopt;
  return value;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(at, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

}  // namespace

std::optional<CronPeriod::Field> CronPeriod::parse_field(const std::string& text,
                                                         std::size_t which) {
  const FieldRule& rule = rules().at(which);
  Field field;
  for (const std::string& part : split(text, ',')) {
    const std::vector<std::string> stepped = split(part, '/');
    if (stepped.size() > 2) return std::nullopt;
    int step = 1;
    if (stepped.size() == 2) {
      const auto given = parse_value(stepped[1], {1, 59, {}});
      if (!given) return std::nullopt;
      step = *given;
    }
    int first = rule.first;
    int last = which == 4 ? 6 : rule.last;
    if (stepped[0] == "*") {
      field.is_any = field.is_any || step == 1;
    } else {
      const std::vector<std::string> ends = split(stepped[0], '-');
      if (ends.size() > 2) return std::nullopt;
      const auto from = parse_value(ends.front(), rule);
      const auto to = parse_value(ends.back(), rule);
      if (!from || !to || *from > *to) return std::nullopt;
      first = *from;
      last = ends.size() == 1 && stepped.size() == 2 ? last : *to;
    }
    // Sunday is 0 and 7.
    for (int i = first; i <= last; i += step) {
      field.values.set(static_cast<std::size_t>(which == 4 ? i % 7 : i));
    }
  }
  return field;
}

std::optional<CronPeriod> CronPeriod::parse(const std::string& text) {
  std::vector<std::string> words;
  for (const std::string& word : split(text, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  CronPeriod period;
  if (words.size() != period.fields_.size()) return std::nullopt;
  for (std::size_t i = 0; i < words.size(); ++i) {
    auto field = parse_field(words[i], i);
    if (!field) return std::nullopt;
    period.fields_.at(i) = *field;
  }
  return period;
}

bool CronPeriod::matches(const LocalTime& at) const {
  const auto has = [&](std::size_t which, int value) {
    return fields_.at(which).values.test(static_cast<std::size_t>(value));
  };
  if (!has(0, at.minute) || !has(1, at.hour) || !has(3, at.month)) return false;
  const bool by_date = has(2, at.day);
  const bool by_weekday = has(4, at.weekday);
  if (fields_[2].is_any || fields_[4].is_any) return by_date && by_weekday;
  return by_date || by_weekday;
}

bool Schedule::holds(TimePoint now, const CronPeriod& period) const {
  const auto local = local_time(now, timezone);
  return local && period.matches(*local);
}

}  // namespace muster
