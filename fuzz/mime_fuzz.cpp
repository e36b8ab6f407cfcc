#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/mime.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = muster::wire::parse_multipart(text);
  if (!read) return 0;
  const auto again = muster::wire::parse_multipart(muster::wire::write_multipart(*read));
  if (!again || again->size() != read->size()) __builtin_trap();
  return 0;
}
