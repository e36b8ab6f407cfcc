#include <cstddef>
#include <cstdint>
#include <string_view>

#include "pipeline/glob.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t half = text.size() / 2;
  static_cast<void>(muster::pipeline::matches_glob(text.substr(0, half), text.substr(half)));
  return 0;
}
