#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/event.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/time.hpp"

namespace muster {

/// What `Clock::now` counts from. Within one boot of the machine the time gone by is known across
/// restarts of the program, also when its clock was set in between.
struct ClockBase {
  std::string boot;   ///< Of the machine; empty: not known.
  TimePoint began{};  ///< `now` as it was when the boot began.

  friend bool operator==(const ClockBase&, const ClockBase&) = default;
};

/// The only source of time.
class Clock {
 public:
  virtual ~Clock() = default;

  /// UTC as it was when the program started, and the time gone by since: it does not jump when the
  /// machine's clock is set, so that nothing expires by that.
  [[nodiscard]] virtual TimePoint now() const = 0;
  /// What the machine's clock shows, which may jump: for what people have said by the clock.
  [[nodiscard]] virtual TimePoint wall() const { return now(); }
  [[nodiscard]] virtual ClockBase base() const { return {}; }
  /// Never goes back and is not set: use it to measure.
  [[nodiscard]] virtual Duration monotonic() const = 0;
  /// Ends when the event is told, or after `time_max`; perhaps earlier. The event outlives it.
  virtual Task<> wait(Event& event, Duration time_max) = 0;
  /// Ends after `duration`, or throws `operation_aborted` when cancelled.
  virtual Task<> sleep(Duration duration) = 0;
};

/// Runs `work`; after `limit` it is cancelled. Ends when it has ended, and throws what it threw
/// before the limit. Cancelled itself, it cancels `work` and throws, and its caller is from then on
/// as if it had called `forget_cancellation`.
Task<> run_for(Clock& clock, Duration limit, Task<> work);

/// Awaits `work` for at most `limit`, then cancels it. Errors: those of `work`, and timeout.
template <class T>
Task<Result<T>> with_deadline(Clock& clock, Duration limit, Task<Result<T>> work) {
  std::optional<Result<T>> result;
  const auto keep = [](Task<Result<T>> doing, std::optional<Result<T>>* place) -> Task<> {
    *place = co_await std::move(doing);
  };
  Task<> working = run_for(clock, limit, keep(std::move(work), &result));
  co_await std::move(working);
  if (result) co_return std::move(*result);
  co_return fail(ErrorKind::timeout, "no answer within " + format_duration(limit));
}

}  // namespace muster
