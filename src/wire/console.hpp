#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/host_key.hpp"

namespace muster::wire {

/// The keys in the first complete `SSH HOST KEY KEYS` block of a console's text, as cloud-init
/// prints it; each line may carry a prefix. Empty without a complete block. Only what stands before
/// any job ran is to be trusted. (cloud-init, write-ssh-key-fingerprints)
[[nodiscard]] std::vector<HostKey> parse_console_host_keys(std::string_view console);

}  // namespace muster::wire
