#include "ec2sim/user_data.hpp"

#include <fmt/format.h>

#include <vector>

#include "ports/machine.hpp"
#include "wire/encoding.hpp"
#include "wire/mime.hpp"
#include "wire/yaml.hpp"

namespace ec2sim {
namespace {

using muster::Node;
using muster::shell_quote;

/// The parts of one boot, in the order of cloud-init's modules.
struct Plan {
  std::string boot_commands;
  std::string files;
  std::string keys;
  std::string scripts;
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

void add_keys(Plan& plan, const Node& keys, const std::string& user) {
  plan.keys += fmt::format(
      "home=$(getent passwd {0} | cut -d: -f6)\nmkdir -p \"$home/.ssh\"\nchmod 700 "
      "\"$home/.ssh\"\n",
      user);
  for (const Node& key : keys.items) {
    plan.keys += fmt::format("echo {} >> \"$home/.ssh/authorized_keys\"\n", shell_quote(key.text));
  }
  plan.keys +=
      fmt::format("chmod 600 \"$home/.ssh/authorized_keys\"\nchown -R {0}: \"$home/.ssh\"\n", user);
}

void add_config(Plan& plan, std::string_view text, const std::string& user) {
  muster::wire::YamlOptions options;
  options.file = "user data";
  const muster::Result<Node> document = muster::wire::parse_yaml(text, options);
  if (!document) return complain(plan, document.error().message);
  for (const muster::Member& member : document->members) {
    if (member.key == "bootcmd") {
      for (const Node& command : member.value.items) plan.boot_commands += command_of(command);
    } else if (member.key == "runcmd") {
      for (const Node& command : member.value.items) plan.scripts += command_of(command);
    } else if (member.key == "write_files") {
      for (const Node& file : member.value.items) add_file(plan, file);
    } else if (member.key == "ssh_authorized_keys") {
      add_keys(plan, member.value, user);
    } else {
      complain(plan, fmt::format("cloud-config key \"{}\" is not supported yet", member.key));
    }
  }
}

void add_script(Plan& plan, std::string_view text) {
  const std::string path =
      fmt::format("/var/lib/cloud/instance/scripts/part-{:03}", ++plan.script_count);
  plan.scripts += fmt::format(
      "mkdir -p /var/lib/cloud/instance/scripts\nbase64 -d > {0} <<'EC2SIM'\n{1}\nEC2SIM\n"
      "chmod 700 {0}\n{0}\n",
      path, muster::wire::base64_encode(text));
}

void add_part(Plan& plan, std::string_view text, const std::string& user) {
  if (text.empty()) return;
  if (text.starts_with("#!")) return add_script(plan, text);
  if (text.starts_with("#cloud-config")) return add_config(plan, text, user);
  if (text.starts_with("Content-Type: multipart/") || text.starts_with("MIME-Version:")) {
    const auto parts = muster::wire::parse_multipart(text);
    if (!parts) return complain(plan, parts.error().message);
    for (const muster::wire::MimePart& part : *parts) {
      if (part.media_type == "text/cloud-config") {
        add_config(plan, part.body, user);
      } else if (part.media_type == "text/x-shellscript") {
        add_script(plan, part.body);
      } else {
        complain(plan, fmt::format("a part of type {} is not supported yet", part.media_type));
      }
    }
    return;
  }
  if (text.starts_with("\x1f\x8b")) return complain(plan, "gzip is not supported yet");
  complain(plan, "neither a script nor #cloud-config; ignored, as cloud-init does");
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

std::string boot_script(std::string_view user_data, const std::string& default_user) {
  Plan plan;
  add_part(plan, user_data, default_user);
  return fmt::format("#!/bin/sh\n{}{}{}{}{}", plan.boot_commands, plan.files, plan.keys,
                     plan.scripts, kPrintHostKeys);
}

}  // namespace ec2sim
