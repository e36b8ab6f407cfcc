#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "simulation/virtual_clock.hpp"

namespace muster::simulation {

/// Chance for one purpose: what one part of the world draws does not move what another gets.
class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t purpose)
      : random_(seed * 0x2545f4914f6cdd1dULL + purpose) {}
  [[nodiscard]] std::uint64_t next() { return random_.next(); }
  /// From 0 up to, not including, 1.
  [[nodiscard]] double chance() { return static_cast<double>(random_.next() >> 11) * 0x1.0p-53; }
  [[nodiscard]] bool hits(double probability) { return chance() < probability; }
  /// From `low` to `high`, both included.
  [[nodiscard]] long between(long low, long high);
  [[nodiscard]] Duration between(Duration low, Duration high);

 private:
  SeededRandom random_;
};

/// A fault of reliability.md.
struct FaultKind {
  int number;  ///< X…
  const char* name;
};

/// All that the simulator can inject.
[[nodiscard]] const std::vector<FaultKind>& all_faults();

/// Which faults a day has, when, and how often each struck. Times are from the day's begin.
class Faults {
 public:
  Faults() = default;
  /// A third of all, each in some windows between the day's begin and `until`.
  static Faults draw(Dice& dice, Duration until);

  [[nodiscard]] bool has(int number) const { return !windows_of(number).empty(); }
  /// Whether one of its windows is open.
  [[nodiscard]] bool is_open(int number, Duration at) const;
  /// The begins of its windows: for what happens at a moment.
  [[nodiscard]] std::vector<Duration> moments(int number) const;
  void strike(int number) { ++strikes_[number]; }
  void drop(int number) { windows_.at(static_cast<std::size_t>(number)).clear(); }
  /// Another one, all day.
  void add(int number) {
    windows_.at(static_cast<std::size_t>(number)) = {{Duration{}, Duration::max()}};
  }
  [[nodiscard]] std::set<int> active() const;
  [[nodiscard]] const std::map<int, long>& strikes() const { return strikes_; }

 private:
  struct Window {
    Duration from;
    Duration to;
  };
  [[nodiscard]] const std::vector<Window>& windows_of(int number) const {
    return windows_.at(static_cast<std::size_t>(number));
  }
  std::vector<std::vector<Window>> windows_ = std::vector<std::vector<Window>>(81);  // By number.
  std::map<int, long> strikes_;
};

}  // namespace muster::simulation
