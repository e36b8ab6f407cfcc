#pragma once

#include <memory>

#include "base/task.hpp"

namespace muster {

/// Owns tasks that run beside their parent. Nothing is fire-and-forget: whoever opens a scope
/// cancels and joins it. A child that throws anything but cancellation is a bug and aborts.
class TaskScope {
 public:
  explicit TaskScope(Executor executor);
  /// Every child must have ended: `cancel` and `join` come first.
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Starts a child. One that comes after `cancel` is cancelled too.
  void spawn(Task<> task);

  /// Asks every child to end; their next await throws `operation_aborted`.
  void cancel();

  /// Ends when every child has ended. Not cancellable itself: it runs during clean-up.
  Task<> join();

  [[nodiscard]] std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the completion handlers of the children.
};

}  // namespace muster
