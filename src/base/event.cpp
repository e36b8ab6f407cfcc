#include "base/event.hpp"

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <utility>
#include <vector>

namespace muster {

namespace asio = boost::asio;

namespace {

/// One who waits: woken once, by the event or because it is cancelled.
struct Waiter {
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  virtual ~Waiter() = default;
  virtual void wake(const asio::any_io_executor& executor) = 0;
};

template <class Handler>
struct WaiterOf : Waiter {
  explicit WaiterOf(Handler&& to_be_woken) : handler(std::move(to_be_woken)) {}
  void wake(const asio::any_io_executor& executor) override {
    asio::post(executor, std::move(handler));
  }
  Handler handler;
};

}  // namespace

struct Event::State {
  explicit State(asio::any_io_executor used) : executor(std::move(used)) {}

  void wake_all() {
    for (const std::shared_ptr<Waiter>& waiter : std::exchange(waiters, {})) waiter->wake(executor);
  }
  void wake(const std::shared_ptr<Waiter>& waiter) {
    const auto found = std::find(waiters.begin(), waiters.end(), waiter);
    if (found == waiters.end()) return;
    waiters.erase(found);
    waiter->wake(executor);
  }

  asio::any_io_executor executor;
  std::vector<std::shared_ptr<Waiter>> waiters;  // In the order in which they came.
};

Event::Event(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

Event::~Event() { state_->wake_all(); }

Task<> Event::wait_quietly() {
  const std::shared_ptr<State> state = state_;
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&state](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        const auto waiter = std::make_shared<WaiterOf<decltype(handler)>>(std::move(handler));
        state->waiters.push_back(waiter);
        if (!slot.is_connected()) return;
        slot.assign([weak_state = std::weak_ptr<State>(state),
                     weak_waiter = std::weak_ptr<Waiter>(waiter)](asio::cancellation_type) {
          const auto to = weak_state.lock();
          const auto whom = weak_waiter.lock();
          if (to && whom) to->wake(whom);
        });
      },
      asio::use_awaitable);
}

Task<> Event::wait() {
  Task<> waiting = wait_quietly();
  co_await std::move(waiting);
  const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

void Event::notify_all() { state_->wake_all(); }

}  // namespace muster
