#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/url.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // What was read names the same place when it is written again.
  const auto url = muster::wire::parse_url(text);
  if (!url) return 0;
  const std::string query = url->query.empty() ? "" : "?" + url->query;
  const auto again =
      muster::wire::parse_url(url->scheme + "://" + url->authority() + url->path + query);
  const bool is_same = again && again->host == url->host && again->port == url->port &&
                       again->path == url->path && again->query == url->query;
  if (!is_same) __builtin_trap();
  return 0;
}
