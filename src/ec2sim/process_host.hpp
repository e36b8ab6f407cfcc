#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <map>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "ec2sim/machines.hpp"

namespace ec2sim {

struct ProcessOptions {
  std::string state_dir;
  int ssh_port = 2222;
  std::string metadata_port;  ///< Of IMDS on every machine's address.
};

/// Machines without root: processes in namespaces of the user's own, each with an sshd on a
/// loopback address of its own. They share the host's files (read-only, by permission) and network,
/// and have no Docker. Under root they run as nobody. Use it from one thread that lives to the end.
class ProcessHost : public Machines {
 public:
  ProcessHost(boost::asio::any_io_executor executor, ProcessOptions options, const muster::Log& log,
              OnMachineEnd on_end);
  ~ProcessHost() override;

  /// Errors: invalid_input (sshd is missing), unavailable.
  muster::Status set_up();
  void set_metadata_port(std::string port) { options_.metadata_port = std::move(port); }

  muster::Status start(const MachineSpec& spec) override;
  void stop(const std::string& id) override;
  void reboot(const std::string& id) override;
  void kill(const std::string& id) override;
  [[nodiscard]] std::size_t count() const override { return machines_.size(); }
  [[nodiscard]] pid_t pid_of(const std::string& id) const override;
  [[nodiscard]] std::string console(const std::string& id) const override;
  void tear_down() override;

 private:
  struct Machine;

  [[nodiscard]] std::string dir_of(const std::string& id) const;
  muster::Status make_folder(const MachineSpec& spec) const;
  muster::Status boot(Machine& machine);
  void watch(const std::string& id);
  void ended(const std::string& id);
  void send_signal(const std::string& id, int signal);

  boost::asio::any_io_executor executor_;
  ProcessOptions options_;
  const muster::Log& log_;
  OnMachineEnd on_end_;
  int guest_ = -1;
  std::map<std::string, std::unique_ptr<Machine>> machines_;
};

}  // namespace ec2sim
