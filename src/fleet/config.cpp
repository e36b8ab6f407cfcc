#include "fleet/config.hpp"

#include <charconv>

namespace muster {

std::optional<double> parse_decimal(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (text.empty() || failure != std::errc{} || stop != end || value < 0) return std::nullopt;
  return value;
}

std::string tenant_of(const Config& config, const std::string& repository) {
  for (const auto& [name, tenant] : config.tenants) {
    for (const std::string& pattern : tenant.repositories) {
      const bool is_prefix = pattern.ends_with('*');
      const std::string start = pattern.substr(0, pattern.size() - (is_prefix ? 1 : 0));
      if (is_prefix ? repository.starts_with(start) : repository == start) return name;
    }
  }
  return repository.substr(0, repository.find('/'));
}

}  // namespace muster
