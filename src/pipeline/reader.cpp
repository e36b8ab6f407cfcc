#include "pipeline/reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.hpp"
#include "pipeline/glob.hpp"
#include "pipeline/settings.hpp"

namespace muster::pipeline {

bool Condition::matches(const std::string& value) const {
  const auto any = [&](const std::vector<std::string>& patterns) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches_glob(pattern, value); });
  };
  if (any(exclude)) return false;
  return include.empty() || any(include);
}

namespace {

/// Reads the parts of a pipeline.
class Reader : public NodeReader {
 public:
  explicit Reader(std::vector<Finding>& findings) : NodeReader(findings, false) {}

  /// A map of texts; with `allows_secrets` also of `{from_secret: NAME}`.
  Values environment(const Node& node, const std::string& path, bool allows_secrets) {
    Values out;
    if (!is_mapping(node, path)) return out;
    for (const Member& member : node.members) {
      const std::string at = path + "." + member.key;
      const Node* secret = member.value.find("from_secret");
      if (secret != nullptr && !allows_secrets) {
        error(member.value.mark, at, "a secret cannot be given to all steps.",
              "Set it on the steps that need it.");
      } else if (secret != nullptr) {
        out.emplace_back(member.key, Value{"", text(*secret, at + ".from_secret")});
      } else if (!member.value.is_null()) {
        out.emplace_back(member.key, Value{text(member.value, at), ""});
      }
    }
    return out;
  }
  Values settings(const Node& node, const std::string& path) {
    Values out;
    if (!is_mapping(node, path)) return out;
    for (const Member& member : node.members) {
      const std::string secret = member.value.text_at({"from_secret"});
      if (!secret.empty()) {
        out.emplace_back(member.key, Value{"", secret});
      } else if (const auto value = setting_text(member.value)) {
        out.emplace_back(member.key, Value{*value, ""});
      }
    }
    return out;
  }
  auto bytes(long& to, const std::string& path) {
    return [this, &to, path](const Node& at) {
      const auto size = parse_bytes(at.text);
      if (at.is_scalar() && size) {
        to = *size;
      } else {
        error(at.mark, path, fmt::format("\"{}\" is no size.", at.text),
              "Write one such as 512MiB.");
      }
    };
  }
  std::vector<std::pair<std::string, std::string>> ports(const Node& node,
                                                         const std::string& path) {
    std::vector<std::pair<std::string, std::string>> out;
    if (!is_mapping(node, path)) return out;
    for (const Member& member : node.members) {
      out.emplace_back(member.key, text(member.value, path + "." + member.key));
    }
    return out;
  }
  Condition condition(const Node& node, const std::string& path) {
    Condition out;
    if (!node.is_mapping()) {
      out.include = texts(node, path);
      return out;
    }
    members(node, path,
            {{"include", [&](const Node& at) { out.include = texts(at, path + ".include"); }},
             {"exclude", [&](const Node& at) { out.exclude = texts(at, path + ".exclude"); }}});
    return out;
  }
  /// Drone takes any word for an event; one that it does not have never happens.
  void check_events(const Node& node, const std::string& path) {
    static const std::vector<std::string> kEvents{"push",     "pull_request", "tag",   "promote",
                                                  "rollback", "cron",         "custom"};
    for (const Member& member : node.members) check_events(member.value, path + "." + member.key);
    for (const Node& item : node.items) check_events(item, path);
    const bool is_word = node.is_scalar() && node.text.find_first_of("*?[{") == std::string::npos;
    if (!is_word || std::find(kEvents.begin(), kEvents.end(), node.text) != kEvents.end()) return;
    const auto near = nearest_name(node.text, kEvents);
    warn(node.mark, path, fmt::format("\"{}\" is no event of Drone.", node.text),
         near ? fmt::format("Did you mean {}?", *near) : std::string());
  }
  Conditions conditions(const Node& node, const std::string& path) {
    Conditions out;
    Keys keys;
    for (const char* name :
         {"branch", "event", "action", "ref", "repo", "target", "cron", "instance"}) {
      keys[name] = [this, &out, path, name](const Node& at) {
        out.by_key[name] = condition(at, path + "." + name);
        if (name == std::string_view("event")) check_events(at, path + ".event");
      };
    }
    keys["status"] = [&](const Node& at) { out.status = condition(at, path + ".status"); };
    members(node, path, keys, {"paths"});
    return out;
  }
  Step step(const Node& node, const std::string& path, bool is_service) {
    Step out;
    out.is_service = is_service;
    out.is_detached = is_service;
    out.mark = node.mark;
    out.path = path;
    for (const Member& member : node.members) out.marks[member.key] = member.value.mark;
    const auto list = [&](std::vector<std::string>& to, const char* name) {
      return [this, &to, path, name](const Node& at) { to = texts(at, path + "." + name); };
    };
    const auto word = [&](std::string& to, const char* name) {
      return [this, &to, path, name](const Node& at) { to = text(at, path + "." + name); };
    };
    const Keys keys{
        {"name", word(out.name, "name")},
        {"image", word(out.image, "image")},
        {"commands", list(out.commands, "commands")},
        {"command", list(out.command, "command")},
        {"entrypoint", list(out.entrypoint, "entrypoint")},
        {"depends_on", list(out.depends_on, "depends_on")},
        {"pull", word(out.pull, "pull")},
        {"user", word(out.user, "user")},
        {"working_dir", word(out.working_dir, "working_dir")},
        {"environment",
         [&](const Node& at) { out.environment = environment(at, path + ".environment", true); }},
        {"settings", [&](const Node& at) { out.settings = settings(at, path + ".settings"); }},
        {"privileged",
         [&](const Node& at) { out.is_privileged = boolean(at, path + ".privileged"); }},
        {"network_mode", word(out.options.network_mode, "network_mode")},
        {"dns", list(out.options.dns, "dns")},
        {"dns_search", list(out.options.dns_search, "dns_search")},
        {"extra_hosts", list(out.options.extra_hosts, "extra_hosts")},
        {"devices", [&](const Node& at) { out.devices = mounts(at, path + ".devices"); }},
        {"port_bindings",
         [&](const Node& at) { out.options.ports = ports(at, path + ".port_bindings"); }},
        {"shm_size", bytes(out.options.shm_bytes, path + ".shm_size")},
        {"mem_limit", bytes(out.options.memory_bytes, path + ".mem_limit")},
        {"memswap_limit", bytes(out.options.memory_swap_bytes, path + ".memswap_limit")},
        {"detach",
         [&](const Node& at) { out.is_detached = boolean(at, path + ".detach") || is_service; }},
        {"when", [&](const Node& at) { out.when = conditions(at, path + ".when"); }},
        {"volumes", [&](const Node& at) { out.volumes = mounts(at, path + ".volumes"); }},
        {"failure",
         [&](const Node& at) {
           const std::string value = text(at, path + ".failure");
           if (value == "ignore") out.failure = FailurePolicy::ignore;
           if (value == "fast" || value == "fast-fail" || value == "fail-fast") {
             out.failure = FailurePolicy::fail_fast;
           } else if (value != "ignore" && !value.empty()) {
             warn(at.mark, path + ".failure", fmt::format("\"{}\" counts as the default.", value),
                  "Use ignore or fail-fast.");
           }
         }},
        {"shell", [](const Node&) {}},  // Parsed and without effect in every Drone runner.
    };
    members(node, path, keys);
    for (std::string* value : {&out.pull}) {
      for (char& c : *value) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return out;
  }
  std::vector<VolumeMount> mounts(const Node& node, const std::string& path) {
    std::vector<VolumeMount> out;
    if (!is_list(node, path)) return out;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      VolumeMount mount;
      const std::string at = fmt::format("{}[{}]", path, i);
      members(node.items[i], at,
              {{"name", [&](const Node& value) { mount.name = text(value, at + ".name"); }},
               {"path", [&](const Node& value) { mount.path = text(value, at + ".path"); }}});
      out.push_back(std::move(mount));
    }
    return out;
  }
  std::vector<Step> steps(const Node& node, const std::string& path, bool is_service) {
    std::vector<Step> out;
    if (!is_list(node, path)) return out;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      if (node.items[i].is_null()) {
        error(node.items[i].mark, at, "Linter: detected nil step");
      } else {
        out.push_back(step(node.items[i], at, is_service));
      }
    }
    return out;
  }
  std::vector<Volume> volumes(const Node& node, const std::string& path) {
    std::vector<Volume> out;
    if (!is_list(node, path)) return out;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      Volume volume;
      volume.mark = node.items[i].mark;
      volume.path = at;
      bool is_temporary = false;
      const auto temp = [&](const Node& value) {
        is_temporary = true;
        members(value, at + ".temp",
                {{"medium",
                  [&](const Node& medium) {
                    volume.is_memory = text(medium, at + ".temp.medium") == "memory";
                    if (!volume.is_memory && !medium.text.empty()) {
                      error(medium.mark, at + ".temp.medium",
                            fmt::format("\"{}\" is no medium.", medium.text), "Use memory.");
                    }
                  }},
                 {"size_limit", bytes(volume.size_bytes_max, at + ".temp.size_limit")}});
      };
      const auto host = [&](const Node& value) {
        members(
            value, at + ".host",
            {{"path",
              [&](const Node& path_at) { volume.host_path = text(path_at, at + ".host.path"); }},
             // Docker's runner does not know it either.
             {"read_only", [&](const Node& flag) {
                if (!boolean(flag, at + ".host.read_only")) return;
                warn(flag.mark, at + ".host.read_only",
                     "has no effect: as with Drone, the folder stays writable.");
              }}});
        if (!volume.host_path.starts_with('/')) {
          error(value.mark, at + ".host.path",
                fmt::format("\"{}\" is not absolute.", volume.host_path),
                "Name a path of the machine.");
        }
      };
      members(node.items[i], at,
              {{"name", [&](const Node& value) { volume.name = text(value, at + ".name"); }},
               {"temp", temp},
               {"host", host},
               {"claim", [](const Node&) {}}});  // Only of the Kubernetes runner.
      if (is_temporary || !volume.host_path.empty()) {
        out.push_back(std::move(volume));
      } else if (node.items[i].find("host") == nullptr) {
        warn(volume.mark, at, "has neither temp nor host, so no step can mount it.",
             "Write temp: {} or host: {path: …}.");
      }
    }
    return out;
  }
  void platform(const Node& node, Pipeline& out) {
    members(node, "platform",
            {{"os",
              [&](const Node& at) {
                out.platform_os = text(at, "platform.os");
                if (out.platform_os != "linux" && !out.platform_os.empty()) {
                  error(at.mark, "platform.os",
                        fmt::format("\"{}\" is not supported yet.", out.platform_os), "Use linux.");
                }
              }},
             {"arch",
              [&](const Node& at) {
                out.platform_arch = text(at, "platform.arch");
                if (out.platform_arch != "amd64" && out.platform_arch != "arm64") {
                  error(at.mark, "platform.arch",
                        fmt::format("\"{}\" is no architecture of EC2.", out.platform_arch),
                        "Use amd64 or arm64.");
                }
              }},
             {"variant", [](const Node&) {}},
             {"version", [](const Node&) {}},
             {"os_name", [](const Node&) {}}});
  }
  void clone(const Node& node, Clone& out) {
    members(node, "clone",
            {{"disable", [&](const Node& at) { out.is_disabled = boolean(at, "clone.disable"); }},
             {"depth", [&](const Node& at) { out.depth = integer(at, "clone.depth"); }},
             {"retries", [&](const Node& at) { out.retries = integer(at, "clone.retries"); }},
             {"skip_verify",
              [&](const Node& at) { out.skips_verify = boolean(at, "clone.skip_verify"); }},
             {"trace", [&](const Node& at) { out.traces = boolean(at, "clone.trace"); }}});
  }
  void instance(const Node& node, InstanceBlock& out);
};

/// Reads the instance block; unknown keys are errors.
class InstanceReader : public NodeReader {
 public:
  explicit InstanceReader(std::vector<Finding>& findings) : NodeReader(findings, true) {}
  void read(const Node& node, InstanceBlock& out);
};

/// Accepts the names of the pre-alpha runner (`ami`, `type`, nested `disk`, `network`, `device`)
/// and of the proposal's driver arguments (`image`, `size`, `subnet`, `volume_size`, …).
void Reader::instance(const Node& node, InstanceBlock& out) {
  // A typo here would launch another machine than was meant, so unknown keys are errors.
  InstanceReader(findings()).read(node, out);
}

void InstanceReader::read(const Node& node, InstanceBlock& out) {
  const auto word = [this](std::string& to, const std::string& path) {
    return [this, &to, path](const Node& at) { to = text(at, path); };
  };
  const auto number = [this](std::optional<int>& to, const std::string& path) {
    return [this, &to, path](const Node& at) { to = integer(at, path); };
  };
  const auto groups = [&](const Node& at) {
    for (std::string& name : texts(at, "instance.groups")) {
      out.security_groups.push_back(std::move(name));
    }
  };
  // `true`: no public address. An address: that one.
  const auto private_ip = [&](const Node& at) {
    const auto flag = yaml_boolean(at.text);
    if (flag && !at.is_quoted) {
      out.has_private_address_only = flag;
    } else {
      out.private_address = text(at, "instance.private_ip");
    }
  };
  const auto disk = [&](const Node& at) {
    members(at, "instance.disk",
            {{"size", number(out.disk_size_gib, "instance.disk.size")},
             {"type", word(out.disk_type, "instance.disk.type")},
             {"iops", number(out.disk_iops, "instance.disk.iops")}});
  };
  const auto network = [&](const Node& at) {
    members(at, "instance.network",
            {{"subnet_id", word(out.subnet, "instance.network.subnet_id")},
             {"security_groups", groups},
             {"vpc_security_group_ids", groups},
             {"private_ip", private_ip}},
            {"vpc"});
  };
  const auto device = [&](const Node& at) {
    if (at.is_scalar()) {
      out.device = at.text;
    } else {
      members(at, "instance.device", {{"name", word(out.device, "instance.device.name")}});
    }
  };
  const auto tags = [&](const Node& at) {
    if (!is_mapping(at, "instance.tags")) return;
    for (const Member& member : at.members) {
      out.tags[member.key] = text(member.value, "instance.tags." + member.key);
    }
  };
  members(node, "instance",
          {{"ami", word(out.image, "instance.ami")},
           {"image", word(out.image, "instance.image")},
           {"name", word(out.name, "instance.name")},
           {"region", word(out.region, "instance.region")},
           {"type", word(out.type, "instance.type")},
           {"size", word(out.type, "instance.size")},
           {"user", word(out.user, "instance.user")},
           {"iam_profile_arn", word(out.iam_profile, "instance.iam_profile_arn")},
           {"key_name", word(out.key_name, "instance.key_name")},
           {"userdata", word(out.user_data, "instance.userdata")},
           {"user_data", word(out.user_data, "instance.user_data")},
           {"market_type", word(out.market_type, "instance.market_type")},
           {"subnet", word(out.subnet, "instance.subnet")},
           {"groups", groups},
           {"private_ip", private_ip},
           {"volume_type", word(out.disk_type, "instance.volume_type")},
           {"volume_size", number(out.disk_size_gib, "instance.volume_size")},
           {"volume_iops", number(out.disk_iops, "instance.volume_iops")},
           {"device", device},
           {"disk", disk},
           {"network", network},
           {"tags", tags}},
          {"private_key", "public_key", "use", "use_pool"});
  if (!out.market_type.empty() && out.market_type != "spot" && out.market_type != "on-demand") {
    error(node.mark, "instance.market_type", fmt::format("\"{}\" is no market.", out.market_type),
          "Use spot or on-demand.");
  }
}

}  // namespace

std::vector<DocumentText> split_documents(std::string_view text) {
  std::vector<DocumentText> out(1);
  int line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    const std::string_view line = text.substr(0, end + 1);
    text = text.substr(end + 1);
    if (line.starts_with("...")) break;
    if (line.starts_with("---")) {
      out.push_back({line_number + 1, {}});
    } else {
      out.back().text += line;
    }
  }
  return out;
}

bool is_pipeline(const Node& document) {
  if (document.text_at({"kind"}) != "pipeline") return false;
  const Node* type = document.find("type");
  if (type == nullptr || type->text.empty()) return true;
  return type->text == "aws" || type->text == "vm" || type->text == "docker" ||
         type->text == "exec";
}

Pipeline read_pipeline(const Node& document, std::vector<Finding>& findings) {
  Reader reader(findings);
  Pipeline out;
  out.mark = document.mark;
  const NodeReader::Keys keys{
      {"kind", [](const Node&) {}},
      {"version", [](const Node&) {}},
      {"type",
       [&](const Node& at) { out.type = at.text.empty() ? "docker" : reader.text(at, "type"); }},
      {"name",
       [&](const Node& at) { out.name = at.text.empty() ? "default" : reader.text(at, "name"); }},
      {"platform", [&](const Node& at) { reader.platform(at, out); }},
      {"pool",
       [&](const Node& at) {
         reader.members(
             at, "pool",
             {{"use", [&](const Node& use) { out.pool = reader.text(use, "pool.use"); }}});
       }},
      {"clone", [&](const Node& at) { reader.clone(at, out.clone); }},
      {"workspace",
       [&](const Node& at) {
         reader.members(at, "workspace",
                        {{"base",
                          [&](const Node& value) {
                            out.workspace_base = reader.text(value, "workspace.base");
                          }},
                         {"path", [&](const Node& value) {
                            out.workspace_path = reader.text(value, "workspace.path");
                          }}});
       }},
      {"environment",
       [&](const Node& at) { out.environment = reader.environment(at, "environment", false); }},
      {"steps", [&](const Node& at) { out.steps = reader.steps(at, "steps", false); }},
      {"services", [&](const Node& at) { out.services = reader.steps(at, "services", true); }},
      {"volumes", [&](const Node& at) { out.volumes = reader.volumes(at, "volumes"); }},
      {"instance",
       [&](const Node& at) {
         out.instance.emplace();
         reader.instance(at, *out.instance);
       }},
      // A CI server decides by these before a runner sees the pipeline; `exec` runs just this one.
      {"depends_on", [&](const Node& at) { static_cast<void>(reader.texts(at, "depends_on")); }},
      {"trigger", [&](const Node& at) { static_cast<void>(reader.conditions(at, "trigger")); }},
      {"node", [&](const Node& at) { static_cast<void>(reader.is_mapping(at, "node")); }},
      {"concurrency",
       [&](const Node& at) {
         reader.members(at, "concurrency",
                        {{"limit", [&](const Node& limit) {
                            static_cast<void>(reader.integer(limit, "concurrency.limit"));
                          }}});
       }},
  };
  reader.members(document, "", keys, {"image_pull_secrets", "account", "pool_count"});
  return out;
}

}  // namespace muster::pipeline
