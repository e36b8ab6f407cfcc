#pragma once

#include <string>

namespace muster {

/// A machine's public SSH host key as it stands in `known_hosts`.
struct HostKey {
  std::string type;    ///< `ssh-ed25519`
  std::string base64;  ///< The key blob.

  friend bool operator==(const HostKey&, const HostKey&) = default;
};

}  // namespace muster
