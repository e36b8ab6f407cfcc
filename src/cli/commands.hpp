#pragma once

#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/time.hpp"

namespace muster::cli {

/// Flags that several commands know; each takes those that it heeds.
struct CommonFlags {
  std::string config;
  std::string log_level = "warn";
  bool is_quiet = false;
  bool is_verbose = false;
  bool has_no_colour = false;

  [[nodiscard]] LogLevel level() const;
};

/// What `exec` and `compile` say of the build.
struct BuildFlags {
  std::string file = ".drone.yml";
  std::string pipeline;
  std::string repo;  ///< A URL to clone; empty: the local repository.
  std::string branch;
  std::string commit;
  std::string event = "push";
  std::string ref;
  std::string deploy_to;
  std::vector<std::string> secret_files;
  std::vector<std::string> environment_files;
  bool is_untrusted = false;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
};

struct ExecFlags {
  BuildFlags build;
  std::string pool;
  std::string timeout = "1h";
  std::string resume;  ///< A run to go on with; empty: a new one.
};

struct DaemonFlags {
  std::string stop_time = "30s";
};

struct SubmitFlags {
  BuildFlags build;
  std::string pool;
  std::vector<std::string> labels;
  int priority = 0;
  std::string timeout = "1h";
  bool waits = false;
  bool as_json = false;
};

/// Each gives the program's exit code.
int run_exec(const CommonFlags& common, const ExecFlags& flags);
int run_compile(const BuildFlags& flags, bool shows_secrets);
int run_submit(const CommonFlags& common, const SubmitFlags& flags);
int run_backup(const std::string& path);
int run_config_schema();
int run_config_reference();
int run_config_check(const CommonFlags& common, bool as_json);

}  // namespace muster::cli
