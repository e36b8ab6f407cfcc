#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "base/task.hpp"

namespace muster {

/// Wakes tasks of the same executor. `notify_all` wakes those that wait now; it is not remembered,
/// so a waiter looks at its condition in a loop.
class Event {
 public:
  explicit Event(const boost::asio::any_io_executor& executor);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  Task<> wait();
  /// Also ends when it is cancelled, without throwing: for the side of a race that may lose.
  Task<> wait_quietly();
  void notify_all();

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the waiters, which may outlive the event.
};

}  // namespace muster
