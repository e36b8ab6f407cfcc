#include <cstddef>
#include <cstdint>
#include <string_view>

#include "pipeline/substitute.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto done = muster::pipeline::substitute(text, {{"A", "abcdef"}, {"B", "a/b/c"}});
  if (done) static_cast<void>(muster::pipeline::go_quote(*done));
  return 0;
}
