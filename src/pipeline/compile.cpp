#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/shell.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/stage.hpp"

namespace muster::pipeline {
namespace {

bool is_run(const Step& step, const Metadata& metadata, const CompileOptions& options) {
  const auto is_in = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), step.name) != names.end();
  };
  if ((!options.include.empty() && !is_in(options.include)) || is_in(options.exclude)) return false;
  const std::map<std::string, std::string> values{{"branch", metadata.target_branch},
                                                  {"event", metadata.event},
                                                  {"action", metadata.action},
                                                  {"ref", metadata.ref},
                                                  {"repo", metadata.slug()},
                                                  {"target", metadata.deploy_to},
                                                  {"cron", metadata.cron},
                                                  {"instance", metadata.system_host}};
  return std::all_of(step.when.by_key.begin(), step.when.by_key.end(),
                     [&](const auto& one) { return one.second.matches(values.at(one.first)); });
}

RunPolicy run_policy_of(const Conditions& when) {
  if (!when.status) return RunPolicy::on_success;
  if (when.status->matches("failure")) {
    return when.status->matches("success") ? RunPolicy::always : RunPolicy::on_failure;
  }
  return RunPolicy::on_success;
}

/// As it stands where the shell leaves it alone; quoted otherwise.
std::string shell_word(const std::string& text) {
  const bool is_plain = !text.empty() && text.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-./:@%+=,") == std::string::npos;
  return is_plain ? text : shell_quote(text);
}

std::vector<std::string> clone_commands(const Clone& clone, const Metadata& metadata) {
  const std::string branch = shell_word(metadata.target_branch);
  const std::string branch_ref = shell_word("+refs/heads/" + metadata.target_branch + ":");
  const std::string flags = clone.depth > 0 ? fmt::format("--depth={}", clone.depth) : "";
  std::vector<std::string> commands{"git init",
                                    "git remote add origin " + shell_word(metadata.repo_git_url)};
  if (metadata.ref.starts_with("refs/tags/")) {
    commands.push_back(
        fmt::format("git fetch {} origin {}", flags, shell_word("+" + metadata.ref + ":")));
    commands.push_back("git checkout -qf FETCH_HEAD");
  } else if (metadata.ref.starts_with("refs/pull/") ||
             metadata.ref.starts_with("refs/pull-requests/") ||
             metadata.ref.starts_with("refs/merge-requests/")) {
    commands.push_back(fmt::format("git fetch {} origin {}", flags, branch_ref));
    commands.push_back("git checkout " + branch);
    commands.push_back(fmt::format("git fetch origin {}", shell_word(metadata.ref + ":")));
    commands.push_back("git merge " + shell_word(metadata.commit));
  } else {
    commands.push_back(fmt::format("git fetch {} origin {}", flags, branch_ref));
    const std::string what = metadata.commit.empty() ? "FETCH_HEAD" : shell_word(metadata.commit);
    commands.push_back(fmt::format("git checkout {} -b {}", what, branch));
  }
  return commands;
}

bool is_below(const std::string& path, std::string_view folder) {
  return path == folder || path.starts_with(std::string(folder) + "/");
}

/// The workspace inside containers of type docker; a restricted path falls back.
std::string container_workspace(const Pipeline& pipeline) {
  std::string base = pipeline.workspace_base;
  std::string path = pipeline.workspace_path;
  if (base.empty()) {
    base = path.starts_with('/') ? path : "/drone/src";
    if (path.starts_with('/')) path.clear();
  }
  std::string full = path.empty() ? base : base + "/" + path;
  while (full.size() > 1 && full.ends_with('/')) full.pop_back();
  bool is_restricted = full == "/" || full == "/etc" || full == "/var" || !full.starts_with('/');
  for (const char* folder :
       {"/etc/docker", "/var/run", "/proc", "/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/bin",
        "/mnt", "/mount", "/media", "/sys", "/dev"}) {
    is_restricted = is_restricted || is_below(full, folder);
  }
  return is_restricted ? "/drone/src" : full;
}

/// Compiles step by step; what all of them share stands here.
class Compiler {
 public:
  Compiler(const Pipeline& pipeline, const Metadata& metadata, const CompileOptions& options)
      : pipeline_(pipeline), metadata_(metadata), options_(options) {
    stage_.name = pipeline.name;
    stage_.type = pipeline.type;
    stage_.pool = pipeline.pool;
    stage_.platform_os = pipeline.platform_os;
    stage_.platform_arch = pipeline.platform_arch;
    stage_.root = options.root;
    stage_.home = options.root + "/home/drone";
    stage_.source = options.root + "/drone/src";
    stage_.folders = {options.root,  options.root + "/home", stage_.home, options.root + "/drone",
                      stage_.source, options.root + "/opt"};
    stage_.network = "muster-" + options.id;
    for (const Volume& volume : pipeline.volumes) {
      if (!volume.host_path.empty() || is_per_step(volume)) continue;
      stage_.volumes.push_back(
          {volume_name(volume.name), volume.is_memory, volume.size_bytes_max, ""});
    }
    stage_.labels = labels();
  }

  Stage run() {
    if (!pipeline_.clone.is_disabled) add_clone();
    for (const Step& service : pipeline_.services) add(service);
    for (const Step& step : pipeline_.steps) add(step);
    connect();
    return std::move(stage_);
  }

 private:
  [[nodiscard]] std::string volume_name(const std::string& name) const {
    std::size_t number = 0;
    while (number < pipeline_.volumes.size() && pipeline_.volumes[number].name != name) ++number;
    return fmt::format("muster-{}-{}-{}", options_.id, number, slug(name));
  }

  /// Under docker a volume in memory is each step's own.
  [[nodiscard]] bool is_per_step(const Volume& volume) const {
    return volume.is_memory && pipeline_.type == "docker";
  }

  [[nodiscard]] std::map<std::string, std::string> labels() const {
    const auto time = [&](Duration more) {
      const TimePoint at = TimePoint{std::chrono::seconds{metadata_.created_at}} + more;
      return std::to_string(
          std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count());
    };
    return {{"io.drone", "true"},
            {"io.drone.protected", "false"},
            {"io.drone.repo.namespace", metadata_.repo_namespace},
            {"io.drone.repo.name", metadata_.repo_name},
            {"io.drone.repo.slug", metadata_.slug()},
            {"io.drone.build.number", std::to_string(metadata_.build_number)},
            {"io.drone.stage.name", pipeline_.name},
            {"io.drone.stage.number", "1"},
            {"io.drone.system.host", metadata_.system_host},
            {"io.drone.system.proto", metadata_.system_proto},
            {"io.drone.system.version", metadata_.system_version},
            {"io.drone.ttl", "1h0m0s"},
            {"io.drone.created", time(Duration{0})},
            {"io.drone.expires", time(options_.time_max + std::chrono::hours{1})}};
  }

  [[nodiscard]] std::map<std::string, std::string> shared_environment() const {
    std::map<std::string, std::string> out = options_.globals;
    if (pipeline_.type != "exec") {
      for (const auto& [name, value] : pipeline_.environment) out[name] = value.text;
    }
    for (const auto& [name, value] : build_environment(metadata_)) out[name] = value;
    const auto stage = stage_environment({pipeline_.type, pipeline_.name, pipeline_.platform_os,
                                          pipeline_.platform_arch, metadata_.machine});
    for (const auto& [name, value] : stage) out[name] = value;
    out["DRONE_CARD_PATH"] = "/dev/stdout";
    const std::string author = metadata_.author_name.empty() ? "drone" : metadata_.author_name;
    const std::string mail =
        metadata_.author_email.empty() ? "noreply@drone" : metadata_.author_email;
    out["GIT_AUTHOR_NAME"] = author;
    out["GIT_COMMITTER_NAME"] = author;
    out["GIT_AUTHOR_EMAIL"] = mail;
    out["GIT_COMMITTER_EMAIL"] = mail;
    out["GIT_TERMINAL_PROMPT"] = "0";
    if (pipeline_.clone.traces) out["GIT_TRACE"] = "true";
    if (pipeline_.clone.skips_verify) out["GIT_SSL_NO_VERIFY"] = "true";
    return out;
  }

  void set_workspace(StageStep& step) const {
    if (pipeline_.type == "docker" && !step.image.empty()) {
      const std::string workspace = container_workspace(pipeline_);
      step.environment["DRONE_WORKSPACE"] = workspace;
      step.environment["DRONE_WORKSPACE_BASE"] = workspace;
      step.environment["DRONE_WORKSPACE_PATH"] = "";
      step.folder = workspace;
      step.mounts.push_back({stage_.source, workspace});
      return;
    }
    for (const char* name : {"HOME", "HOMEPATH", "USERPROFILE"}) {
      step.environment[name] = stage_.home;
    }
    step.environment["DRONE_WORKSPACE"] = stage_.source;
    if (pipeline_.type != "vm") step.environment["DRONE_HOME"] = stage_.source;
    step.folder = stage_.source;
    if (step.image.empty()) return;
    step.mounts.push_back({stage_.root, stage_.root});
    if (pipeline_.type != "aws") return;
    step.mounts.push_back({stage_.source, "/drone/src"});
    step.folder = "/drone/src";
  }

  void finish(StageStep step) {
    step.number = static_cast<int>(stage_.steps.size()) + 1;
    step.environment["DRONE_STEP_NAME"] = step.name;
    step.environment["DRONE_STEP_NUMBER"] = std::to_string(step.number);
    stage_.steps.push_back(std::move(step));
  }

  void add_clone() {
    StageStep step;
    step.name = "clone";
    step.environment = shared_environment();
    set_workspace(step);
    // Keeps git's hint about its default branch out of the log.
    step.environment["GIT_CONFIG_COUNT"] = "1";
    step.environment["GIT_CONFIG_KEY_0"] = "init.defaultBranch";
    step.environment["GIT_CONFIG_VALUE_0"] = "main";
    std::vector<std::string> commands = clone_commands(pipeline_.clone, metadata_);
    for (std::string& command : commands) {
      if (pipeline_.clone.retries == 0 || !command.starts_with("git fetch")) continue;
      std::string tries = command;
      for (int i = 0; i < std::min(pipeline_.clone.retries, 10); ++i) tries += " || " + command;
      command = tries;
    }
    step.script = traced_script(commands);
    step.run_policy = RunPolicy::always;
    finish(std::move(step));
  }

  void add(const Step& from) {
    if (!is_run(from, metadata_, options_)) {
      left_out_[from.name] = from.depends_on;
      return;
    }
    StageStep step;
    step.name = from.name;
    step.image = from.image;
    step.environment = shared_environment();
    set_workspace(step);
    for (const auto& [name, value] : from.environment) set(step, name, value);
    if (pipeline_.type != "exec") {
      for (const auto& [key, value] : from.settings) set(step, setting_name(key), value);
    }
    if (!from.commands.empty()) {
      step.script = traced_script(from.commands);
    } else {
      step.entrypoint = from.entrypoint;
      step.command = from.command;
    }
    if (!from.working_dir.empty()) {
      step.folder = from.working_dir;
    } else if (from.is_detached && from.commands.empty()) {
      step.folder.clear();
    }
    step.user = from.user;
    step.pull = from.pull;
    for (const VolumeMount& mount : from.volumes) add_mount(step, mount);
    step.devices.insert(step.devices.end(), from.devices.begin(), from.devices.end());
    step.options = from.options;
    step.is_privileged =
        options_.is_privileged && (from.is_privileged || is_privileged_by_rule(from));
    step.depends_on = from.depends_on;
    step.run_policy = run_policy_of(from.when);
    step.failure = from.failure;
    step.is_detached = from.is_detached;
    finish(std::move(step));
  }

  /// A secret that is not there is an empty variable.
  void set(StageStep& step, const std::string& name, const Value& value) const {
    if (value.secret.empty()) {
      step.environment[name] = value.text;
      step.secrets.erase(name);
      return;
    }
    std::string key = value.secret;
    for (char& c : key) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const auto found = options_.secrets.find(key);
    step.secrets[name] = found == options_.secrets.end() ? Secret() : found->second;
    step.environment.erase(name);
  }

  void add_mount(StageStep& step, const VolumeMount& mount) const {
    for (const Volume& volume : pipeline_.volumes) {
      if (volume.name != mount.name) continue;
      if (volume.host_path.starts_with("/dev/") && pipeline_.type == "docker") {
        step.devices.push_back({volume.host_path, mount.path});
      } else if (!volume.host_path.empty()) {
        step.mounts.push_back({volume.host_path, mount.path, MountKind::host, 0});
      } else if (is_per_step(volume)) {
        step.mounts.push_back({"", mount.path, MountKind::memory, volume.size_bytes_max});
      } else {
        step.mounts.push_back({volume_name(volume.name), mount.path, MountKind::volume, 0});
      }
      return;
    }
  }

  /// Image steps of vm and aws always are; under docker the images that build images are, when the
  /// step does nothing of its own.
  [[nodiscard]] bool is_privileged_by_rule(const Step& step) const {
    if (step.image.empty()) return false;
    if (pipeline_.type == "vm" || pipeline_.type == "aws") return true;
    static constexpr std::array<std::string_view, 6> kImages{"plugins/docker", "plugins/acr",
                                                             "plugins/ecr",    "plugins/gcr",
                                                             "plugins/heroku", "plugins/gar"};
    static constexpr std::array<std::string_view, 5> kOwn{"PATH", "HOME", "DOCKER_HOST",
                                                          "DOCKER_OPTS", "XDG_RUNTIME_DIR"};
    const std::size_t slash = step.image.rfind('/');
    const std::size_t colon = step.image.find(':', slash == std::string::npos ? 0 : slash);
    std::string bare = step.image.substr(0, colon);
    if (bare.starts_with("docker.io/")) bare.erase(0, 10);
    const bool is_listed =
        std::find(kImages.begin(), kImages.end(), bare) != kImages.end() ||
        std::find(options_.privileged_images.begin(), options_.privileged_images.end(), bare) !=
            options_.privileged_images.end();
    const bool sets_own =
        std::any_of(step.environment.begin(), step.environment.end(), [](const auto& one) {
          return std::find(kOwn.begin(), kOwn.end(), one.first) != kOwn.end();
        });
    return is_listed && !sets_own && step.commands.empty() && step.command.empty() &&
           step.entrypoint.empty() && step.volumes.empty();
  }

  /// Without any `depends_on` the steps run one after the other.
  void connect() {
    const auto depends = [](const Step& step) { return !step.depends_on.empty(); };
    const bool is_graph =
        std::any_of(pipeline_.steps.begin(), pipeline_.steps.end(), depends) ||
        std::any_of(pipeline_.services.begin(), pipeline_.services.end(), depends);
    const bool has_clone = !pipeline_.clone.is_disabled;
    std::string before;
    for (StageStep& step : stage_.steps) {
      if (!is_graph) {
        if (!before.empty()) step.depends_on = {before};
        before = step.name;
        continue;
      }
      step.depends_on = without_left_out(step.depends_on);
      if (!has_clone) std::erase(step.depends_on, "clone");
      if (has_clone && step.depends_on.empty() && step.name != "clone") {
        step.depends_on = {"clone"};
      }
    }
  }

  /// A step that is left out passes on what it waited for, so that the order stays.
  [[nodiscard]] std::vector<std::string> without_left_out(
      const std::vector<std::string>& names) const {
    std::vector<std::string> out;
    const auto add = [&](const std::string& name) {
      if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    };
    for (const std::string& name : names) {
      const auto left = left_out_.find(name);
      if (left == left_out_.end()) {
        add(name);
        continue;
      }
      for (const std::string& before : without_left_out(left->second)) add(before);
    }
    return out;
  }

  const Pipeline& pipeline_;
  const Metadata& metadata_;
  const CompileOptions& options_;
  Stage stage_;
  std::map<std::string, std::vector<std::string>> left_out_;  // With what each waited for.
};

}  // namespace

std::string traced_script(const std::vector<std::string>& commands) {
  std::string out = "\nset -e\n";
  for (const std::string& command : commands) {
    // Single quotes: nothing in the line is run or expanded for being shown.
    out += fmt::format("\nprintf '%s\\n' {}\n{}\n", shell_quote("+ " + command), command);
  }
  return out;
}

std::string slug(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool is_kept = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9');
    if (is_kept) {
      out += low;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (out.ends_with('-')) out.pop_back();
  return out.empty() ? "step" : out;
}

Stage compile(const Pipeline& pipeline, const Metadata& metadata, const CompileOptions& options) {
  return Compiler(pipeline, metadata, options).run();
}

}  // namespace muster::pipeline
