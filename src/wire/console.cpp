#include "wire/console.hpp"

#include <array>

#include "wire/encoding.hpp"

namespace muster::wire {
namespace {

constexpr std::string_view kBegin = "-----BEGIN SSH HOST KEY KEYS-----";
constexpr std::string_view kEnd = "-----END SSH HOST KEY KEYS-----";
constexpr std::array<std::string_view, 5> kTypes{
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"};

/// A key in a line such as `<14>ec2: ssh-ed25519 AAAA… root@host`; its blob must name its type.
bool read_key(std::string_view line, HostKey& key) {
  for (const std::string_view type : kTypes) {
    const std::size_t at = line.find(type);
    if (at == std::string_view::npos || (at > 0 && line[at - 1] != ' ' && line[at - 1] != '>')) {
      continue;
    }
    std::string_view rest = line.substr(at + type.size());
    if (!rest.starts_with(' ')) continue;
    rest.remove_prefix(1);
    const std::string_view blob = rest.substr(0, rest.find_first_of(" \t\r"));
    const std::string prefix =
        std::string("\0\0\0", 3) + static_cast<char>(type.size()) + std::string(type);
    const auto bytes = base64_decode(blob);
    if (!bytes || !bytes->starts_with(prefix)) continue;
    key = {std::string(type), std::string(blob)};
    return true;
  }
  return false;
}

}  // namespace

std::vector<HostKey> parse_console_host_keys(std::string_view console) {
  const std::size_t begin = console.find(kBegin);
  if (begin == std::string_view::npos) return {};
  const std::size_t start = begin + kBegin.size();
  const std::size_t end = console.find(kEnd, start);
  if (end == std::string_view::npos) return {};
  std::string_view block = console.substr(start, end - start);
  std::vector<HostKey> keys;
  while (!block.empty() && keys.size() < 16) {
    const std::size_t newline = block.find('\n');
    HostKey key;
    if (read_key(block.substr(0, newline), key)) keys.push_back(std::move(key));
    block = newline == std::string_view::npos ? std::string_view{} : block.substr(newline + 1);
  }
  return keys;
}

}  // namespace muster::wire
