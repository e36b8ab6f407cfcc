#include "base/spawned_task.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <utility>

namespace muster {

namespace asio = boost::asio;

struct SpawnedTask::State {
  explicit State(const Executor& executor) : ended(executor) {}
  asio::cancellation_signal signal;
  Event ended;
  bool has_ended = false;
  std::exception_ptr failure;
};

SpawnedTask::SpawnedTask(Executor executor, Task<> task)
    : state_(std::make_shared<State>(executor)) {
  asio::co_spawn(executor, std::move(task),
                 asio::bind_cancellation_slot(state_->signal.slot(),
                                              [state = state_](const std::exception_ptr& failure) {
                                                state->has_ended = true;
                                                state->failure = failure;
                                                state->ended.notify_all();
                                              }));
}

bool SpawnedTask::has_ended() const { return state_->has_ended; }

Event& SpawnedTask::ended() { return state_->ended; }

void SpawnedTask::cancel() { state_->signal.emit(asio::cancellation_type::all); }

void SpawnedTask::rethrow() const {
  if (state_->failure) std::rethrow_exception(state_->failure);
}

}  // namespace muster
