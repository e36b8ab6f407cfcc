#include "wire/follow_marks.hpp"

#include <algorithm>

#include "base/document.hpp"

namespace muster::wire {
namespace {

constexpr std::size_t kLineBytesMax = 256;
constexpr std::string_view kExit = "muster-exit ";

}  // namespace

void FollowMarks::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (partial_.size() + part.size() > kLineBytesMax) {
      is_too_long_ = true;
    } else {
      partial_ += part;
    }
    if (end == std::string_view::npos) return;
    if (!is_too_long_) read(partial_);
    partial_.clear();
    is_too_long_ = false;
    bytes.remove_prefix(end + 1);
  }
}

void FollowMarks::read(std::string_view line) {
  if (line == "muster-lost") is_lost_ = true;
  if (!line.starts_with(kExit)) return;
  line.remove_prefix(kExit.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return;
  const auto code = parse_integer(line.substr(0, space));
  // wc may pad its number.
  const std::size_t digits = line.find_first_not_of(' ', space);
  if (digits == std::string_view::npos) return;
  line.remove_prefix(digits);
  const std::size_t behind = std::min(line.find(' '), line.size());
  const auto size = parse_integer(line.substr(0, behind));
  std::string_view rest = line.substr(behind);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  while (rest.ends_with(' ')) rest.remove_suffix(1);
  const bool is_known = rest.empty() || rest == "full";
  if (!code || *code < 0 || *code > 255 || !size || *size < 0 || !is_known) return;
  end_ = End{static_cast<int>(*code), static_cast<long>(*size), rest == "full"};
}

}  // namespace muster::wire
