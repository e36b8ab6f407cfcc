#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/console.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(muster::wire::parse_console_host_keys(text));
  return 0;
}
