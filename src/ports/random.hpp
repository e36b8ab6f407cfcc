#pragma once

#include <cstdint>
#include <string>

namespace muster {

/// The only source of chance.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

/// `length` characters of `0-9a-f`.
[[nodiscard]] std::string random_hex(Random& random, std::size_t length);

}  // namespace muster
