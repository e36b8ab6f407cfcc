#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster::wire {

/// A public host key as it stands in `known_hosts`.
struct HostKey {
  std::string type;    ///< `ssh-ed25519`
  std::string base64;  ///< The key blob.

  friend bool operator==(const HostKey&, const HostKey&) = default;
};

/// The keys in the first complete `SSH HOST KEY KEYS` block of a console's text, as cloud-init
/// prints it; each line may carry a prefix. Empty without a complete block. Only what stands before
/// any job ran is to be trusted. (cloud-init, write-ssh-key-fingerprints)
[[nodiscard]] std::vector<HostKey> parse_console_host_keys(std::string_view console);

}  // namespace muster::wire
