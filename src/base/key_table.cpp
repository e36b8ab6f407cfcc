#include "base/key_table.hpp"

#include <fmt/format.h>

#include <array>

namespace muster {

std::string duration_text(Duration duration) {
  using namespace std::chrono_literals;
  struct Unit {
    Duration length;
    const char* name;
  };
  static constexpr std::array<Unit, 4> kUnits{{{24h, "d"}, {1h, "h"}, {1min, "m"}, {1s, "s"}}};
  for (const Unit& unit : kUnits) {
    const bool is_whole =
        duration != Duration::zero() && duration % unit.length == Duration::zero();
    if (is_whole) return fmt::format("{}{}", duration / unit.length, unit.name);
  }
  return fmt::format("{}ms", duration / 1ms);
}

void read_duration(NodeReader& reader, const Node& node, const std::string& path, Duration smallest,
                   Duration largest, Duration& to) {
  const auto value = parse_duration(node.text);
  if (!node.is_scalar() || !value) {
    return reader.error(node.mark, path, fmt::format("\"{}\" is no duration.", node.text),
                        "Write a number with s, m, h or d, such as 10m.");
  }
  if (*value < smallest || *value > largest) {
    return reader.error(node.mark, path,
                        fmt::format("{} is not between {} and {}.", node.text,
                                    duration_text(smallest), duration_text(largest)));
  }
  to = *value;
}

bool check_name(NodeReader& reader, const SourceMark& mark, const std::string& path,
                const std::string& name) {
  static constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  const bool is_name =
      !name.empty() && name.size() <= 60 && name.find_first_not_of(kAllowed) == std::string::npos;
  if (!is_name) {
    reader.error(mark, path, fmt::format("\"{}\" is no name.", name),
                 "Use letters, digits, - _ and ., at most 60 of them.");
  }
  return is_name;
}

}  // namespace muster
