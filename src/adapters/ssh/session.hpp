#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <sys/types.h>

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/machine.hpp"

namespace muster::ssh {

/// One authenticated SSH connection, shared by its channels. All of it runs on one executor;
/// libssh never blocks: where it would, the session waits for its socket.
class Session : public std::enable_shared_from_this<Session> {
 public:
  /// Connects, compares the host key, and only then authenticates.
  /// Errors: unavailable (no connection), timeout, unauthenticated (another host key, code
  /// `HostKeyMismatch`; or our key is refused, code `KeyRefused`).
  static Task<Result<std::shared_ptr<Session>>> connect(Executor executor, MachineTarget target);

  explicit Session(const Executor& executor);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] ssh_session raw() const { return session_; }
  [[nodiscard]] bool is_broken() const;
  /// How many packets have come in so far.
  [[nodiscard]] std::uint64_t packets() const { return counter_.in_packets; }

  /// Calls until the result is something else than SSH_AGAIN, waiting for the socket in between.
  /// A cancelled call leaves the protocol in an unknown state, so the session counts as broken.
  Task<int> finish(std::function<int()> call);

  /// Waits until something came in, for this channel or another.
  Task<> progress();
  /// Says that a call may have taken in bytes for others.
  void note_progress();

  [[nodiscard]] tl::unexpected<Error> broken(std::string_view step) const;

  std::size_t channel_count = 0;

 private:
  void watch();

  Executor executor_;
  boost::asio::ip::tcp::socket socket_;
  ssh_session session_ = nullptr;
  int descriptor_ = -1;  ///< libssh's own of the same socket.
  ino_t descriptor_socket_ = 0;
  ssh_counter_struct counter_{};
  std::uint64_t seen_packets_ = 0;
  Event moved_;
  bool reads_ = false;
  bool writes_ = false;
  bool is_broken_ = false;
  std::string old_error_;  ///< Of a key that was refused before another was taken.
};

/// Connects the socket. Errors: unavailable, invalid_input (no IP address).
[[nodiscard]] Task<Status> open_socket(boost::asio::ip::tcp::socket* socket, std::string address,
                                       int port);

}  // namespace muster::ssh
