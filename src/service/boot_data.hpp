#pragma once

#include <string>

#include "base/time.hpp"

namespace muster {

/// What goes into a machine's user data. No secret is among it: every process on the machine and
/// every reader of the instance's attributes can read user data.
struct BootData {
  std::string user;        ///< Who gets the key.
  std::string public_key;  ///< One line of `authorized_keys`.
  Duration dead_man{};     ///< The machine ends itself after this long without word.
  std::string user_data;   ///< The pool's own, run afterwards; a script or a cloud-config.
};

/// User data that arms the dead-man timer, admits the key and shows the host keys on the console,
/// then runs the pool's own.
[[nodiscard]] std::string boot_user_data(const BootData& data);

/// The command that sets the dead-man timer anew, for root or a user with password-less sudo.
[[nodiscard]] std::string extend_dead_man_command(Duration dead_man);

}  // namespace muster
