#pragma once

#include <string>

#include "base/result.hpp"
#include "wire/openssh_key.hpp"

namespace ec2sim {

/// What a machine's disk holds beside its image.
struct DiskContents {
  std::string dir;         ///< The machine's folder: gets `upper`, `work`, `root`, `docker`.
  std::string image_root;  ///< The lower layer; `/` for the host's own root.
  std::string hidden_dir;  ///< Hidden from the machine: the simulator's state.
  std::string hostname;
  std::string default_user;
  std::string dns_address;
  std::string boot_script;
  muster::wire::SshKeyPair host_key;
  std::string guest_program;  ///< The bytes of ec2sim-guest.
  std::string systemctl;      ///< The text of the service manager.
  bool has_docker = false;
  bool is_restart = false;  ///< The disk is there; only what a boot makes anew is written.
};

/// Makes the machine's folder. Errors: unavailable.
[[nodiscard]] muster::Status make_disk(const DiskContents& contents);

/// Removes a machine's folder with everything in it; what cannot go now goes at the next start.
void remove_disk(const std::string& dir);

}  // namespace ec2sim
