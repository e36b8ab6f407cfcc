#include "ec2sim/name_server.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>

namespace ec2sim {

muster::Task<> serve_names(boost::asio::ip::udp::socket socket, NameLookup lookup) {
  namespace asio = boost::asio;
  std::array<char, 1500> bytes{};
  while (true) {
    asio::ip::udp::endpoint peer;
    auto [error, size] = co_await socket.async_receive_from(asio::buffer(bytes), peer,
                                                            asio::as_tuple(muster::use_task));
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;
    if (error) continue;
    const std::string answer = answer_dns({bytes.data(), size}, lookup);
    if (answer.empty()) continue;
    co_await socket.async_send_to(asio::buffer(answer), peer, asio::as_tuple(muster::use_task));
  }
}

}  // namespace ec2sim
