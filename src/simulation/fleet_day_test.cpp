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

/// A day on which the process crashes while EC2 launches, with the nets that are named.
DayResult play_with_nets(bool replays_intents, bool sweeps, bool has_dead_man) {
  DayOptions options;
  options.seed = 3;
  options.only = {4};
  options.jobs_share = 0.3;
  options.replays_intents = replays_intents;
  options.sweeps = sweeps;
  options.has_dead_man = has_dead_man;
  const DayResult day = play_day(options);
  EXPECT_GT(day.strikes.at(4), 3);
  return day;
}

TEST(Nets, WithoutAnyInstancesLeak) { EXPECT_GT(play_with_nets(false, false, false).leaked, 0); }

TEST(Nets, TheTokenIsReplayed) {
  const DayResult day = play_with_nets(true, false, false);
  EXPECT_EQ(day.leaked, 0);
  for (const Violation& one : day.violations) EXPECT_NE(one.invariant, "I1") << one.text;
}

TEST(Nets, TheTagsAreSwept) { EXPECT_EQ(play_with_nets(false, true, false).leaked, 0); }

TEST(Nets, TheTimersEndMachines) { EXPECT_EQ(play_with_nets(false, false, true).leaked, 0); }

}  // namespace
}  // namespace muster::simulation
