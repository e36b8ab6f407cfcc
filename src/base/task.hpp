#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

namespace muster {

/// A coroutine on the one executor of the program. It starts when it is awaited.
template <class T = void>
using Task = boost::asio::awaitable<T>;

/// `co_await forget_cancellation();` lets a coroutine that was cancelled await its clean-up.
[[nodiscard]] inline auto forget_cancellation() {
  return boost::asio::this_coro::reset_cancellation_state();
}

/// `(co_await cancellation()).cancelled() != none` tells a coroutine that it was cancelled.
[[nodiscard]] inline auto cancellation() { return boost::asio::this_coro::cancellation_state; }

}  // namespace muster
