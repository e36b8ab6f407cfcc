#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/yaml.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  muster::wire::YamlOptions options;
  options.file = "f";
  static_cast<void>(muster::wire::parse_yaml(text, options));
  return 0;
}
