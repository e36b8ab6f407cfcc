#pragma once

#include <string>
#include <string_view>

namespace ec2sim {

/// What a boot script is made from.
struct BootSource {
  std::string user_data;     ///< Raw, as IMDS serves it; may be gzip.
  std::string default_user;  ///< Of the image.
  std::string public_key;    ///< Of the launch's key pair; empty without one.
  std::string folder;        ///< Where the machine keeps cloud-init's files.
};

/// A shell script that does what cloud-init would do with this user data, in its order: boothooks
/// and `bootcmd` at every boot; at the first one `write_files`, users and keys, packages, `runcmd`
/// and scripts; then the host keys on the console. What it cannot do it says on the console.
[[nodiscard]] std::string boot_script(const BootSource& source);

}  // namespace ec2sim
