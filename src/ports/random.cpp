#include "ports/random.hpp"

namespace muster {

std::string random_hex(Random& random, std::size_t length) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  while (out.size() < length) {
    std::uint64_t bits = random.next();
    for (int i = 0; i < 16 && out.size() < length; ++i, bits >>= 4) out += kDigits[bits & 15];
  }
  return out;
}

}  // namespace muster
