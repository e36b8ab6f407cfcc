#include "fleet/config.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
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
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  const bool is_numeric = inet_pton(AF_INET, address.c_str(), parsed.data()) == 1 ||
                          inet_pton(AF_INET6, address.c_str(), parsed.data()) == 1;
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
