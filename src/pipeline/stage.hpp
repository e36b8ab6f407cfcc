#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "pipeline/model.hpp"

namespace muster::pipeline {

/// What is known of the repository, the build and the system; empty where nothing is.
struct Metadata {
  std::string system_host = "localhost";
  std::string system_proto = "http";
  std::string system_version;
  std::string repo_namespace;
  std::string repo_name;
  std::string repo_link;
  std::string repo_git_url;
  std::string repo_default_branch = "main";
  std::string repo_visibility = "private";
  long build_number = 1;
  long build_parent = 0;
  bool is_debug = false;
  std::string title;
  std::string deploy_id;
  std::string event = "push";
  std::string action;
  std::string cron;
  std::string deploy_to;
  std::string source_branch;
  std::string target_branch = "main";
  std::string ref = "refs/heads/main";
  std::string commit;
  std::string commit_before;
  std::string commit_link;
  std::string message;
  std::string author_login;
  std::string author_name;
  std::string author_email;
  long created_at = 0;  ///< Seconds since 1970.
  std::string machine;

  [[nodiscard]] std::string slug() const;
};

enum class RunPolicy { on_success, on_failure, always };

enum class MountKind { host, volume, memory };

struct StageMount {
  std::string source;  ///< Of `host` a path of the machine, of `volume` its name.
  std::string target;
  MountKind kind = MountKind::host;
  long size_bytes_max = 0;  ///< Of `memory`.
};

/// One step, ready to be run: a script on the machine, or a container.
struct StageStep {
  int number = 0;
  std::string name;
  std::string image;   ///< Empty: on the machine itself.
  std::string script;  ///< The commands as a POSIX script; empty: the image's own program.
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  std::map<std::string, Secret> secrets;  ///< Variables that must not be shown.
  std::string folder;
  std::string user;
  std::string pull;
  bool is_privileged = false;
  std::vector<VolumeMount> devices;
  ContainerOptions options;
  std::vector<StageMount> mounts;
  std::vector<std::string> depends_on;
  RunPolicy run_policy = RunPolicy::on_success;
  FailurePolicy failure = FailurePolicy::fail;
  bool is_detached = false;
};

/// A compiled pipeline.
struct Stage {
  std::string name;
  std::string type;
  std::string pool;
  std::string platform_os;
  std::string platform_arch;
  std::string root;    ///< The stage's own folder on the machine.
  std::string source;  ///< Where the repository is checked out, below the root.
  std::string home;
  std::vector<std::string> folders;           ///< To make, in this order, mode 0700.
  std::string network;                        ///< Of the containers.
  std::vector<Volume> volumes;                ///< By their names in the engine.
  std::map<std::string, std::string> labels;  ///< Of every container.
  std::vector<StageStep> steps;

  /// The values of all secrets of the stage: what its output must not show.
  [[nodiscard]] std::vector<std::string> secret_values() const;
};

struct CompileOptions {
  std::string root = "/tmp/muster";
  std::string id = "run";            ///< Makes names in the engine unique.
  std::vector<std::string> include;  ///< Steps to keep; empty: all.
  std::vector<std::string> exclude;
  std::map<std::string, Secret> secrets;       ///< By their names in lower case.
  std::map<std::string, std::string> globals;  ///< Variables of every step, before all others.
  /// Image steps of types vm and aws are privileged, as Drone's runner has them.
  bool is_privileged = true;
  std::vector<std::string> privileged_images;  ///< Beside Drone's own, for type docker.
  Duration time_max = std::chrono::hours{1};
};

/// Compiles a pipeline without errors for one build.
[[nodiscard]] Stage compile(const Pipeline& pipeline, const Metadata& metadata,
                            const CompileOptions& options);

struct StageName {
  std::string type;
  std::string name;
  std::string os;
  std::string arch;
  std::string machine;  ///< Whose runner it is.
};

/// The variables for `${…}` and of every step: what is known of the stage before it runs.
[[nodiscard]] std::map<std::string, std::string> stage_environment(const StageName& stage);

/// The variables for `${…}` and of every step: System, Repo, Build and Link.
[[nodiscard]] std::map<std::string, std::string> build_environment(const Metadata& metadata);

/// A traced POSIX script of the commands: each is shown as `+ command`, the first that fails ends
/// it.
[[nodiscard]] std::string traced_script(const std::vector<std::string>& commands);

/// `Build It!` as `build-it`.
[[nodiscard]] std::string slug(const std::string& name);

/// The stage as a document, for `muster compile`: secrets are masked unless they are asked for.
[[nodiscard]] Node to_document(const Stage& stage, bool shows_secrets = false);

/// Reads what `to_document` wrote with its secrets. Errors: corrupt.
[[nodiscard]] Result<Stage> read_stage(const Node& document);

}  // namespace muster::pipeline
