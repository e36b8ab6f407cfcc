#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "simulation/sim_world.hpp"

namespace muster::simulation {

/// One day of a fleet, drawn from a seed.
struct DayOptions {
  std::uint64_t seed = 1;
  bool has_faults = true;
  bool keeps_trace = false;
  std::set<int> without;  ///< Faults that are left out.
  std::set<int> only;     ///< These all day, in place of what the seed draws.
  double jobs_share = 1;  ///< Of the jobs that the seed gives.
  Duration length = std::chrono::hours{24};
  // To prove one net with the others off.
  bool replays_intents = true;
  bool sweeps = true;
  bool has_dead_man = true;
  // In place of what the seed draws.
  int instances = 0;         ///< Kept busy all day, without faults.
  int reuse = 1;             ///< Jobs on each of them.
  int burst = 0;             ///< Jobs that arrive at once.
  bool uses_fleets = false;  ///< The burst by CreateFleet.
  Duration soak{};           ///< So long two jobs a second, without faults.
  /// Is told of the store, forty times in a soak.
  std::function<void(Duration at, const SimDisk& disk)> on_sample{};
};

struct DayResult {
  std::uint64_t seed = 0;
  long events = 0;
  std::uint64_t trace_hash = 0;
  int jobs = 0;
  int launched = 0;
  int leaked = 0;  ///< Instances that run at the end, and nothing that is stored knows them.
  Duration last_launch{};
  std::vector<Violation> violations;
  std::map<int, long> strikes;
  std::set<int> faults;  ///< That the day had, whether they struck or not.
  std::map<std::string, std::array<long, 3>, std::less<>> points;
  std::map<std::string, std::array<long, 3>, std::less<>> point_strikes;
  std::vector<std::string> trace;
};

/// Plays one day: the real core and shell against the simulated world. The same options give the
/// same result in every build.
[[nodiscard]] DayResult play_day(const DayOptions& options);

/// The same failure with fewer faults and jobs, as far as that can be found.
[[nodiscard]] DayOptions shrink(const DayOptions& failing, const std::string& invariant);

}  // namespace muster::simulation
