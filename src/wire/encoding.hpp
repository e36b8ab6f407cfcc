#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster::wire {

/// Standard base64 with padding.
[[nodiscard]] std::string base64_encode(std::string_view bytes);

/// Strict: padding required, no white space, no stray bits in the last character.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

[[nodiscard]] std::string hex_encode(std::string_view bytes);

/// RFC 3986: keeps `A-Z a-z 0-9 - _ . ~` (and `/` when told), the rest becomes `%XX`.
[[nodiscard]] std::string percent_encode(std::string_view text, bool keeps_slash = false);

/// Undoes `%XX`; with `plus_is_space` also `+`. Nothing for a broken escape.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text,
                                                        bool plus_is_space = false);

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// `a=1&b=2` by RFC 3986 encoding, in the order given.
[[nodiscard]] std::string form_encode(const Parameters& parameters);

/// Reads a form body or query string; nothing for a broken escape or over `count_max` parameters.
[[nodiscard]] std::optional<Parameters> form_decode(std::string_view text,
                                                    std::size_t count_max = 10'000);

}  // namespace muster::wire
