#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ec2model {

/// One filter of a request: its values are alternatives.
struct Filter {
  std::string name;
  std::vector<std::string> values;
};

/// `*` any run, `?` one character, `\` escapes; case-sensitive (EC2 user guide, "Filtering").
[[nodiscard]] bool matches_wildcard(std::string_view pattern, std::string_view text);

/// Whether any of the values matches any of the filter's patterns.
[[nodiscard]] bool matches_any(const Filter& filter, const std::vector<std::string>& values);
[[nodiscard]] bool matches_any(const Filter& filter, std::string_view value);

}  // namespace ec2model
