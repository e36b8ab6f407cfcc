#include "base/event.hpp"

#include <algorithm>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <utility>
#include <vector>

namespace muster {

namespace asio = boost::asio;

namespace {

using Code = boost::system::error_code;

/// One who waits: woken once, by the event or because it is cancelled.
struct Waiter {
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  virtual ~Waiter() = default;
  virtual void wake(const Executor& executor, Code why) = 0;
};

template <class Handler>
struct WaiterOf : Waiter {
  explicit WaiterOf(Handler&& to_be_woken) : handler(std::move(to_be_woken)) {}
  void wake(const Executor& executor, Code why) override {
    asio::post(executor, asio::append(std::move(handler), why));
  }
  Handler handler;
};

}  // namespace

struct Event::State {
  explicit State(Executor used) : executor(std::move(used)) {}

  void wake_all() {
    for (const std::shared_ptr<Waiter>& waiter : std::exchange(waiters, {})) {
      waiter->wake(executor, {});
    }
  }
  void cancel(const std::shared_ptr<Waiter>& waiter) {
    const auto found = std::find(waiters.begin(), waiters.end(), waiter);
    if (found == waiters.end()) return;
    waiters.erase(found);
    waiter->wake(executor, asio::error::operation_aborted);
  }

  Executor executor;
  std::vector<std::shared_ptr<Waiter>> waiters;  // In the order in which they came.
};

Event::Event(const Executor& executor) : state_(std::make_shared<State>(executor)) {}

Event::~Event() { state_->wake_all(); }

Task<> Event::wait() {
  return asio::async_initiate<const asio::use_awaitable_t<Executor>&, void(Code)>(
      [](auto handler, const std::shared_ptr<State>& state) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        const auto waiter = std::make_shared<WaiterOf<decltype(handler)>>(std::move(handler));
        state->waiters.push_back(waiter);
        if (!slot.is_connected()) return;
        slot.assign([weak_state = std::weak_ptr<State>(state),
                     weak_waiter = std::weak_ptr<Waiter>(waiter)](asio::cancellation_type) {
          const auto to = weak_state.lock();
          const auto whom = weak_waiter.lock();
          if (to && whom) to->cancel(whom);
        });
      },
      use_task, state_);
}

void Event::notify_all() { state_->wake_all(); }

std::function<void()> Event::waker() const {
  return [weak = std::weak_ptr<State>(state_)] {
    if (const auto state = weak.lock()) state->wake_all();
  };
}

}  // namespace muster
