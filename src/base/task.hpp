#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace muster {

/// Of the program's one loop.
using Executor = boost::asio::io_context::executor_type;

/// A coroutine on the program's loop. It starts when it is awaited.
template <class T = void>
using Task = boost::asio::awaitable<T, Executor>;

/// Makes a task of an asynchronous operation of Asio.
inline constexpr boost::asio::use_awaitable_t<Executor> use_task{};

/// `co_await forget_cancellation();` lets a coroutine that was cancelled await its clean-up.
[[nodiscard]] inline auto forget_cancellation() {
  return boost::asio::this_coro::reset_cancellation_state();
}

/// `(co_await cancellation()).cancelled() != none` tells a coroutine that it was cancelled.
[[nodiscard]] inline auto cancellation() { return boost::asio::this_coro::cancellation_state; }

}  // namespace muster
