#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace muster::wire {

/// Whether the bytes begin as gzip does (RFC 1952).
[[nodiscard]] bool is_gzip(std::string_view bytes);

/// Unpacks one gzip stream, to at most `bytes_max`. Errors: corrupt.
[[nodiscard]] Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max = 1 << 20);

/// Packs bytes as one gzip stream without a time stamp: equal bytes give equal streams.
[[nodiscard]] std::string gzip(std::string_view bytes);

}  // namespace muster::wire
