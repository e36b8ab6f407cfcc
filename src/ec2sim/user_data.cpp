#include "ec2sim/user_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ports/machine.hpp"
#include "wire/encoding.hpp"
#include "wire/gzip.hpp"
#include "wire/mime.hpp"
#include "wire/yaml.hpp"

namespace ec2sim {
namespace {

using muster::Node;
using muster::shell_quote;
using muster::yaml_boolean;

/// The parts of one boot, in the order of cloud-init's modules.
struct Plan {
  BootSource source;
  std::string user;  // Whom keys without a user of their own are for.
  std::string boot_commands;
  std::string files;
  std::string users;
  std::string keys;
  std::string packages;
  std::string scripts;
  std::string end;
  int script_count = 0;
};

void complain(Plan& plan, std::string_view what) {
  plan.scripts += fmt::format("echo {}\n", shell_quote(fmt::format("ec2sim: user data: {}", what)));
}

/// A command of `bootcmd` or `runcmd`: a list is an argument vector, text is for the shell.
std::string command_of(const Node& node) {
  if (node.is_scalar()) return "sh -c " + shell_quote(node.text) + "\n";
  std::string line;
  for (const Node& word : node.items) line += (line.empty() ? "" : " ") + shell_quote(word.text);
  return line.empty() ? "" : line + "\n";
}

void add_file(Plan& plan, const Node& file) {
  const std::string path = file.text_at({"path"});
  if (path.empty()) return complain(plan, "a write_files entry without a path");
  const std::string encoding = file.text_at({"encoding"});
  const std::string content = file.text_at({"content"});
  std::string encoded = muster::wire::base64_encode(content);
  if (encoding == "b64" || encoding == "base64") {
    encoded = content;
  } else if (!encoding.empty() && encoding != "text/plain") {
    return complain(plan,
                    fmt::format("write_files encoding \"{}\" is not supported yet", encoding));
  }
  const bool appends = file.text_at({"append"}) == "true";
  const std::string mode = file.text_at({"permissions"});
  const std::string owner = file.text_at({"owner"});
  plan.files +=
      fmt::format("mkdir -p \"$(dirname {0})\"\nbase64 -d {2} {0} <<'EC2SIM'\n{1}\nEC2SIM\n",
                  shell_quote(path), encoded, appends ? ">>" : ">");
  plan.files +=
      fmt::format("chmod {} {}\n", mode.empty() ? "0644" : shell_quote(mode), shell_quote(path));
  if (!owner.empty())
    plan.files += fmt::format("chown {} {}\n", shell_quote(owner), shell_quote(path));
}

void add_keys(Plan& plan, const std::vector<std::string>& keys, const std::string& user) {
  if (keys.empty()) return;
  plan.keys += fmt::format(
      "home=$(getent passwd {0} | cut -d: -f6)\nmkdir -p \"$home/.ssh\"\nchmod 700 "
      "\"$home/.ssh\"\n",
      shell_quote(user));
  for (const std::string& key : keys) {
    plan.keys += fmt::format("echo {} >> \"$home/.ssh/authorized_keys\"\n", shell_quote(key));
  }
  plan.keys += fmt::format(
      "chmod 600 \"$home/.ssh/authorized_keys\"\nchown -R {}: \"$home/.ssh\"\n", shell_quote(user));
}

std::vector<std::string> texts_of(const Node& node) {
  std::vector<std::string> texts;
  if (node.is_scalar()) texts.push_back(node.text);
  for (const Node& item : node.items) texts.push_back(item.text);
  return texts;
}

/// An account of `users` or `system_info.default_user`.
void add_user(Plan& plan, const Node& user) {
  const std::string name = user.text_at({"name"});
  if (name.empty()) return complain(plan, "a user without a name");
  const auto option = [&](const char* key, const char* flag) {
    const std::string value = user.text_at({key});
    return value.empty() ? std::string() : fmt::format(" {} {}", flag, shell_quote(value));
  };
  const std::string home =
      user.text_at({"homedir"}).empty() ? option("home", "-d") : option("homedir", "-d");
  plan.users +=
      fmt::format("id {0} > /dev/null 2>&1 || useradd -m{1}{2} {0}\n", shell_quote(name), home,
                  user.text_at({"shell"}).empty() ? " -s /bin/bash" : option("shell", "-s"));
  // A new account is locked, which sshd without PAM takes for "may not log in".
  plan.users += fmt::format("usermod -p '*' {}\n", shell_quote(name));
  if (const Node* groups = user.find("groups")) {
    for (std::string text : texts_of(*groups)) {
      std::replace(text.begin(), text.end(), ',', ' ');
      plan.users += fmt::format(
          "for group in {0}; do getent group \"$group\" > /dev/null || groupadd \"$group\"; "
          "usermod -aG \"$group\" {1}; done\n",
          text.find_first_of(";&|$`\"'\\<>(){}\n") == std::string::npos ? text : shell_quote(text),
          shell_quote(name));
    }
  }
  if (const Node* sudo = user.find("sudo")) {
    for (const std::string& rule : texts_of(*sudo)) {
      plan.users += fmt::format("echo {} >> /etc/sudoers.d/90-cloud-init-users\n",
                                shell_quote(name + " " + rule));
    }
    plan.users += "chmod 440 /etc/sudoers.d/90-cloud-init-users\n";
  }
  for (const char* key : {"ssh_authorized_keys", "ssh-authorized-keys"}) {
    if (const Node* keys = user.find(key)) add_keys(plan, texts_of(*keys), name);
  }
}

void add_packages(Plan& plan, const Node& packages) {
  std::string names;
  for (const Node& one : packages.items) {
    // `[name, version]` pins a version.
    names += " " + shell_quote(one.is_sequence() && one.items.size() == 2
                                   ? one.items[0].text + "=" + one.items[1].text
                                   : one.text);
  }
  if (names.empty()) return;
  plan.packages += fmt::format(
      "missing=\nfor package in{}; do dpkg -s \"${{package%%=*}}\" > /dev/null 2>&1 || "
      "missing=\"$missing $package\"; done\n"
      "if [ -n \"$missing\" ]; then apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get "
      "-qqy "
      "install $missing || echo \"ec2sim: user data: cannot install$missing\"; fi\n",
      names);
}

void add_sources(Plan& plan, const Node& sources) {
  for (const muster::Member& source : sources.members) {
    std::string name = source.key;
    if (!name.ends_with(".list")) name += ".list";
    const std::string line = source.value.text_at({"source"});
    const std::string key = source.value.text_at({"key"});
    if (!line.empty()) {
      plan.packages += fmt::format("echo {} > /etc/apt/sources.list.d/{}\n", shell_quote(line),
                                   shell_quote(name));
    }
    if (!key.empty()) {
      plan.packages += fmt::format("echo {} > /etc/apt/trusted.gpg.d/{}.asc\n", shell_quote(key),
                                   shell_quote(source.key));
    }
  }
}

void add_power_state(Plan& plan, const Node& state) {
  const std::string mode = state.text_at({"mode"});
  const std::string delay = state.text_at({"delay"});
  const std::string when = delay.empty() || delay == "now" ? "now" : delay;
  if (mode != "poweroff" && mode != "halt" && mode != "reboot") {
    return complain(plan,
                    fmt::format("power_state.mode \"{}\" is none of poweroff, halt, reboot", mode));
  }
  plan.end += fmt::format("shutdown {} {}\n", mode == "reboot" ? "-r" : "-h", shell_quote(when));
}

void add_config(Plan& plan, std::string_view text) {
  muster::wire::YamlOptions options;
  options.file = "user data";
  const muster::Result<Node> document = muster::wire::parse_yaml(text, options);
  if (!document) return complain(plan, document.error().message);
  // Who the default user is decides for whom the keys are.
  if (const Node* info = document->find("system_info")) {
    if (const Node* user = info->find("default_user")) {
      add_user(plan, *user);
      if (!user->text_at({"name"}).empty()) plan.user = user->text_at({"name"});
    }
  }
  for (const muster::Member& member : document->members) {
    const Node& value = member.value;
    if (member.key == "bootcmd") {
      for (const Node& command : value.items) plan.boot_commands += command_of(command);
    } else if (member.key == "runcmd") {
      for (const Node& command : value.items) plan.scripts += command_of(command);
    } else if (member.key == "write_files") {
      for (const Node& file : value.items) add_file(plan, file);
    } else if (member.key == "ssh_authorized_keys") {
      add_keys(plan, texts_of(value), plan.user);
    } else if (member.key == "users") {
      for (const Node& user : value.items) {
        if (!user.is_scalar()) add_user(plan, user);
      }
    } else if (member.key == "packages") {
      add_packages(plan, value);
    } else if (member.key == "package_update" || member.key == "package_upgrade") {
      if (yaml_boolean(value.text).value_or(false)) {
        plan.packages +=
            fmt::format("apt-get -qq {} || echo 'ec2sim: user data: {} failed'\n",
                        member.key == "package_update" ? "update" : "-y upgrade", member.key);
      }
    } else if (member.key == "apt") {
      if (const Node* sources = value.find("sources")) add_sources(plan, *sources);
    } else if (member.key == "hostname" || member.key == "fqdn") {
      const std::string name = value.text.substr(0, value.text.find('.'));
      plan.boot_commands +=
          fmt::format("echo {0} > /etc/hostname; hostname {0}\n", shell_quote(name));
    } else if (member.key == "final_message") {
      plan.end += fmt::format("echo {}\n", shell_quote(value.text));
    } else if (member.key == "power_state") {
      add_power_state(plan, value);
    } else if (member.key != "system_info" && member.key != "disable_root" &&
               member.key != "output") {
      complain(plan, fmt::format("cloud-config key \"{}\" is not supported yet", member.key));
    }
  }
}

void add_script(Plan& plan, std::string_view text) {
  const std::string path = fmt::format("\"$folder\"/scripts/part-{:03}", ++plan.script_count);
  plan.scripts += fmt::format("base64 -d > {0} <<'EC2SIM'\n{1}\nEC2SIM\nchmod 700 {0}\n{0}\n", path,
                              muster::wire::base64_encode(text));
}

/// A boothook runs at every boot, and before everything else.
void add_boothook(Plan& plan, std::string_view text) {
  const std::string path = fmt::format("\"$folder\"/boothook-{:03}", ++plan.script_count);
  const std::size_t line = text.find('\n');
  std::string body(line == std::string_view::npos ? "" : text.substr(line + 1));
  if (!body.starts_with("#!")) body.insert(0, "#!/bin/sh\n");
  plan.boot_commands += fmt::format("base64 -d > {0} <<'EC2SIM'\n{1}\nEC2SIM\nchmod 700 {0}\n{0}\n",
                                    path, muster::wire::base64_encode(body));
}

void add_part(Plan& plan, std::string_view text, int depth) {
  if (text.empty()) return;
  if (muster::wire::is_gzip(text)) {
    const auto unpacked = muster::wire::gunzip(text);
    if (!unpacked) return complain(plan, unpacked.error().message);
    if (depth > 3) return complain(plan, "gzip within gzip");
    return add_part(plan, *unpacked, depth + 1);
  }
  if (text.starts_with("#!")) return add_script(plan, text);
  if (text.starts_with("#cloud-config\n") || text.starts_with("#cloud-config\r\n") ||
      text == "#cloud-config") {
    return add_config(plan, text);
  }
  if (text.starts_with("#cloud-boothook")) return add_boothook(plan, text);
  const bool is_multipart =
      text.starts_with("Content-Type: multipart/") || text.starts_with("MIME-Version:");
  if (!is_multipart)
    return complain(plan, "neither a script nor #cloud-config; ignored, as cloud-init does");
  const auto parts = muster::wire::parse_multipart(text);
  if (!parts) return complain(plan, parts.error().message);
  for (const muster::wire::MimePart& part : *parts) {
    if (part.media_type == "text/cloud-config") {
      add_config(plan, part.body);
    } else if (part.media_type == "text/x-shellscript") {
      add_script(plan, part.body);
    } else if (part.media_type == "text/cloud-boothook") {
      add_boothook(plan, "\n" + part.body);
    } else if (muster::wire::is_gzip(part.body) && depth < 3) {
      add_part(plan, part.body, depth + 1);
    } else {
      complain(plan, fmt::format("a part of type {} is not supported yet", part.media_type));
    }
  }
}

constexpr std::string_view kPrintHostKeys = R"(
{
  echo '-----BEGIN SSH HOST KEY FINGERPRINTS-----'
  for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -l -f "$key"; done
  echo '-----END SSH HOST KEY FINGERPRINTS-----'
  echo '-----BEGIN SSH HOST KEY KEYS-----'
  cat /etc/ssh/ssh_host_*_key.pub
  echo '-----END SSH HOST KEY KEYS-----'
} 2>/dev/null | sed 's/^/<14>ec2: /; s/$/\r/' > /dev/console
echo 'Cloud-init finished.'
)";

}  // namespace

std::string boot_script(const BootSource& source) {
  Plan plan;
  plan.source = source;
  plan.user = source.default_user;
  add_part(plan, source.user_data, 0);
  Plan launch_key;
  if (!source.public_key.empty()) add_keys(launch_key, {source.public_key}, plan.user);
  return fmt::format(
      "#!/bin/sh\nfolder={}\nmkdir -p \"$folder/scripts\"\n{}"
      "if [ ! -e \"$folder/booted\" ]; then\n: > \"$folder/booted\"\n{}{}{}{}{}{}fi\n{}{}",
      shell_quote(source.folder), plan.boot_commands, plan.files, plan.users, launch_key.keys,
      plan.keys, plan.packages, plan.scripts, kPrintHostKeys, plan.end);
}

}  // namespace ec2sim
