#pragma once

#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"

namespace muster::system {

/// The machine's clock, on timers of the executor.
class RealClock : public Clock {
 public:
  explicit RealClock(Executor executor);

  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] TimePoint wall() const override;
  [[nodiscard]] ClockBase base() const override;
  [[nodiscard]] Duration monotonic() const override;
  Task<> wait(Event& event, Duration time_max) override;
  Task<> sleep(Duration duration) override;

 private:
  Executor executor_;
  TimePoint began_;  // The moment at which the time since boot was nothing.
};

/// The kernel's random numbers: fit for keys.
class SystemRandom : public Random {
 public:
  std::uint64_t next() override;
};

}  // namespace muster::system
