#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/node_reader.hpp"

namespace muster::pipeline {

/// Patterns of one key of `when` or `trigger`.
struct Condition {
  std::vector<std::string> include;
  std::vector<std::string> exclude;

  /// Any exclude matches: no. Any include, or none given: yes.
  [[nodiscard]] bool matches(const std::string& value) const;
};

/// All keys given must match.
struct Conditions {
  std::map<std::string, Condition> by_key;  ///< `branch`, `event`, …
  std::optional<Condition> status;          ///< `success`, `failure`; sets the run policy.
};

struct VolumeMount {
  std::string name;
  std::string path;
};

enum class FailurePolicy { fail, fail_fast, ignore };

/// A value of `environment` or `settings`: written out, or the name of a secret.
struct Value {
  std::string text;
  std::string secret;  ///< Not empty: the secret's name.
};
using Values = std::vector<std::pair<std::string, Value>>;

/// Options of a container that go to the engine as they are.
struct ContainerOptions {
  std::string network_mode;
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> extra_hosts;
  std::vector<std::pair<std::string, std::string>> ports;  ///< Of the machine, of the container.
  long shm_bytes = 0;
  long memory_bytes = 0;
  long memory_swap_bytes = 0;
};

struct Step {
  std::string name;
  std::string image;
  std::vector<std::string> commands;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  Values environment;
  Values settings;  ///< Of a plugin, by their keys as written.
  std::vector<std::string> depends_on;
  std::vector<VolumeMount> volumes;
  std::vector<VolumeMount> devices;
  ContainerOptions options;
  bool is_privileged = false;
  Conditions when;
  FailurePolicy failure = FailurePolicy::fail;
  bool is_detached = false;
  bool is_service = false;
  std::string pull;  ///< `always`, `if-not-exists`, `never`, or empty.
  std::string user;
  std::string working_dir;
  SourceMark mark;
  std::string path;                         ///< Where it stands: `steps[1]`.
  std::map<std::string, SourceMark> marks;  ///< Of its keys' values.

  /// Where the value of that key stands, or the step itself.
  [[nodiscard]] const SourceMark& mark_of(const std::string& key) const {
    const auto found = marks.find(key);
    return found == marks.end() ? mark : found->second;
  }
};

struct Volume {
  std::string name;
  bool is_memory = false;
  long size_bytes_max = 0;
  std::string host_path;  ///< Not empty: a folder, file or device of the machine.
  SourceMark mark = {};
  std::string path = {};  ///< Where it stands: `volumes[0]`.
};

struct Clone {
  bool is_disabled = false;
  int depth = 0;
  int retries = 0;
  bool skips_verify = false;
  bool traces = false;
};

/// The proposal's instance block: an ad-hoc machine for this pipeline. Texts as written.
struct InstanceBlock {
  std::string image;
  std::string name;
  std::string region;
  std::string type;
  std::string user;
  std::string iam_profile;
  std::string key_name;
  std::string user_data;
  std::string market_type;
  std::string subnet;
  std::string private_address;
  std::vector<std::string> security_groups;
  std::optional<bool> has_private_address_only;
  std::optional<int> disk_size_gib;
  std::string disk_type;
  std::optional<int> disk_iops;
  std::string device;
  std::map<std::string, std::string> tags;
};

struct Pipeline {
  std::string type = "docker";
  std::string name = "default";
  std::string platform_os = "linux";
  std::string platform_arch = "amd64";
  std::string pool;  ///< `pool.use`
  std::optional<InstanceBlock> instance;
  Clone clone;
  std::string workspace_base;
  std::string workspace_path;
  Values environment;
  std::vector<Step> services;
  std::vector<Step> steps;
  std::vector<Volume> volumes;
  SourceMark mark;
};

}  // namespace muster::pipeline
