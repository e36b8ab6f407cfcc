#include "ec2sim/dns_answer.hpp"

namespace ec2sim {
namespace {

std::string big_endian(unsigned value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 255);
  }
  return out;
}

unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// Reads the name of the first question and the place after it.
std::optional<std::size_t> read_name(std::string_view query, std::string& name) {
  std::size_t at = 12;
  while (at < query.size()) {
    const unsigned length = byte_at(query, at++);
    if (length == 0) return at;
    if (length > 63 || at + length > query.size() || name.size() > 255) return std::nullopt;
    if (!name.empty()) name += '.';
    for (const char c : query.substr(at, length)) {
      name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    at += length;
  }
  return std::nullopt;
}

}  // namespace

std::string answer_dns(std::string_view query, const NameLookup& lookup) {
  if (query.size() < 12 || (byte_at(query, 2) & 0x80) != 0) return {};
  std::string name;
  const std::optional<std::size_t> end = read_name(query, name);
  if (!end || *end + 4 > query.size()) return {};
  const unsigned type = byte_at(query, *end) << 8 | byte_at(query, *end + 1);
  const std::optional<unsigned> address = lookup(name);
  const bool has_answer = address && type == 1;
  // Response, authoritative, recursion as asked and available; NXDOMAIN for unknown names.
  const unsigned flags = 0x8480U | (byte_at(query, 2) & 1U) << 8 | (address ? 0U : 3U);
  std::string out = std::string(query.substr(0, 2)) + big_endian(flags, 2) + big_endian(1, 2) +
                    big_endian(has_answer ? 1 : 0, 2) + big_endian(0, 4) +
                    std::string(query.substr(12, *end + 4 - 12));
  if (has_answer) {
    out += big_endian(0xc00c, 2) + big_endian(1, 2) + big_endian(1, 2) + big_endian(60, 4) +
           big_endian(4, 2) + big_endian(*address, 4);
  }
  return out;
}

}  // namespace ec2sim
