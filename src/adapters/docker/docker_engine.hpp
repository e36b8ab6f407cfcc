#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/document.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/containers.hpp"
#include "ports/http.hpp"

namespace muster::docker {

/// The Docker Engine API, version 1.40 (engine 19.03 and later), over any transport.
class DockerEngine : public Containers {
 public:
  explicit DockerEngine(HttpTransport& transport) : transport_(transport) {}

  Task<Status> ping() override;
  Task<Status> pull(std::string image) override;
  Task<Result<bool>> has_image(std::string image) override;
  Task<Status> create_network(std::string name) override;
  Task<Status> create_volume(VolumeSpec spec) override;
  Task<Result<std::string>> create_container(ContainerSpec spec) override;
  Task<Result<ContainerState>> inspect(std::string id) override;
  Task<Status> kill(std::string id) override;

 private:
  /// The answer's document, null for an empty one. `allowed` is a status that counts as success.
  Task<Result<Node>> call(std::string method, std::string path, Node body, int allowed);

  HttpTransport& transport_;
};

}  // namespace muster::docker
