#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/follow_marks.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // However it is cut, it says the same.
  muster::wire::FollowMarks whole;
  whole.feed(text);
  muster::wire::FollowMarks parts;
  const std::size_t half = size / 3;
  parts.feed(text.substr(0, half));
  parts.feed(text.substr(half));
  const bool is_same =
      whole.is_lost() == parts.is_lost() && whole.end().has_value() == parts.end().has_value() &&
      (!whole.end() ||
       (whole.end()->code == parts.end()->code && whole.end()->size == parts.end()->size));
  if (!is_same) __builtin_trap();
  return 0;
}
