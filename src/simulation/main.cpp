#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "simulation/fleet_day.hpp"

// `fleet_simulation --days 200 --seed 7`: that many days of fleets, each drawn from the next seed.

namespace muster::simulation {
namespace {

struct Flags {
  long days = 100;
  long seconds = 0;  ///< No further day after this long; 0: all days.
  std::uint64_t seed = 1;
  DayOptions day;
  bool shows_trace = false;
  bool shows_hash = false;
  bool shows_progress = false;
  bool shrinks = true;
};

struct Totals {
  long days = 0;
  long events = 0;
  long jobs = 0;
  long violations = 0;
  std::map<int, long> strikes;
  std::map<std::string, std::array<long, 3>, std::less<>> points;
  std::map<std::string, std::array<long, 3>, std::less<>> point_strikes;
  std::uint64_t hash = 0;
};

void add(Totals& totals, const DayResult& day) {
  ++totals.days;
  totals.events += day.events;
  totals.jobs += day.jobs;
  totals.violations += static_cast<long>(day.violations.size());
  for (const auto& [number, count] : day.strikes) totals.strikes[number] += count;
  for (const auto& [what, counts] : day.points) {
    for (std::size_t i = 0; i < counts.size(); ++i) totals.points[what].at(i) += counts.at(i);
  }
  for (const auto& [what, counts] : day.point_strikes) {
    for (std::size_t i = 0; i < counts.size(); ++i)
      totals.point_strikes[what].at(i) += counts.at(i);
  }
  totals.hash = totals.hash * 31 + day.trace_hash;
}

void tell_failure(const Flags& flags, const DayResult& day) {
  const Violation& first = day.violations.front();
  fmt::print("seed {} breaks {} at {:.0f} s: {}\n", day.seed, first.invariant,
             std::chrono::duration<double>(first.at).count(), first.text);
  if (!flags.shrinks) return;
  DayOptions failing = flags.day;
  failing.seed = day.seed;
  DayOptions small = shrink(failing, first.invariant);
  small.keeps_trace = true;
  const DayResult told = play_day(small);
  std::string without;
  for (const int number : told.faults) without += fmt::format(" X{}", number);
  fmt::print("  with {} jobs and the faults{} it goes like this:\n", told.jobs, without);
  const auto broken = std::find_if(
      told.trace.begin(), told.trace.end(),
      [](const std::string& line) { return line.find("VIOLATION") != std::string::npos; });
  std::vector<std::string> lines;
  for (auto line = told.trace.begin(); line != told.trace.end(); ++line) {
    // What repeats itself without end tells little.
    const bool is_routine = line->find("DescribeInstances            ok") != std::string::npos ||
                            line->find("GetConsoleOutput             ok") != std::string::npos;
    if (!is_routine) lines.push_back(*line);
    if (line == broken) break;
  }
  const std::size_t shown = std::min<std::size_t>(lines.size(), 60);
  for (std::size_t i = lines.size() - shown; i < lines.size(); ++i) fmt::print("  {}\n", lines[i]);
}

/// How often each fault struck, and which crash points never did although they exist.
bool report(const Totals& totals, bool has_faults) {
  bool is_complete = true;
  if (has_faults) {
    fmt::print("strikes:");
    for (const FaultKind& kind : all_faults()) {
      const auto found = totals.strikes.find(kind.number);
      const long count = found == totals.strikes.end() ? 0 : found->second;
      fmt::print(" X{}:{}", kind.number, count);
    }
    fmt::print("\ncrash points (reached, struck; before during after):\n");
    for (const auto& [what, counts] : totals.points) {
      const auto struck = totals.point_strikes.find(what);
      fmt::print("  {:<28}", what);
      for (std::size_t i = 0; i < counts.size(); ++i) {
        const long hits = struck == totals.point_strikes.end() ? 0 : struck->second.at(i);
        fmt::print("  {}/{}", hits, counts.at(i));
      }
      fmt::print("\n");
    }
    // Fewer days cannot be expected to reach everything.
    if (totals.days >= 300) {
      for (const FaultKind& kind : all_faults()) {
        if (totals.strikes.contains(kind.number)) continue;
        fmt::print("X{} ({}) never struck\n", kind.number, kind.name);
        is_complete = false;
      }
      for (const auto& [what, counts] : totals.points) {
        for (std::size_t i = 0; i < counts.size(); ++i) {
          const auto struck = totals.point_strikes.find(what);
          const long hits = struck == totals.point_strikes.end() ? 0 : struck->second.at(i);
          // What is done seldom is seldom interrupted: only many days can be held to it.
          if (counts.at(i) < 200'000 || hits > 0) continue;
          fmt::print("no crash {} {}\n", i == 0 ? "before" : i == 1 ? "during" : "after", what);
          is_complete = false;
        }
      }
    }
  }
  return is_complete;
}

int run(const Flags& flags) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Totals totals;
  const auto began = std::chrono::steady_clock::now();
  for (long i = 0; i < flags.days; ++i) {
    const auto took = std::chrono::steady_clock::now() - began;
    if (flags.seconds > 0 && took > std::chrono::seconds{flags.seconds}) break;
    DayOptions options = flags.day;
    options.seed = flags.seed + static_cast<std::uint64_t>(i);
    options.keeps_trace = flags.shows_trace;
    const DayResult day = play_day(options);
    add(totals, day);
    if (flags.shows_trace) {
      for (const std::string& line : day.trace) fmt::print("{}\n", line);
    }
    if (options.burst > 0) {
      fmt::print("{} jobs at once: {} launched, the last after {:.3f} s\n", options.burst,
                 day.launched, std::chrono::duration<double>(day.last_launch).count() - 60);
    }
    if (flags.shows_progress) {
      fmt::print(stderr, "seed {}: {} jobs, {} events\n", day.seed, day.jobs, day.events);
    }
    if (!day.violations.empty()) {
      tell_failure(flags, day);
      break;
    }
  }
  const bool is_complete = report(totals, flags.day.has_faults);
  if (flags.shows_hash) fmt::print("trace {:016x}\n", totals.hash);
  long strikes = 0;
  for (const auto& [number, count] : totals.strikes) strikes += count;
  fmt::print("{} fleet-days, {} jobs, {} events, {} strikes, {} violations\n", totals.days,
             totals.jobs, totals.events, strikes, totals.violations);
  return totals.violations == 0 && is_complete ? 0 : 1;
}

int main_with(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> long {
      if (++i < argc) return std::atol(argv[i]);
      fmt::print(stderr, "{} needs a number\n", flag);
      std::exit(2);
    };
    if (flag == "--days") {
      flags.days = value();
    } else if (flag == "--seed") {
      flags.seed = static_cast<std::uint64_t>(value());
    } else if (flag == "--seconds") {
      flags.seconds = value();
    } else if (flag == "--no-faults") {
      flags.day.has_faults = false;
    } else if (flag == "--trace") {
      flags.shows_trace = true;
    } else if (flag == "--hash") {
      flags.shows_hash = true;
    } else if (flag == "--progress") {
      flags.shows_progress = true;
    } else if (flag == "--no-shrink") {
      flags.shrinks = false;
    } else if (flag == "--without") {
      const int number = static_cast<int>(value());
      const auto& faults = all_faults();
      const bool is_known = std::any_of(faults.begin(), faults.end(),
                                        [&](const FaultKind& one) { return one.number == number; });
      if (!is_known) {
        fmt::print(stderr, "X{} is no fault of the simulator\n", number);
        return 2;
      }
      flags.day.without.insert(number);
    } else if (flag == "--busy") {
      flags.day.instances = static_cast<int>(value());
      flags.day.has_faults = false;
    } else if (flag == "--burst") {
      flags.day.burst = static_cast<int>(value());
      flags.day.has_faults = false;
    } else if (flag == "--fleets") {
      flags.day.uses_fleets = true;
    } else if (flag == "--no-replay") {
      flags.day.replays_intents = false;
    } else if (flag == "--no-sweep") {
      flags.day.sweeps = false;
    } else if (flag == "--no-dead-man") {
      flags.day.has_dead_man = false;
    } else {
      fmt::print(
          stderr,
          "fleet_simulation [--days N] [--seed N] [--seconds N] [--no-faults] [--without X]…\n"
          "  [--trace] [--hash] [--progress] [--no-shrink] [--no-replay] [--no-sweep]\n"
          "  [--no-dead-man] [--busy MACHINES | --burst JOBS [--fleets]]\n");
      return 2;
    }
  }
  return run(flags);
}

}  // namespace
}  // namespace muster::simulation

int main(int argc, char** argv) { return muster::simulation::main_with(argc, argv); }
