#include "base/race.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <exception>
#include <utility>
#include <variant>

namespace muster {
namespace {

/// Ends normally whatever the task does, so that its end always ends the race.
Task<> contain(Task<> task, std::exception_ptr* failure) {
  try {
    co_await std::move(task);
  } catch (...) {
    *failure = std::current_exception();
  }
}

}  // namespace

Task<std::size_t> race(Task<> first, Task<> second) {
  using boost::asio::experimental::awaitable_operators::operator||;
  std::exception_ptr failures[2];
  Task<> one = contain(std::move(first), &failures[0]);
  Task<> other = contain(std::move(second), &failures[1]);
  auto both = std::move(one) || std::move(other);
  const auto winner = co_await std::move(both);
  if (failures[winner.index()]) std::rethrow_exception(failures[winner.index()]);
  co_return winner.index();
}

}  // namespace muster
