#include <fmt/format.h>

#include "pipeline/mask.hpp"
#include "pipeline/stage.hpp"

namespace muster::pipeline {
namespace {

Node texts(const std::vector<std::string>& values) {
  Node list = Node::sequence();
  for (const std::string& value : values) list.items.push_back(Node::string(value));
  return list;
}

std::vector<std::string> texts_at(const Node& node, std::string_view key) {
  std::vector<std::string> out;
  if (const Node* list = node.find(key)) {
    for (const Node& item : list->items) out.push_back(item.text);
  }
  return out;
}

std::map<std::string, std::string> map_at(const Node& node, std::string_view key) {
  std::map<std::string, std::string> out;
  if (const Node* map = node.find(key)) {
    for (const Member& member : map->members) out[member.key] = member.value.text;
  }
  return out;
}

Node map_of(const std::map<std::string, std::string>& values) {
  Node node = Node::mapping();
  for (const auto& [key, value] : values) node.set(key, Node::string(value));
  return node;
}

long number_at(const Node& node, std::string_view key) {
  return static_cast<long>(parse_integer(node.text_at({key})).value_or(0));
}

Node options_of(const ContainerOptions& options) {
  Node out = Node::mapping();
  if (!options.network_mode.empty()) out.set("network_mode", Node::string(options.network_mode));
  if (!options.dns.empty()) out.set("dns", texts(options.dns));
  if (!options.dns_search.empty()) out.set("dns_search", texts(options.dns_search));
  if (!options.extra_hosts.empty()) out.set("extra_hosts", texts(options.extra_hosts));
  Node ports = Node::mapping();
  for (const auto& [outer, inner] : options.ports) ports.set(outer, Node::string(inner));
  if (!options.ports.empty()) out.set("port_bindings", std::move(ports));
  if (options.shm_bytes > 0) out.set("shm_size", Node::number(options.shm_bytes));
  if (options.memory_bytes > 0) out.set("mem_limit", Node::number(options.memory_bytes));
  if (options.memory_swap_bytes > 0)
    out.set("memswap_limit", Node::number(options.memory_swap_bytes));
  return out;
}

ContainerOptions read_options(const Node& node) {
  ContainerOptions options;
  options.network_mode = node.text_at({"network_mode"});
  options.dns = texts_at(node, "dns");
  options.dns_search = texts_at(node, "dns_search");
  options.extra_hosts = texts_at(node, "extra_hosts");
  for (const auto& [outer, inner] : map_at(node, "port_bindings"))
    options.ports.emplace_back(outer, inner);
  options.shm_bytes = number_at(node, "shm_size");
  options.memory_bytes = number_at(node, "mem_limit");
  options.memory_swap_bytes = number_at(node, "memswap_limit");
  return options;
}

std::string name_of(RunPolicy policy) {
  return policy == RunPolicy::on_failure ? "on-failure"
         : policy == RunPolicy::always   ? "always"
                                         : "";
}

Node step_document(const StageStep& step, bool shows_secrets) {
  Node one = Node::mapping();
  one.set("number", Node::number(step.number)).set("name", Node::string(step.name));
  if (!step.image.empty()) one.set("image", Node::string(step.image));
  if (!step.script.empty()) one.set("script", Node::string(step.script));
  if (!step.entrypoint.empty()) one.set("entrypoint", texts(step.entrypoint));
  if (!step.command.empty()) one.set("command", texts(step.command));
  one.set("environment", map_of(step.environment));
  if (!step.secrets.empty()) {
    Node secrets = Node::mapping();
    for (const auto& [name, value] : step.secrets) {
      secrets.set(name, Node::string(shows_secrets   ? value.reveal()
                                     : value.empty() ? std::string()
                                                     : std::string(kMask)));
    }
    one.set("secrets", std::move(secrets));
  }
  if (!step.folder.empty()) one.set("working_dir", Node::string(step.folder));
  if (!step.user.empty()) one.set("user", Node::string(step.user));
  if (!step.pull.empty()) one.set("pull", Node::string(step.pull));
  if (step.is_privileged) one.set("privileged", Node::boolean(true));
  Node mounts = Node::sequence();
  for (const StageMount& mount : step.mounts) {
    Node at = Node::mapping();
    if (mount.kind == MountKind::memory) {
      at.set("medium", Node::string("memory"));
      if (mount.size_bytes_max > 0) at.set("size_limit", Node::number(mount.size_bytes_max));
    } else {
      at.set(mount.kind == MountKind::volume ? "volume" : "host", Node::string(mount.source));
    }
    mounts.items.push_back(at.set("path", Node::string(mount.target)));
  }
  if (!mounts.items.empty()) one.set("mounts", std::move(mounts));
  Node devices = Node::sequence();
  for (const VolumeMount& device : step.devices) {
    Node at = Node::mapping();
    devices.items.push_back(
        at.set("name", Node::string(device.name)).set("path", Node::string(device.path)));
  }
  if (!devices.items.empty()) one.set("devices", std::move(devices));
  Node options = options_of(step.options);
  if (!options.members.empty()) one.set("options", std::move(options));
  if (!step.depends_on.empty()) one.set("depends_on", texts(step.depends_on));
  const std::string policy = name_of(step.run_policy);
  if (!policy.empty()) one.set("run_policy", Node::string(policy));
  if (step.failure == FailurePolicy::ignore) one.set("err_policy", Node::string("ignore"));
  if (step.failure == FailurePolicy::fail_fast) one.set("err_policy", Node::string("fail-fast"));
  if (step.is_detached) one.set("detach", Node::boolean(true));
  return one;
}

StageStep read_step(const Node& node) {
  StageStep step;
  step.number = static_cast<int>(number_at(node, "number"));
  step.name = node.text_at({"name"});
  step.image = node.text_at({"image"});
  step.script = node.text_at({"script"});
  step.entrypoint = texts_at(node, "entrypoint");
  step.command = texts_at(node, "command");
  step.environment = map_at(node, "environment");
  for (const auto& [name, value] : map_at(node, "secrets")) step.secrets[name] = Secret(value);
  step.folder = node.text_at({"working_dir"});
  step.user = node.text_at({"user"});
  step.pull = node.text_at({"pull"});
  step.is_privileged = node.text_at({"privileged"}) == "true";
  if (const Node* mounts = node.find("mounts")) {
    for (const Node& at : mounts->items) {
      StageMount mount;
      mount.target = at.text_at({"path"});
      mount.kind = at.find("volume") != nullptr   ? MountKind::volume
                   : at.find("medium") != nullptr ? MountKind::memory
                                                  : MountKind::host;
      mount.source = at.text_at({mount.kind == MountKind::volume ? "volume" : "host"});
      mount.size_bytes_max = number_at(at, "size_limit");
      step.mounts.push_back(std::move(mount));
    }
  }
  if (const Node* devices = node.find("devices")) {
    for (const Node& at : devices->items)
      step.devices.push_back({at.text_at({"name"}), at.text_at({"path"})});
  }
  if (const Node* options = node.find("options")) step.options = read_options(*options);
  step.depends_on = texts_at(node, "depends_on");
  const std::string policy = node.text_at({"run_policy"});
  if (policy == "on-failure") step.run_policy = RunPolicy::on_failure;
  if (policy == "always") step.run_policy = RunPolicy::always;
  const std::string failure = node.text_at({"err_policy"});
  if (failure == "ignore") step.failure = FailurePolicy::ignore;
  if (failure == "fail-fast") step.failure = FailurePolicy::fail_fast;
  step.is_detached = node.text_at({"detach"}) == "true";
  return step;
}

}  // namespace

std::vector<std::string> Stage::secret_values() const {
  std::vector<std::string> values;
  for (const StageStep& step : steps) {
    for (const auto& [variable, value] : step.secrets) {
      if (!value.empty()) values.push_back(value.reveal());
    }
  }
  return values;
}

Node to_document(const Stage& stage, bool shows_secrets) {
  Node out = Node::mapping();
  out.set("schema", Node::string("muster.stage/1"));
  out.set("name", Node::string(stage.name)).set("type", Node::string(stage.type));
  out.set("pool", Node::string(stage.pool));
  Node platform = Node::mapping();
  platform.set("os", Node::string(stage.platform_os));
  platform.set("arch", Node::string(stage.platform_arch));
  out.set("platform", std::move(platform));
  out.set("root", Node::string(stage.root)).set("source", Node::string(stage.source));
  out.set("home", Node::string(stage.home));
  out.set("network", Node::string(stage.network)).set("folders", texts(stage.folders));
  out.set("labels", map_of(stage.labels));
  Node volumes = Node::sequence();
  for (const Volume& volume : stage.volumes) {
    Node one = Node::mapping();
    one.set("name", Node::string(volume.name));
    if (volume.is_memory) one.set("medium", Node::string("memory"));
    if (volume.size_bytes_max > 0) one.set("size_limit", Node::number(volume.size_bytes_max));
    volumes.items.push_back(std::move(one));
  }
  out.set("volumes", std::move(volumes));
  Node steps = Node::sequence();
  for (const StageStep& step : stage.steps)
    steps.items.push_back(step_document(step, shows_secrets));
  out.set("steps", std::move(steps));
  return out;
}

Result<Stage> read_stage(const Node& document) {
  if (document.text_at({"schema"}) != "muster.stage/1") {
    return fail(ErrorKind::corrupt, fmt::format("a stage of schema \"{}\" cannot be read",
                                                document.text_at({"schema"})));
  }
  Stage stage;
  stage.name = document.text_at({"name"});
  stage.type = document.text_at({"type"});
  stage.pool = document.text_at({"pool"});
  stage.platform_os = document.text_at({"platform", "os"});
  stage.platform_arch = document.text_at({"platform", "arch"});
  stage.root = document.text_at({"root"});
  stage.source = document.text_at({"source"});
  stage.home = document.text_at({"home"});
  stage.network = document.text_at({"network"});
  stage.folders = texts_at(document, "folders");
  stage.labels = map_at(document, "labels");
  if (const Node* volumes = document.find("volumes")) {
    for (const Node& at : volumes->items) {
      stage.volumes.push_back({at.text_at({"name"}), at.text_at({"medium"}) == "memory",
                               number_at(at, "size_limit"), ""});
    }
  }
  if (const Node* steps = document.find("steps")) {
    for (const Node& at : steps->items) stage.steps.push_back(read_step(at));
  }
  return stage;
}

}  // namespace muster::pipeline
