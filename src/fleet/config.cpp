#include "fleet/config.hpp"

#include <algorithm>
#include <charconv>

#include "base/document.hpp"

namespace muster {

std::optional<double> parse_decimal(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (text.empty() || failure != std::errc{} || stop != end || value < 0) return std::nullopt;
  return value;
}

namespace {

bool is_ipv4(const std::string& text) {
  int parts = 0;
  for (std::size_t begin = 0; begin <= text.size(); ++parts) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const auto value = parse_integer(part);
    const bool is_plain = part.find_first_not_of("0123456789") == std::string::npos;
    if (!is_plain || part.size() > 3 || !value || *value > 255) return false;
    begin = end + 1;
  }
  return parts == 4;
}

/// As far as it can be told from afar: whoever listens there reads it in full.
bool is_ipv6(const std::string& text) {
  return text.size() <= 39 && text.find("::") == text.rfind("::") &&
         std::count(text.begin(), text.end(), ':') <= 7 &&
         text.find_first_not_of("0123456789abcdefABCDEF:") == std::string::npos;
}

}  // namespace

std::optional<std::pair<std::string, int>> parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::string address = text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  } else if (address.find(':') != std::string::npos) {
    return std::nullopt;
  }
  const auto port = parse_integer(text.substr(colon + 1));
  const bool is_numeric =
      address.find(':') == std::string::npos ? is_ipv4(address) : is_ipv6(address);
  if (!is_numeric || !port || *port < 1 || *port > 65535) return std::nullopt;
  return std::pair(address, static_cast<int>(*port));
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
