#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>

#include "base/event.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"

namespace muster::simulation {

/// A clock that stands still while anything can run, then jumps to the next sleeper. Those that
/// wake at the same time do so in the order in which they fell asleep.
class VirtualClock : public Clock {
 public:
  explicit VirtualClock(boost::asio::io_context& context,
                        TimePoint start = TimePoint{std::chrono::seconds{1'700'000'000}});

  [[nodiscard]] TimePoint now() const override { return now_; }
  [[nodiscard]] Duration monotonic() const override { return now_.time_since_epoch(); }
  Task<> sleep(Duration duration) override;
  Task<> wait(Event& event, Duration time_max) override;

  /// Runs what is ready and moves the clock until `task` has ended; false if it never can.
  bool run(Task<> task);

 private:
  /// A place among the sleepers, left when the sleeper goes on.
  class Bed;

  boost::asio::io_context& context_;
  TimePoint now_;
  std::multimap<TimePoint, Bed*> sleepers_;
};

/// SplitMix64: the same seed gives the same numbers in every build.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override;

 private:
  std::uint64_t state_;
};

}  // namespace muster::simulation
