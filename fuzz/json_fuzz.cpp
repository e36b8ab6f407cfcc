#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // What was read must be writable and readable again.
  const auto read = muster::wire::parse_json(text);
  if (read && !muster::wire::parse_json(muster::wire::to_json(*read))) __builtin_trap();
  return 0;
}
