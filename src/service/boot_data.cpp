#include "service/boot_data.hpp"

#include <fmt/format.h>

#include "ports/machine.hpp"
#include "wire/gzip.hpp"
#include "wire/mime.hpp"

namespace muster {
namespace {

/// `shutdown` counts whole minutes; rounded up, so that a machine never ends too early.
long minutes_of(Duration duration) {
  const auto minutes = std::chrono::ceil<std::chrono::minutes>(duration).count();
  return minutes < 1 ? 1 : minutes;
}

}  // namespace

std::string boot_user_data(const BootData& data) {
  // The timer comes first: whatever fails later, the machine ends.
  std::string script = fmt::format(R"(#!/bin/sh
shutdown -h +{minutes} 'muster: no word for {minutes} min'
user={user}
home=$(getent passwd "$user" | cut -d: -f6)
if [ -n "$home" ]; then
  mkdir -p "$home/.ssh"
  echo {key} >> "$home/.ssh/authorized_keys"
  chmod 700 "$home/.ssh"
  chmod 600 "$home/.ssh/authorized_keys"
  chown -R "$user:" "$home/.ssh"
  # The group may come before the engine: its package takes the one that is there.
  getent group docker > /dev/null || groupadd --system docker
  usermod -aG docker "$user"
else
  echo "muster: the image has no user $user" > /dev/console
fi
{{
  echo '-----BEGIN SSH HOST KEY KEYS-----'
  cat /etc/ssh/ssh_host_*_key.pub
  echo '-----END SSH HOST KEY KEYS-----'
}} > /dev/console
)",
                                   fmt::arg("minutes", minutes_of(data.dead_man)),
                                   fmt::arg("user", shell_quote(data.user)),
                                   fmt::arg("key", shell_quote(data.public_key)));
  if (data.user_data.empty()) return script;
  const bool is_script = data.user_data.starts_with("#!");
  std::string whole = wire::write_multipart(
      {{"text/x-shellscript", std::move(script)},
       {is_script ? "text/x-shellscript" : "text/cloud-config", data.user_data}});
  // EC2 takes 16 KiB; cloud-init unpacks what was packed.
  constexpr std::size_t kPackAbove = 8 << 10;
  return whole.size() > kPackAbove ? wire::gzip(whole) : whole;
}

std::string extend_dead_man_command(Duration dead_man) {
  return fmt::format(
      "if [ \"$(id -u)\" = 0 ]; then s=; else s='sudo -n'; fi; "
      "PATH=$PATH:/usr/sbin:/sbin; $s shutdown -h +{} > /dev/null 2>&1",
      minutes_of(dead_man));
}

}  // namespace muster
