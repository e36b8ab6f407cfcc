#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace muster::wire {

/// Encrypts with AES-256-GCM: the nonce, then cipher text and tag. `key` has 32 bytes, `nonce` 12,
/// and never the same nonce twice under one key.
[[nodiscard]] std::string seal(const Secret& key, std::string_view nonce, std::string_view plain);

/// Undoes `seal`. Errors: corrupt (another key, or changed bytes).
[[nodiscard]] Result<Secret> unseal(const Secret& key, std::string_view sealed);

}  // namespace muster::wire
