#include "simulation/fleet_day.hpp"

#include <gtest/gtest.h>

namespace muster::simulation {
namespace {

using namespace std::chrono_literals;

std::string told(const DayResult& day) {
  std::string text = "seed " + std::to_string(day.seed);
  for (const Violation& one : day.violations) text += "\n" + one.invariant + ": " + one.text;
  return text;
}

TEST(FleetDay, TheSameSeedGivesTheSameTrace) {
  DayOptions options;
  options.seed = 9;
  const DayResult first = play_day(options);
  const DayResult second = play_day(options);
  EXPECT_EQ(first.trace_hash, second.trace_hash);
  EXPECT_EQ(first.events, second.events);
  EXPECT_TRUE(first.violations.empty()) << told(first);
  options.seed = 10;
  EXPECT_NE(play_day(options).trace_hash, first.trace_hash);
}

/// EC2's bucket holds 1000 instances and fills by 2 a second (aws.md 15.2).
TEST(FleetDay, LaunchesThreeThousandAtTheRateOfTheBucket) {
  DayOptions options;
  options.has_faults = false;
  options.burst = 1500;
  const DayResult day = play_day(options);
  EXPECT_EQ(day.launched, 1500);
  const double optimum = (1500.0 - 1000.0) / 2;
  EXPECT_LE(std::chrono::duration<double>(day.last_launch - 1min).count(), 1.05 * optimum);
}

}  // namespace
}  // namespace muster::simulation
