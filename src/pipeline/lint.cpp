#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/nearest.hpp"
#include "pipeline/reader.hpp"

namespace muster::pipeline {
namespace {

/// Finds mistakes of single steps and among them. The texts are Drone's own.
class Linter {
 public:
  Linter(const Pipeline& pipeline, bool is_trusted, std::vector<Finding>& findings)
      : pipeline_(pipeline), is_trusted_(is_trusted), findings_(findings) {
    if (!pipeline.clone.is_disabled) names_.insert("clone");
  }

  void run() {
    if (pipeline_.type == "exec" && (!pipeline_.services.empty() || !pipeline_.volumes.empty())) {
      error(pipeline_.mark, "type", "exec pipelines have neither services nor volumes.",
            "Use type vm or docker.");
    }
    if (pipeline_.type == "exec" && !pipeline_.environment.empty()) {
      findings_.push_back({{pipeline_.mark, "environment", "has no effect in an exec pipeline.",
                            "Set it on the steps."},
                           false});
    }
    for (const Volume& volume : pipeline_.volumes) {
      if (volume.name.empty()) {
        error(volume.mark, volume.path, "linter: missing volume name", "Name it.");
      }
      if (!is_trusted_ && !volume.host_path.empty()) {
        error(volume.mark, volume.path, "linter: untrusted repositories cannot mount host volumes",
              "Use temp: {}.");
      }
      if (!is_trusted_ && volume.is_memory) {
        error(volume.mark, volume.path,
              "linter: untrusted repositories cannot mount in-memory volumes", "Use temp: {}.");
      }
    }
    for (const Step& service : pipeline_.services) check(service);
    for (const Step& step : pipeline_.steps) check(step);
  }

 private:
  void error(const SourceMark& mark, const std::string& path, std::string what,
             std::string remedy) {
    findings_.push_back({{mark, path, std::move(what), std::move(remedy)}, true});
  }
  /// About a key of a step; an empty one is the step itself.
  void error(const Step& step, const char* key, std::string what, std::string remedy) {
    const bool is_there = step.marks.contains(key);
    error(step.mark_of(key), is_there ? step.path + "." + key : step.path, std::move(what),
          std::move(remedy));
  }

  void check(const Step& step) {
    const bool is_exec = pipeline_.type == "exec";
    if (step.name.empty()) {
      error(step, "name", "Linter: invalid or missing step name", "Name it.");
    }
    if (step.name.size() > 100) {
      error(step, "name", "Linter: step name cannot exceed 100 characters", "Shorten it.");
    }
    if (is_exec && !step.image.empty()) {
      error(step, "image", "Linter: cannot define images for an exec pipeline",
            "Use type vm or docker.");
    }
    if (pipeline_.type == "docker" && step.image.empty()) {
      error(step, "image", "linter: invalid or missing image", "Name an image, or use type vm.");
    }
    const bool does_nothing = step.commands.empty() && step.image.empty();
    if (does_nothing && !is_exec) {
      error(step, "", "has neither commands nor an image.", "Give it something to do.");
    }
    if (step.is_service && step.image.empty()) {
      error(step, "", "has no image.", "Name an image, or make it a step with detach: true.");
    }
    check_dependencies(step);
    check_mounts(step);
    if (!step.name.empty() && !names_.insert(step.name).second) {
      error(step, "name", fmt::format("Linter: duplicate step name \"{}\"", step.name),
            "Rename one of them.");
    }
    static constexpr std::array<std::string_view, 5> kPulls{"", "default", "always",
                                                            "if-not-exists", "never"};
    if (std::find(kPulls.begin(), kPulls.end(), step.pull) == kPulls.end()) {
      findings_.push_back({{step.mark_of("pull"), step.path + ".pull",
                            fmt::format("\"{}\" counts as default.", step.pull),
                            "Use always, if-not-exists or never."},
                           false});
    }
    if (!step.working_dir.empty() && !step.working_dir.starts_with('/')) {
      error(step, "working_dir", fmt::format("\"{}\" is not absolute.", step.working_dir),
            "Begin it with a slash.");
    }
    if (!step.image.empty()) return check_trust(step);
    const ContainerOptions& options = step.options;
    const bool has_options = !options.network_mode.empty() || !options.dns.empty() ||
                             !options.dns_search.empty() || !options.extra_hosts.empty() ||
                             !options.ports.empty() || options.shm_bytes > 0 ||
                             options.memory_bytes > 0 || options.memory_swap_bytes > 0 ||
                             !step.devices.empty() || step.is_privileged;
    if (!step.user.empty() || !step.working_dir.empty() || !step.volumes.empty() ||
        !step.settings.empty() || has_options) {
      error(step, "",
            "runs on the machine itself; user, working_dir, volumes, settings and the container's "
            "options are for steps with an image.",
            "Name an image, or remove them.");
    }
  }

  /// What Drone's docker runner refuses an untrusted repository, in its words; here for every type.
  void check_trust(const Step& step) {
    if (is_trusted_) return;
    const auto refuse = [&](bool is_used, const char* key, std::string_view what) {
      if (!is_used) return;
      error(step, key, fmt::format("linter: untrusted repositories cannot {}", what),
            "Run it as a trusted repository.");
    };
    refuse(step.is_privileged, "privileged", "enable privileged mode");
    refuse(!step.devices.empty(), "devices", "mount devices");
    refuse(!step.options.dns.empty(), "dns", "configure dns");
    refuse(!step.options.dns_search.empty(), "dns_search", "configure dns_search");
    refuse(!step.options.extra_hosts.empty(), "extra_hosts", "configure extra_hosts");
    refuse(!step.options.network_mode.empty(), "network_mode", "configure network_mode");
    refuse(step.options.shm_bytes > 0, "shm_size", "configure shm_size");
  }

  void check_dependencies(const Step& step) {
    for (const std::string& name : step.depends_on) {
      if (name == step.name) {
        error(step, "depends_on",
              fmt::format("linter: cyclical step dependency detected: {}", name), "Remove it.");
      } else if (!names_.contains(name)) {
        const bool is_later = std::any_of(pipeline_.steps.begin(), pipeline_.steps.end(),
                                          [&](const Step& other) { return other.name == name; });
        const auto near = nearest_name(name, {names_.begin(), names_.end()});
        error(step, "depends_on",
              fmt::format("linter: unknown step dependency detected: {} references {}", step.name,
                          name),
              is_later
                  ? "A dependency must stand earlier in the file; services come before all steps."
              : near ? fmt::format("Did you mean {}?", *near)
                     : "Name a step that stands before it.");
      }
    }
  }

  void check_mounts(const Step& step) {
    static constexpr std::array<std::string_view, 3> kReserved{"workspace", "_workspace",
                                                               "_docker_socket"};
    for (const VolumeMount& mount : step.volumes) {
      if (std::find(kReserved.begin(), kReserved.end(), mount.name) != kReserved.end()) {
        error(step, "volumes", fmt::format("linter: invalid volume name: {}", mount.name),
              "That name is Drone's own; take another.");
      }
      if (mount.path.starts_with("/run/drone")) {
        error(step, "volumes", "linter: cannot mount volume at /run/drone",
              "That path is Drone's own; take another.");
      }
      if (!mount.path.starts_with('/')) {
        error(step, "volumes", fmt::format("the path \"{}\" is not absolute.", mount.path),
              "Begin it with a slash.");
      }
      const bool is_known =
          std::any_of(pipeline_.volumes.begin(), pipeline_.volumes.end(),
                      [&](const Volume& volume) { return volume.name == mount.name; });
      if (!is_known) {
        error(step, "volumes",
              fmt::format("the pipeline has no volume \"{}\" to mount.", mount.name),
              "Add it to volumes with temp: {} or host: {path: …}.");
      }
    }
  }

  const Pipeline& pipeline_;
  bool is_trusted_;
  std::vector<Finding>& findings_;
  std::set<std::string> names_;
};

}  // namespace

void lint(const Pipeline& pipeline, bool is_trusted, std::vector<Finding>& findings) {
  Linter(pipeline, is_trusted, findings).run();
}

}  // namespace muster::pipeline
