#include "simulation/totals.hpp"

#include <fmt/format.h>

#include <cstddef>

#include "simulation/faults.hpp"

namespace muster::simulation {
namespace {

constexpr std::array<const char*, 3> kMoments{"before", "during", "after"};
// Fewer days cannot be expected to reach everything, and what is done seldom is seldom interrupted.
constexpr long kDaysEnough = 300;
constexpr long kPassesEnough = 200'000;

void add_points(Totals::Points& to, const Totals::Points& from) {
  for (const auto& [what, counts] : from) {
    for (std::size_t i = 0; i < counts.size(); ++i) to[what].at(i) += counts.at(i);
  }
}

void write_points(std::ostream& out, const char* kind, const Totals::Points& points) {
  for (const auto& [what, counts] : points)
    out << fmt::format("{} {} {} {} {}\n", kind, counts[0], counts[1], counts[2], what);
}

long hits_of(const Totals& totals, const std::string& what, std::size_t moment) {
  const auto found = totals.point_strikes.find(what);
  return found == totals.point_strikes.end() ? 0 : found->second.at(moment);
}

}  // namespace

void Totals::add(const DayResult& day) {
  ++days;
  events += day.events;
  jobs += day.jobs;
  violations += static_cast<long>(day.violations.size());
  for (const auto& [number, count] : day.strikes) strikes[number] += count;
  add_points(points, day.points);
  add_points(point_strikes, day.point_strikes);
  hash = hash * 31 + day.trace_hash;
}

void Totals::add(const Totals& other) {
  days += other.days;
  events += other.events;
  jobs += other.jobs;
  violations += other.violations;
  for (const auto& [number, count] : other.strikes) strikes[number] += count;
  add_points(points, other.points);
  add_points(point_strikes, other.point_strikes);
  hash = hash * 31 + other.hash;
}

void Totals::write(std::ostream& out) const {
  out << fmt::format("sums {} {} {} {} {}\n", days, events, jobs, violations, hash);
  for (const auto& [number, count] : strikes) out << fmt::format("fault {} {}\n", number, count);
  write_points(out, "point", points);
  write_points(out, "crash", point_strikes);
}

Totals Totals::read(std::istream& in) {
  Totals totals;
  std::string kind;
  while (in >> kind) {
    if (kind == "sums") {
      in >> totals.days >> totals.events >> totals.jobs >> totals.violations >> totals.hash;
    } else if (kind == "fault") {
      int number = 0;
      long count = 0;
      in >> number >> count;
      totals.strikes[number] = count;
    } else {
      std::array<long, 3> counts{};
      std::string what;
      in >> counts[0] >> counts[1] >> counts[2] >> std::ws;
      std::getline(in, what);
      (kind == "point" ? totals.points : totals.point_strikes)[what] = counts;
    }
  }
  return totals;
}

bool report(const Totals& totals) {
  fmt::print("strikes:");
  for (const FaultKind& kind : all_faults()) {
    const auto found = totals.strikes.find(kind.number);
    fmt::print(" X{}:{}", kind.number, found == totals.strikes.end() ? 0 : found->second);
  }
  fmt::print("\ncrash points (struck/reached; before during after):\n");
  for (const auto& [what, counts] : totals.points) {
    fmt::print("  {:<28}", what);
    for (std::size_t i = 0; i < counts.size(); ++i)
      fmt::print("  {}/{}", hits_of(totals, what, i), counts.at(i));
    fmt::print("\n");
  }
  if (totals.days < kDaysEnough) return true;
  bool is_complete = true;
  for (const FaultKind& kind : all_faults()) {
    if (totals.strikes.contains(kind.number)) continue;
    fmt::print("X{} ({}) never struck\n", kind.number, kind.name);
    is_complete = false;
  }
  for (const auto& [what, counts] : totals.points) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts.at(i) < kPassesEnough || hits_of(totals, what, i) > 0) continue;
      fmt::print("no crash {} {}\n", kMoments.at(i), what);
      is_complete = false;
    }
  }
  return is_complete;
}

}  // namespace muster::simulation
