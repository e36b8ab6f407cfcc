#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ec2sim/name_server.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(
      ec2sim::answer_dns(text, [](const std::string&) { return std::optional<unsigned>(1); }));
  return 0;
}
