#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <istream>
#include <map>
#include <ostream>
#include <string>

#include "simulation/fleet_day.hpp"

namespace muster::simulation {

/// What the days of a run came to; runs beside each other are added up.
struct Totals {
  using Points = std::map<std::string, std::array<long, 3>, std::less<>>;

  long days = 0;
  long events = 0;
  long jobs = 0;
  long violations = 0;
  std::map<int, long> strikes;
  Points points;         ///< How often each crash point was passed: before, during, after.
  Points point_strikes;  ///< How often a crash struck there.
  std::uint64_t hash = 0;

  void add(const DayResult& day);
  void add(const Totals& other);

  /// Writes it as lines of text, and reads what was written so.
  void write(std::ostream& out) const;
  static Totals read(std::istream& in);
};

/// Prints how often each fault struck. False if enough was played, but one that exists never did.
bool report(const Totals& totals);

}  // namespace muster::simulation
