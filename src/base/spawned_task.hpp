#pragma once

#include <memory>

#include "base/event.hpp"
#include "base/task.hpp"

namespace muster {

/// A task that runs beside the one that made it, which waits for its end whatever comes.
class SpawnedTask {
 public:
  SpawnedTask(Executor executor, Task<> task);

  [[nodiscard]] bool has_ended() const;
  /// Told when it has ended.
  [[nodiscard]] Event& ended();
  /// Asks it to end: its next await throws `operation_aborted`.
  void cancel();
  /// Throws what an ended one threw, if it did.
  void rethrow() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with its completion.
};

}  // namespace muster
