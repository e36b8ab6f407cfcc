#include "ports/http.hpp"

#include <algorithm>

namespace muster {

std::string header_value(const HttpHeaders& headers, std::string_view name) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  for (const auto& [key, value] : headers) {
    const bool is_same = std::equal(key.begin(), key.end(), name.begin(), name.end(),
                                    [&](char a, char b) { return lower(a) == lower(b); });
    if (is_same) return value;
  }
  return {};
}

}  // namespace muster
