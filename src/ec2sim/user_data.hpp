#pragma once

#include <string>
#include <string_view>

namespace ec2sim {

/// A shell script that does what cloud-init would do with this user data, in its order: `bootcmd`,
/// `write_files`, `ssh_authorized_keys`, `runcmd` and scripts, then the host keys on the console.
/// What it cannot do it says on the console. Multi-part documents are taken apart.
[[nodiscard]] std::string boot_script(std::string_view user_data, const std::string& default_user);

}  // namespace ec2sim
