#pragma once

#include <memory>
#include <vector>

#include "adapters/ssh/session.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/machine.hpp"

namespace muster::ssh {

/// The `Machine` port over SSH. Connections are opened as they are needed: sshd allows ten
/// channels on each.
class SshMachine : public Machine {
 public:
  SshMachine(Executor executor, Clock& clock, MachineTarget target, Duration connect_time_max);

  /// Opens the first connection, so that a caller learns whether there is a way in.
  Task<Status> connect();

  Task<Result<ExecResult>> run(ExecRequest request) override;
  Task<Result<std::unique_ptr<RemoteProcess>>> start(ExecRequest request) override;
  Task<Status> copy_to(std::string path, std::string bytes, int mode) override;
  Task<Result<std::string>> copy_from(std::string path, std::size_t bytes_max) override;
  Task<Result<std::unique_ptr<ByteStream>>> open_tcp(std::string host, int port) override;
  Task<Result<std::unique_ptr<ByteStream>>> open_unix(std::string path) override;
  Task<> close() override;

 private:
  Task<Result<std::shared_ptr<Session>>> acquire();

  Executor executor_;
  Clock& clock_;
  MachineTarget target_;
  Duration connect_time_max_;
  std::vector<std::shared_ptr<Session>> sessions_;
  Event connected_;
  bool is_connecting_ = false;
};

/// Connects by SSH.
class SshConnector : public MachineConnector {
 public:
  SshConnector(Executor executor, Clock& clock) : executor_(std::move(executor)), clock_(clock) {}

  Task<Result<std::unique_ptr<Machine>>> connect(MachineTarget target, Duration time_max) override;
  Task<Status> knock(std::string address, int port, Duration time_max) override;

 private:
  Executor executor_;
  Clock& clock_;
};

}  // namespace muster::ssh
