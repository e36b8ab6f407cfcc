#include "base/task_scope.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <list>
#include <utility>

#include "base/check.hpp"
#include "base/event.hpp"
#include "base/task.hpp"

namespace muster {

namespace asio = boost::asio;

struct TaskScope::State {
  explicit State(Executor used) : executor(std::move(used)), all_ended(executor) {}

  struct Child {
    asio::cancellation_signal signal;
    std::list<std::shared_ptr<Child>>::iterator place;
    bool has_ended = false;
  };
  Executor executor;
  void cancel(const std::shared_ptr<Child>& child) const {
    // From the loop, so that a child that ends at once does not change the list under our hands.
    asio::post(executor, [child] {
      if (!child->has_ended) child->signal.emit(asio::cancellation_type::all);
    });
  }

  std::list<std::shared_ptr<Child>> children;
  bool is_cancelled = false;
  Event all_ended;
};

TaskScope::TaskScope(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

TaskScope::~TaskScope() { MUSTER_CHECK(state_->children.empty()); }

void TaskScope::spawn(Task<> task) {
  const auto child = std::make_shared<State::Child>();
  child->place = state_->children.insert(state_->children.end(), child);
  asio::co_spawn(
      state_->executor, std::move(task),
      asio::bind_cancellation_slot(child->signal.slot(),
                                   [state = state_, child](const std::exception_ptr& failure) {
                                     child->has_ended = true;
                                     state->children.erase(child->place);
                                     if (state->children.empty()) state->all_ended.notify_all();
                                     if (!failure) return;
                                     try {
                                       std::rethrow_exception(failure);
                                     } catch (const boost::system::system_error& error) {
                                       MUSTER_CHECK(error.code() == asio::error::operation_aborted);
                                     }
                                   }));
  if (state_->is_cancelled && !child->has_ended) state_->cancel(child);
}

void TaskScope::cancel() {
  state_->is_cancelled = true;
  for (const std::shared_ptr<State::Child>& child : state_->children) state_->cancel(child);
}

Task<> TaskScope::join() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  const std::shared_ptr<State> state = state_;
  while (!state->children.empty()) co_await state->all_ended.wait();
}

std::size_t TaskScope::size() const { return state_->children.size(); }

}  // namespace muster
