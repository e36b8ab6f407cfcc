#pragma once

#include <string>
#include <string_view>

#include "base/secret.hpp"

namespace muster::wire {

/// An ed25519 key pair in the forms that OpenSSH reads.
struct SshKeyPair {
  Secret private_text;      ///< An `OPENSSH PRIVATE KEY` block; sshd reads no PKCS#8 of this type.
  std::string public_line;  ///< `ssh-ed25519 AAAA… comment`
  std::string public_blob;  ///< The base64 part alone.
};

/// The pair that belongs to a 32-byte seed: always the same.
[[nodiscard]] SshKeyPair ssh_key_of_seed(std::string_view seed, std::string_view comment);

/// `SHA256:…` of a public key's base64 blob, as `ssh-keygen -l` prints it; empty for bad base64.
[[nodiscard]] std::string ssh_fingerprint(std::string_view public_blob);

}  // namespace muster::wire
