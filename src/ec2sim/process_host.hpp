#pragma once

#include <string>

#include "base/log.hpp"
#include "base/task.hpp"
#include "ec2sim/machines.hpp"

namespace ec2sim {

struct ProcessOptions {
  std::string state_dir;
  int ssh_port = 2222;
  std::string metadata_port;  ///< Of IMDS on every machine's address.
  std::string endpoint;       ///< Of the API, as machines see it.
};

/// Machines without root: processes in namespaces of the user's own, each with an sshd on a
/// loopback address of its own. They share the host's files (read-only, by permission) and network,
/// and have no Docker. Under root they run as nobody.
class ProcessHost : public Machines {
 public:
  ProcessHost(muster::Executor executor, ProcessOptions options, const muster::Log& log,
              OnMachineEnd on_end);
  ~ProcessHost() override;

  /// Errors: invalid_input (sshd is missing), unavailable.
  muster::Status set_up();
  void set_services(std::string metadata_port, std::string endpoint) {
    options_.metadata_port = std::move(metadata_port);
    options_.endpoint = std::move(endpoint);
  }

  void tear_down() override;

 private:
  muster::Status make_folder(const MachineSpec& spec) const;
  muster::Status boot(Machine& machine) override;
  [[nodiscard]] Exit exit_of(const siginfo_t& info) const override;
  [[nodiscard]] int open_root(const Machine& machine) const override;

  ProcessOptions options_;
  int guest_ = -1;
};

}  // namespace ec2sim
