#pragma once

#include <optional>
#include <string>

#include "base/secret.hpp"

namespace ec2sim {

/// A public key as EC2 keeps it.
struct PublicKey {
  std::string type;         ///< `rsa` or `ed25519`
  std::string public_line;  ///< In OpenSSH's format.
  std::string fingerprint;  ///< ed25519: SHA-256 of the blob; imported RSA: MD5 of the DER key.
};

/// Reads an OpenSSH public-key line (with or without a comment) or a PEM public key; nothing for
/// anything else.
[[nodiscard]] std::optional<PublicKey> read_public_key(const std::string& text);

struct CreatedKey {
  PublicKey key;  ///< RSA: the fingerprint is SHA-1 of the private key, as EC2 shows it.
  muster::Secret private_text;
};

/// A new pair of type `rsa` (2048 bits, PEM) or `ed25519` (OpenSSH).
[[nodiscard]] CreatedKey create_key_pair(const std::string& type, const std::string& comment);

}  // namespace ec2sim
