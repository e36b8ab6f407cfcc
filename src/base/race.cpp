#include "base/race.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <variant>

namespace muster {

Task<std::size_t> race(Task<> first, Task<> second) {
  using boost::asio::experimental::awaitable_operators::operator||;
  auto both = std::move(first) || std::move(second);
  const auto winner = co_await std::move(both);
  co_return winner.index();
}

}  // namespace muster
