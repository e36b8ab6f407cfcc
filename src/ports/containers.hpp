#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"

namespace muster {

struct VolumeSpec {
  std::string name;
  bool is_memory = false;
  long size_bytes_max = 0;  ///< 0: none. Only for memory.
};

struct ContainerMount {
  std::string source;  ///< A path of the machine, or a volume's name.
  std::string target;
  bool is_volume = false;
  bool is_read_only = false;
};

struct ContainerDevice {
  std::string on_machine;
  std::string in_container;
};

/// A file system in memory, of one container alone.
struct ContainerTmpfs {
  std::string target;
  long size_bytes_max = 0;  ///< 0: none.
};

struct ContainerSpec {
  std::string name;
  std::string image;
  std::string network;
  std::string alias;                    ///< Its name on the network; empty for `host` and the like.
  std::vector<std::string> entrypoint;  ///< Empty: the image's.
  std::vector<std::string> command;     ///< Empty: the image's, unless an entrypoint is given.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string folder;
  std::string user;
  std::vector<ContainerMount> mounts;
  std::vector<ContainerTmpfs> tmpfs;
  std::vector<ContainerDevice> devices;
  std::vector<std::pair<std::string, std::string>> ports;  ///< Of the machine, of the container.
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> extra_hosts;  ///< `name:address`
  long shm_bytes = 0;                    ///< 0: the engine's default; so are the next two.
  long memory_bytes = 0;
  long memory_swap_bytes = 0;
  bool is_privileged = false;
  std::map<std::string, std::string> labels;
};

struct ContainerState {
  bool is_running = false;
  bool has_started = false;
  bool was_out_of_memory = false;
  int exit_code = 0;
  std::string error;  ///< The engine's text when it could not be started.
};

/// The container engine of one machine. Creating what exists by that name is a success. Errors:
/// not_found (no such image), invalid_input, unavailable.
class Containers {
 public:
  virtual ~Containers() = default;
  virtual Task<Status> ping() = 0;
  virtual Task<Status> pull(std::string image) = 0;
  virtual Task<Result<bool>> has_image(std::string image) = 0;
  virtual Task<Status> create_network(std::string name) = 0;
  virtual Task<Status> create_volume(VolumeSpec spec) = 0;
  /// The id of a container that is made and not started.
  virtual Task<Result<std::string>> create_container(ContainerSpec spec) = 0;
  virtual Task<Result<ContainerState>> inspect(std::string id) = 0;
  virtual Task<Status> kill(std::string id) = 0;
};

}  // namespace muster
