#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

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
      error(pipeline_.mark, "an exec pipeline has neither services nor volumes.",
            "Use type vm or docker.");
    }
    if (pipeline_.type == "exec" && !pipeline_.environment.empty()) {
      findings_.push_back({{pipeline_.mark, "environment", "has no effect in an exec pipeline.",
                            "Set it on the steps."},
                           false});
    }
    for (const Volume& volume : pipeline_.volumes) {
      if (volume.name.empty()) error(pipeline_.mark, "linter: missing volume name");
      if (!is_trusted_ && !volume.host_path.empty()) {
        error(pipeline_.mark, "linter: untrusted repositories cannot mount host volumes");
      }
      if (!is_trusted_ && volume.is_memory) {
        error(pipeline_.mark, "linter: untrusted repositories cannot mount in-memory volumes");
      }
    }
    for (const Step& service : pipeline_.services) check(service);
    for (const Step& step : pipeline_.steps) check(step);
  }

 private:
  void error(const SourceMark& mark, std::string what, std::string remedy = {}) {
    findings_.push_back({{mark, "", std::move(what), std::move(remedy)}, true});
  }

  void check(const Step& step) {
    const bool is_exec = pipeline_.type == "exec";
    if (step.name.empty()) return error(step.mark, "Linter: invalid or missing step name");
    if (step.name.size() > 100) error(step.mark, "Linter: step name cannot exceed 100 characters");
    if (is_exec && !step.image.empty()) {
      error(step.mark, "Linter: cannot define images for an exec pipeline");
    }
    if (pipeline_.type == "docker" && step.image.empty()) {
      error(step.mark, fmt::format("linter: invalid or missing image (step {})", step.name));
    }
    const bool does_nothing = step.commands.empty() && step.image.empty();
    if (does_nothing && !is_exec) {
      error(step.mark, fmt::format("step {} has neither commands nor an image.", step.name),
            "Give it something to do.");
    }
    if (step.is_service && step.image.empty()) {
      error(step.mark, fmt::format("service {} has no image.", step.name),
            "Name an image, or make it a step with detach: true.");
    }
    check_dependencies(step);
    check_mounts(step);
    if (!names_.insert(step.name).second) error(step.mark, "Linter: duplicate step name");
    static constexpr std::array<std::string_view, 5> kPulls{"", "default", "always",
                                                            "if-not-exists", "never"};
    if (std::find(kPulls.begin(), kPulls.end(), step.pull) == kPulls.end()) {
      findings_.push_back({{step.mark, "", fmt::format("pull \"{}\" counts as default.", step.pull),
                            "Use always, if-not-exists or never."},
                           false});
    }
    if (!step.working_dir.empty() && !step.working_dir.starts_with('/')) {
      error(step.mark, fmt::format("working_dir \"{}\" is not absolute.", step.working_dir));
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
      error(step.mark,
            fmt::format("step {} runs on the machine itself; user, working_dir, volumes, settings "
                        "and the container's options are for steps with an image.",
                        step.name),
            "Name an image, or remove them.");
    }
  }

  /// What Drone's docker runner refuses an untrusted repository, in its words; here for every type.
  void check_trust(const Step& step) {
    if (is_trusted_) return;
    const auto refuse = [&](bool is_used, std::string_view what) {
      if (!is_used) return;
      error(step.mark,
            fmt::format("linter: untrusted repositories cannot {} (step {})", what, step.name),
            "Run it as a trusted repository.");
    };
    refuse(step.is_privileged, "enable privileged mode");
    refuse(!step.devices.empty(), "mount devices");
    refuse(!step.options.dns.empty(), "configure dns");
    refuse(!step.options.dns_search.empty(), "configure dns_search");
    refuse(!step.options.extra_hosts.empty(), "configure extra_hosts");
    refuse(!step.options.network_mode.empty(), "configure network_mode");
    refuse(step.options.shm_bytes > 0, "configure shm_size");
  }

  void check_dependencies(const Step& step) {
    for (const std::string& name : step.depends_on) {
      if (name == step.name) {
        error(step.mark, fmt::format("linter: cyclical step dependency detected: {}", name));
      } else if (!names_.contains(name)) {
        const bool is_later = std::any_of(pipeline_.steps.begin(), pipeline_.steps.end(),
                                          [&](const Step& other) { return other.name == name; });
        error(step.mark,
              fmt::format("linter: unknown step dependency detected: {} references {}", step.name,
                          name),
              is_later
                  ? "A dependency must stand earlier in the file; services come before all steps."
                  : "");
      }
    }
  }

  void check_mounts(const Step& step) {
    static constexpr std::array<std::string_view, 3> kReserved{"workspace", "_workspace",
                                                               "_docker_socket"};
    for (const VolumeMount& mount : step.volumes) {
      if (std::find(kReserved.begin(), kReserved.end(), mount.name) != kReserved.end()) {
        error(step.mark, fmt::format("linter: invalid volume name: {}", mount.name));
      }
      if (mount.path.starts_with("/run/drone")) {
        error(step.mark, "linter: cannot mount volume at /run/drone");
      }
      if (!mount.path.starts_with('/')) {
        error(step.mark, fmt::format("volume path \"{}\" is not absolute.", mount.path));
      }
      const bool is_known =
          std::any_of(pipeline_.volumes.begin(), pipeline_.volumes.end(),
                      [&](const Volume& volume) { return volume.name == mount.name; });
      if (!is_known) {
        error(step.mark,
              fmt::format("step {} mounts volume {}, which the pipeline does not have.", step.name,
                          mount.name),
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
