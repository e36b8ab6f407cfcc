#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ec2sim/user_data.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(ec2sim::boot_script({std::string(text), "admin", "", "/c"}));
  return 0;
}
