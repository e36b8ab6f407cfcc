#include "adapters/http/server.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <sstream>

namespace muster::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

namespace {

using Parser = beast::http::request_parser<beast::http::string_body>;
using Response = beast::http::response<beast::http::string_body>;

using Stream = beast::basic_stream<asio::generic::stream_protocol>;

constexpr auto kTuple = asio::as_tuple(use_task);

HttpServerRequest convert(const Parser::value_type& message) {
  HttpServerRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    request.headers.emplace_back(field.name_string(), field.value());
  }
  request.body = message.body();
  return request;
}

Response convert(HttpServerResponse answer, unsigned version, bool keeps_alive, bool is_head) {
  Response response;
  response.version(version);
  response.result(static_cast<unsigned>(answer.status));
  for (const auto& [name, value] : answer.headers) response.insert(name, value);
  response.keep_alive(keeps_alive);
  const std::size_t size = answer.body.size();
  if (!is_head) response.body() = std::move(answer.body);
  response.content_length(size);
  return response;
}

int status_of(const boost::system::error_code& error) {
  if (error == beast::http::error::body_limit) return 413;
  if (error == beast::http::error::header_limit) return 431;
  return 400;
}

bool is_protocol_error(const boost::system::error_code& error) {
  return error.category() == make_error_code(beast::http::error::body_limit).category() &&
         error != beast::http::error::end_of_stream && error != beast::http::error::partial_message;
}

/// Sends the beginning of an answer and leaves.
Task<> send_part(Stream& stream, HttpServerResponse answer) {
  const std::size_t bytes_max = *answer.bytes_max;
  const Response response = convert(std::move(answer), 11, false, false);
  std::ostringstream text;
  text << response;
  std::string whole = text.str();
  whole.resize(std::min(whole.size(), bytes_max));
  stream.expires_after(std::chrono::seconds{10});
  auto [failed, sent] = co_await asio::async_write(stream, asio::buffer(whole), kTuple);
  static_cast<void>(failed);
  static_cast<void>(sent);
}

/// Sends an answer whose length nobody knows, until its end or the client's.
Task<> send_pieces(Stream& stream, HttpServerResponse answer, Duration write_time_max,
                   bool is_head) {
  std::function<Task<std::string>()> next_piece = std::move(answer.next_piece);
  Response response;
  response.version(11);
  response.result(static_cast<unsigned>(answer.status));
  for (const auto& [name, value] : answer.headers) response.insert(name, value);
  response.keep_alive(false);
  std::ostringstream head;
  head << response.base();
  std::string piece = head.str();
  while (!piece.empty()) {
    stream.expires_after(write_time_max);
    auto [failed, sent] = co_await asio::async_write(stream, asio::buffer(piece), kTuple);
    if (failed || is_head) co_return;
    stream.expires_never();
    Task<std::string> making = next_piece();
    piece = co_await std::move(making);
  }
}

}  // namespace

Server::Server(Executor executor, HttpHandler& handler, ServerLimits limits, const Log& log)
    : executor_(executor),
      handler_(handler),
      limits_(limits),
      log_(log),
      connections_(std::move(executor)) {}

Server::Ends Server::ends_of(const tcp::socket& socket) {
  boost::system::error_code ignored;
  return {socket.remote_endpoint(ignored).address().to_string(),
          socket.local_endpoint(ignored).address().to_string(), std::nullopt};
}

Server::Ends Server::ends_of(const asio::local::stream_protocol::socket& socket) {
  Ends ends;
  ucred who{};
  socklen_t size = sizeof who;
  auto& handle = const_cast<asio::local::stream_protocol::socket&>(socket);
  if (getsockopt(handle.native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0)
    ends.peer_user = who.uid;
  return ends;
}

Task<> Server::serve(tcp::acceptor acceptor) { return accept(std::move(acceptor)); }

Task<> Server::serve(asio::local::stream_protocol::acceptor acceptor) {
  return accept(std::move(acceptor));
}

template <class Acceptor>
Task<> Server::accept(Acceptor acceptor) {
  while (true) {
    auto [error, socket] = co_await acceptor.async_accept(kTuple);
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none || is_stopping_) co_return;
    if (error) {
      // Out of descriptors, mostly: wait for some to come back instead of spinning.
      log_.warn("accept_failed", {{"error_code", error.value()}});
      asio::steady_timer pause(executor_, std::chrono::milliseconds(100));
      co_await pause.async_wait(use_task);
      continue;
    }
    if (connections_.size() >= limits_.connections_max) {
      log_.warn("connection_refused", {{"connections", connections_.size()}});
      continue;
    }
    Ends ends = ends_of(socket);
    if constexpr (std::is_same_v<Acceptor, tcp::acceptor>) {
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
    }
    connections_.spawn(
        converse(asio::generic::stream_protocol::socket(std::move(socket)), std::move(ends)));
  }
}

Task<> Server::converse(asio::generic::stream_protocol::socket socket, Ends ends) {
  Stream stream(std::move(socket));
  beast::flat_buffer buffer;
  while (!is_stopping_) {
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
    parser.body_limit(limits_.body_bytes_max);
    // Idle until the first byte of a request, then one deadline for the whole of it.
    if (buffer.size() == 0) {
      stream.expires_after(limits_.idle_time_max);
      auto [error, size] = co_await stream.async_read_some(buffer.prepare(16 << 10), kTuple);
      if (error) co_return;
      buffer.commit(size);
    }
    stream.expires_after(limits_.read_time_max);
    auto [error, read] = co_await beast::http::async_read_header(stream, buffer, parser, kTuple);
    const bool wants_continue =
        !error && beast::iequals(parser.get()[beast::http::field::expect], "100-continue");
    if (wants_continue) {
      Response go_on;
      go_on.result(100);
      auto [failed, sent] = co_await beast::http::async_write(stream, go_on, kTuple);
      if (failed) co_return;
    }
    if (!error) {
      auto [failed, more] = co_await beast::http::async_read(stream, buffer, parser, kTuple);
      error = failed;
    }
    if (error && !is_protocol_error(error)) co_return;
    HttpServerResponse answer;
    bool keeps_alive = false;
    bool is_head = false;
    if (error) {
      answer = handler_.answer_unreadable(status_of(error), error.message());
    } else {
      keeps_alive = parser.get().keep_alive();
      is_head = parser.get().method() == beast::http::verb::head;
      HttpServerRequest request = convert(parser.get());
      request.peer_address = ends.peer_address;
      request.local_address = ends.local_address;
      request.peer_user = ends.peer_user;
      stream.expires_never();
      ++answering_count_;
      answer = co_await handler_.handle(std::move(request));
      --answering_count_;
    }
    if (answer.ip_ttl) {
      const int ttl = *answer.ip_ttl;
      setsockopt(stream.socket().native_handle(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    }
    if (answer.bytes_max) {
      co_await send_part(stream, std::move(answer));
      co_return;
    }
    if (answer.next_piece) {
      Task<> sending = send_pieces(stream, std::move(answer), limits_.write_time_max, is_head);
      co_await std::move(sending);
      break;
    }
    const bool goes_on = keeps_alive && !is_stopping_ && !answer.ip_ttl;
    Response response = convert(std::move(answer), 11, goes_on, is_head);
    beast::http::response_serializer<beast::http::string_body> serializer(response);
    serializer.split(is_head);
    stream.expires_after(limits_.write_time_max);
    if (is_head) {
      auto [failed, sent] = co_await beast::http::async_write_header(stream, serializer, kTuple);
      if (failed) co_return;
    } else {
      auto [failed, sent] = co_await beast::http::async_write(stream, serializer, kTuple);
      if (failed) co_return;
    }
    if (!goes_on) break;
  }
  boost::system::error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

Task<> Server::stop(Duration grace) {
  is_stopping_ = true;
  asio::steady_timer pause(executor_);
  for (Duration waited{0}; answering_count_ > 0 && waited < grace;) {
    pause.expires_after(std::chrono::milliseconds(10));
    co_await pause.async_wait(use_task);
    waited += std::chrono::milliseconds(10);
  }
  connections_.cancel();
  co_await connections_.join();
}

Result<tcp::acceptor> listen(const Executor& executor, const std::string& address, int port) {
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) {
    return fail(ErrorKind::invalid_input, fmt::format("\"{}\" is no IP address", address),
                "Give one such as 127.0.0.1.");
  }
  tcp::acceptor acceptor(executor);
  const tcp::endpoint endpoint(ip, static_cast<unsigned short>(port));
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(ErrorKind::conflict,
                fmt::format("cannot listen on {}:{}: {}", address, port, error.message()),
                "Give another port, or 0 for a free one.");
  }
  return acceptor;
}

Result<asio::local::stream_protocol::acceptor> listen_local(const Executor& executor,
                                                            const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorKind::invalid_input,
                fmt::format("{} is too long for a socket: {} bytes, and {} is the most", path,
                            path.size(), sizeof(sockaddr_un::sun_path) - 1),
                "Set MUSTER_STATE to a folder with a shorter path.");
  }
  ::unlink(path.c_str());
  boost::system::error_code error;
  asio::local::stream_protocol::acceptor acceptor(executor);
  acceptor.open(asio::local::stream_protocol(), error);
  // Nobody else, from the first moment on.
  const mode_t before = ::umask(0177);
  if (!error) acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  ::umask(before);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return acceptor;
  return fail(ErrorKind::unavailable, fmt::format("cannot listen on {}: {}", path, error.message()),
              "Set MUSTER_STATE to a folder that can be written.");
}

Result<tcp::acceptor> listen_on_device(const Executor& executor, const std::string& device,
                                       int port) {
  boost::system::error_code error;
  tcp::acceptor acceptor(executor);
  acceptor.open(tcp::v4(), error);
  const int bound = setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_BINDTODEVICE,
                               device.c_str(), static_cast<socklen_t>(device.size()));
  if (!error && bound == 0) {
    const tcp::endpoint endpoint(tcp::v4(), static_cast<unsigned short>(port));
    acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) return acceptor;
  }
  return fail(ErrorKind::conflict, fmt::format("cannot listen on device {}", device));
}

}  // namespace muster::http
