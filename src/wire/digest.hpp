#pragma once

#include <string>
#include <string_view>

namespace muster::wire {

/// The 32 bytes of SHA-256.
[[nodiscard]] std::string sha256(std::string_view bytes);

/// The 32 bytes of HMAC-SHA256.
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view bytes);

/// `length` bytes derived from a secret for one purpose (RFC 5869, HKDF-SHA256, no salt).
[[nodiscard]] std::string hkdf_sha256(std::string_view secret, std::string_view purpose,
                                      std::size_t length);

/// Compares in time that does not depend on where they differ.
[[nodiscard]] bool equals_in_constant_time(std::string_view a, std::string_view b);

}  // namespace muster::wire
