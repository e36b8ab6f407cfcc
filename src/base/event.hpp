#pragma once

#include <functional>
#include <memory>

#include "base/task.hpp"

namespace muster {

/// Wakes tasks of the same executor. `notify_all` wakes those that wait now; it is not remembered,
/// so a waiter looks at its condition in a loop.
class Event {
 public:
  explicit Event(const Executor& executor);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  /// Throws `operation_aborted` when it is cancelled.
  Task<> wait();
  void notify_all();
  /// Does what `notify_all` does, and nothing once the event is gone.
  [[nodiscard]] std::function<void()> waker() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the waiters, which may outlive the event.
};

}  // namespace muster
