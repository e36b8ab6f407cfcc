#include "base/event.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace muster {

namespace asio = boost::asio;

struct Event::State {
  explicit State(const asio::any_io_executor& executor)
      : timer(executor, asio::steady_timer::time_point::max()) {}
  asio::steady_timer timer;  // Never fires by itself; cancelling it wakes the waiters.
};

Event::Event(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

Event::~Event() { state_->timer.cancel(); }

Task<> Event::wait() {
  const std::shared_ptr<State> state = state_;
  boost::system::error_code ignored;
  co_await state->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

Task<> Event::wait_quietly() {
  const std::shared_ptr<State> state = state_;
  boost::system::error_code ignored;
  co_await state->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void Event::notify_all() { state_->timer.cancel(); }

}  // namespace muster
