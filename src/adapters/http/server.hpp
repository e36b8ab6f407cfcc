#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/task.hpp"
#include "base/task_scope.hpp"
#include "ports/http.hpp"

namespace muster::http {

struct ServerLimits {
  std::size_t header_bytes_max = 64 << 10;
  std::size_t body_bytes_max = 2 << 20;
  std::size_t connections_max = 1000;  ///< Above it new connections are closed.
  Duration read_time_max =
      std::chrono::seconds{30};  ///< For one whole request, from its first byte.
  Duration idle_time_max = std::chrono::seconds{60};  ///< Between requests of a connection.
  Duration write_time_max = std::chrono::seconds{30};
};

/// An HTTP/1.1 server on sockets that are already bound: one task a connection, requests read
/// whole before the handler sees them, 413 and 431 before anything is buffered beyond the limits.
class Server {
 public:
  Server(Executor executor, HttpHandler& handler, ServerLimits limits, const Log& log);

  /// Accepts on the socket until cancelled.
  Task<> serve(boost::asio::ip::tcp::acceptor acceptor);
  Task<> serve(boost::asio::local::stream_protocol::acceptor acceptor);

  /// Ends open connections: those that answer a request get `grace` for it.
  Task<> stop(Duration grace);

 private:
  /// The two ends of a connection.
  struct Ends {
    std::string peer_address;
    std::string local_address;
    std::optional<std::uint32_t> peer_user;
  };
  static Ends ends_of(const boost::asio::ip::tcp::socket& socket);
  static Ends ends_of(const boost::asio::local::stream_protocol::socket& socket);

  template <class Acceptor>
  Task<> accept(Acceptor acceptor);
  Task<> converse(boost::asio::generic::stream_protocol::socket socket, Ends ends);

  Executor executor_;
  HttpHandler& handler_;
  ServerLimits limits_;
  const Log& log_;
  TaskScope connections_;
  std::size_t answering_count_ = 0;
  bool is_stopping_ = false;
};

/// A listening socket. Errors: invalid_input (no such address), conflict (in use).
[[nodiscard]] Result<boost::asio::ip::tcp::acceptor> listen(const Executor& executor,
                                                            const std::string& address, int port);

/// A listening local socket, which only its owner may connect to; a file that is there goes.
/// Errors: invalid_input (the path is too long), unavailable.
[[nodiscard]] Result<boost::asio::local::stream_protocol::acceptor> listen_local(
    const Executor& executor, const std::string& path);

/// A listening socket on every address of one network device, and on no other. Errors: conflict.
[[nodiscard]] Result<boost::asio::ip::tcp::acceptor> listen_on_device(const Executor& executor,
                                                                      const std::string& device,
                                                                      int port);

}  // namespace muster::http
