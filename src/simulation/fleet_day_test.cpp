#include "simulation/fleet_day.hpp"

#include <gtest/gtest.h>

namespace muster::simulation {
namespace {

using namespace std::chrono_literals;

/// An hour with crashes and faults; that nothing is broken at its end only a whole day can tell.
TEST(FleetDay, TheSameSeedGivesTheSameTrace) {
  DayOptions options;
  options.seed = 9;
  options.length = 1h;
  const DayResult first = play_day(options);
  EXPECT_EQ(first.trace_hash, play_day(options).trace_hash);
  EXPECT_GT(first.events, 100);
  options.seed = 10;
  EXPECT_NE(play_day(options).trace_hash, first.trace_hash);
}

}  // namespace
}  // namespace muster::simulation
