#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/host_key.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/shell.hpp"
#include "base/task.hpp"
#include "ports/containers.hpp"

namespace muster {

/// Bytes both ways: a port or unix socket on a machine.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Up to `bytes_max` bytes; empty at the end. Errors: unavailable.
  virtual Task<Result<std::string>> read(std::size_t bytes_max) = 0;
  virtual Task<Status> write(std::string bytes) = 0;
  /// Says that no more is written; reading goes on.
  virtual Task<Status> close_write() = 0;
};

/// Opens streams to one place, again and again.
class StreamOpener {
 public:
  virtual ~StreamOpener() = default;
  virtual Task<Result<std::unique_ptr<ByteStream>>> open() = 0;
};

/// A command for the machine's shell.
struct ExecRequest {
  std::string command;                                             ///< Run by `sh`.
  std::vector<std::pair<std::string, std::string>> environment{};  ///< No secrets: `ps` shows it.
  std::string folder{};                                            ///< Empty: the user's home.
  std::string input{};  ///< Standard input, then its end.
};

struct ExitStatus {
  int code = 0;
  std::string signal;  ///< `KILL`; empty if it ended by itself. Then `code` is 128 and more.
};

struct ExecResult {
  ExitStatus exit;
  std::string out;
  std::string err;
};

/// Bytes of one of a process's two streams.
struct ProcessOutput {
  bool is_error = false;
  std::string bytes;
};

/// A command that runs on the machine, tied to the connection: it is lost with it.
class RemoteProcess {
 public:
  virtual ~RemoteProcess() = default;
  /// The next output, in the order of arrival per stream; nothing at the end of both.
  virtual Task<Result<std::optional<ProcessOutput>>> read() = 0;
  virtual Task<Status> write(std::string bytes) = 0;
  virtual Task<Status> close_input() = 0;
  /// `TERM`, `KILL`, … to the command (RFC 4254, 6.9).
  virtual Task<Status> signal(std::string name) = 0;
  /// The exit status; after the end of both streams.
  virtual Task<Result<ExitStatus>> wait() = 0;
};

/// One machine over one authenticated way in. Errors of all: unavailable when the connection broke
/// (a later call connects anew), timeout, unauthenticated when the machine is not the one expected.
class Machine {
 public:
  virtual ~Machine() = default;
  /// Runs a command to its end; each stream is kept up to 1 MiB, the rest is dropped.
  virtual Task<Result<ExecResult>> run(ExecRequest request) = 0;
  virtual Task<Result<std::unique_ptr<RemoteProcess>>> start(ExecRequest request) = 0;
  /// Writes a file in one go: a reader sees the old one or the new one.
  virtual Task<Status> copy_to(std::string path, std::string bytes, int mode) = 0;
  virtual Task<Result<std::string>> copy_from(std::string path, std::size_t bytes_max) = 0;
  virtual Task<Result<std::unique_ptr<ByteStream>>> open_tcp(std::string host, int port) = 0;
  virtual Task<Result<std::unique_ptr<ByteStream>>> open_unix(std::string path) = 0;
  /// Ends the connections in order.
  virtual Task<> close() = 0;
};

/// Where a machine is and how it is known.
struct MachineTarget {
  std::string address;
  int port = 22;
  std::string user;
  /// `OPENSSH PRIVATE KEY` blocks, tried in this order by each connection.
  std::vector<Secret> private_keys;
  std::vector<HostKey> host_keys;  ///< Pinned; the machine must show one of them.
};

/// Opens the way to a machine. Errors: unavailable and timeout (not up yet), unauthenticated with
/// the code `HostKeyMismatch` (another machine answers) or `KeyRefused`.
class MachineConnector {
 public:
  virtual ~MachineConnector() = default;
  virtual Task<Result<std::unique_ptr<Machine>>> connect(MachineTarget target,
                                                         Duration time_max) = 0;
  /// Ends when something listens there. It costs no call of the cloud, so a machine that boots is
  /// knocked at before its console is read. Errors: unavailable and timeout (not up yet).
  virtual Task<Status> knock(std::string address, int port, Duration time_max) = 0;
};

/// Makes the engine of a machine available. The machine must outlive it.
class ContainersConnector {
 public:
  virtual ~ContainersConnector() = default;
  virtual std::unique_ptr<Containers> containers_of(Machine& machine) = 0;
};

/// The request as one command for a login shell of any kind: `sh -c '…'` with folder and
/// environment set inside.
[[nodiscard]] std::string shell_command(const ExecRequest& request);

}  // namespace muster
