#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "simulation/faults.hpp"
#include "simulation/fleet_day.hpp"
#include "simulation/totals.hpp"

// `fleet_simulation --days 200 --seed 7`: that many days of fleets, each drawn from the next seed.

namespace muster::simulation {
namespace {

struct Flags {
  long days = -1;    ///< Not given: 100, and one where machines or jobs are given.
  long seconds = 0;  ///< No further day after this long; 0: all days.
  long processes = 1;
  std::uint64_t seed = 1;
  DayOptions day;
  bool shows_trace = false;
  bool shows_hash = false;
  bool shows_progress = false;
  bool shrinks = true;
};

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

Totals play(const Flags& flags) {
  Totals totals;
  const auto began = std::chrono::steady_clock::now();
  for (long i = 0; i < flags.days; ++i) {
    const auto took = std::chrono::steady_clock::now() - began;
    if (flags.seconds > 0 && took > std::chrono::seconds{flags.seconds}) break;
    DayOptions options = flags.day;
    options.seed = flags.seed + static_cast<std::uint64_t>(i);
    options.keeps_trace = flags.shows_trace;
    const DayResult day = play_day(options);
    totals.add(day);
    if (flags.shows_trace) {
      for (const std::string& line : day.trace) fmt::print("{}\n", line);
    }
    if (options.burst > 0) {
      fmt::print("{} jobs at once: {} launched, the last after {:.3f} s\n", options.burst,
                 day.launched, std::chrono::duration<double>(day.last_launch).count() - 60);
      if (day.launched != options.burst) {
        fmt::print("each job needs one machine, and no machine is to be given up\n");
        ++totals.violations;
      }
    }
    if (flags.shows_progress) {
      fmt::print(stderr, "seed {}: {} jobs, {} events\n", day.seed, day.jobs, day.events);
    }
    if (!day.violations.empty()) {
      tell_failure(flags, day);
      break;
    }
  }
  return totals;
}

/// Plays its share of the days in a process of its own, which writes its totals to the pipe.
struct Share {
  Flags flags;
  pid_t process = -1;
  int pipe = -1;
};

bool start(Share& share) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return false;
  std::fflush(stdout);
  share.process = ::fork();
  if (share.process == 0) {
    ::close(ends[0]);
    std::ostringstream text;
    play(share.flags).write(text);
    std::fflush(stdout);
    const std::string told = std::move(text).str();
    const bool is_told =
        ::write(ends[1], told.data(), told.size()) == static_cast<ssize_t>(told.size());
    ::_exit(is_told ? 0 : 1);
  }
  ::close(ends[1]);
  share.pipe = ends[0];
  return share.process > 0;
}

/// False if its process did not come to its end.
bool finish(const Share& share, Totals& totals) {
  std::string told;
  std::array<char, 4096> piece{};
  ssize_t got = 0;
  while ((got = ::read(share.pipe, piece.data(), piece.size())) > 0)
    told.append(piece.data(), static_cast<std::size_t>(got));
  ::close(share.pipe);
  int status = 0;
  ::waitpid(share.process, &status, 0);
  std::istringstream text(told);
  totals.add(Totals::read(text));
  if (status == 0) return true;
  fmt::print("the process of the days from seed {} on ended with status {:#x}\n", share.flags.seed,
             status);
  return false;
}

/// The days in as many processes as are wanted, each with seeds of its own.
bool play_beside(const Flags& flags, Totals& totals) {
  std::vector<Share> shares;
  const long each = (flags.days + flags.processes - 1) / flags.processes;
  bool is_whole = true;
  for (long first = 0; first < flags.days; first += each) {
    Share share{flags};
    share.flags.seed = flags.seed + static_cast<std::uint64_t>(first);
    share.flags.days = std::min(each, flags.days - first);
    if (start(share)) {
      shares.push_back(share);
    } else {
      fmt::print("no process for the days from seed {} on\n", share.flags.seed);
      is_whole = false;
    }
  }
  for (const Share& share : shares) is_whole = finish(share, totals) && is_whole;
  return is_whole;
}

/// What of a soak must not grow once its history is full.
struct SoakSample {
  Duration at{};
  long resident_kib = 0;
  long descriptors = 0;
  std::size_t rows = 0;
};

SoakSample sample_of(Duration at, const SimDisk& disk) {
  SoakSample sample;
  sample.at = at;
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  sample.resident_kib = used.ru_maxrss;
  constexpr int kLooked = 1024;
  for (int fd = 0; fd < kLooked; ++fd) sample.descriptors += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  sample.rows = disk.jobs.size() + disk.instances.size() + disk.leases.size() + disk.intents.size();
  fmt::print(
      "  {:>5} min  {:>7} KiB  {:>3} descriptors  {:>6} rows: {} jobs, {} instances, {} "
      "leases, {} launches\n",
      at / std::chrono::minutes(1), sample.resident_kib, sample.descriptors, sample.rows,
      disk.jobs.size(), disk.instances.size(), disk.leases.size(), disk.intents.size());
  return sample;
}

/// Two jobs a second for hours: what grows without end shows. Exit code 1 when rows or descriptors
/// do; the memory is also that of the world, which remembers every job. bench/soak looks at that.
int soak(DayOptions day) {
  std::vector<SoakSample> samples;
  day.on_sample = [&](Duration at, const SimDisk& disk) { samples.push_back(sample_of(at, disk)); };
  const DayResult result = play_day(day);
  // From the first tenth on, a twentieth is the breath of load.
  const std::size_t tenth = samples.size() / 10;
  const auto grown = [&](auto member) {
    const auto first = static_cast<double>(samples.at(tenth).*member);
    const auto last = static_cast<double>(samples.back().*member);
    return last / first;
  };
  const double worst = std::max(grown(&SoakSample::descriptors), grown(&SoakSample::rows));
  fmt::print(
      "soak: {} jobs, {} violations; from the first tenth to the end: memory × {:.3f}, "
      "descriptors × {:.3f}, rows × {:.3f}\n",
      result.jobs, result.violations.size(), grown(&SoakSample::resident_kib),
      grown(&SoakSample::descriptors), grown(&SoakSample::rows));
  return result.violations.empty() && worst < 1.05 ? 0 : 1;
}

int run(const Flags& flags) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (flags.day.soak > Duration{}) return soak(flags.day);
  Totals totals;
  bool is_fine = true;
  if (flags.processes > 1) {
    is_fine = play_beside(flags, totals);
  } else {
    totals = play(flags);
  }
  if (flags.day.has_faults) is_fine = report(totals) && is_fine;
  if (flags.shows_hash) fmt::print("trace {:016x}\n", totals.hash);
  if (totals.days < flags.days && totals.violations == 0)
    fmt::print("time was up after {} of {} days\n", totals.days, flags.days);
  long strikes = 0;
  for (const auto& [number, count] : totals.strikes) strikes += count;
  fmt::print("{} fleet-days, {} jobs, {} events, {} strikes, {} violations\n", totals.days,
             totals.jobs, totals.events, strikes, totals.violations);
  return totals.violations == 0 && is_fine ? 0 : 1;
}

constexpr std::string_view kUsage =
    "Plays days of fleets under faults on the virtual clock: docs/simulation.md.\n"
    "usage: fleet_simulation [FLAG]…\n"
    "  --days N         fleet-days (100; 1 with --busy, --burst and --soak)\n"
    "  --seed N         of the first day, each next day has the next one (1)\n"
    "  --seconds N      starts no further day after this long\n"
    "  --processes N    that share the days (1)\n"
    "  --no-faults      nothing fails\n"
    "  --without X      never this fault, given as its number; may be repeated\n"
    "  --trace          prints what happens\n"
    "  --hash           prints the trace as one number\n"
    "  --progress       prints each day as it ends\n"
    "  --no-shrink      tells a violation by its seed and text alone, without a history\n"
    "  --no-replay      without intents that are replayed\n"
    "  --no-sweep       without the sweep of tags\n"
    "  --no-dead-man    without the timers on the machines\n"
    "Instead of what the seed draws, without faults:\n"
    "  --busy MACHINES  all of them with ten-minute jobs all day\n"
    "  --reuse JOBS     so many for each of these machines (1)\n"
    "  --burst JOBS     at once; prints when the last machine was launched\n"
    "  --fleets         launches them by CreateFleet instead of RunInstances\n"
    "  --soak HOURS     of many short jobs, ten to a machine; prints what grows\n"
    "Exit code: 0; 1 after a violation, a burst that launched more or fewer than its jobs, rows\n"
    "or descriptors that grew, a process that died or, of many days, a fault or a moment of a\n"
    "crash that never struck; 2 for flags that cannot be used.\n";

int main_with(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> long {
      const auto number = ++i < argc ? parse_integer(argv[i]) : std::nullopt;
      if (number && *number >= 0) return static_cast<long>(*number);
      fmt::print(stderr, "{} needs a number\n", flag);
      std::exit(2);
    };
    if (flag == "--days") {
      flags.days = value();
    } else if (flag == "--seed") {
      flags.seed = static_cast<std::uint64_t>(value());
    } else if (flag == "--seconds") {
      flags.seconds = value();
    } else if (flag == "--processes") {
      flags.processes = std::max(1L, value());
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
    } else if (flag == "--reuse") {
      flags.day.reuse = static_cast<int>(value());
    } else if (flag == "--soak") {
      flags.day.soak = std::chrono::hours(value());
      flags.day.reuse = 10;
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
      const bool is_asked = flag == "--help";
      if (!is_asked) fmt::print(stderr, "{} is no flag of the simulator\n", flag);
      fmt::print(is_asked ? stdout : stderr, "{}", kUsage);
      return is_asked ? 0 : 2;
    }
  }
  const DayOptions& day = flags.day;
  const bool is_given = day.instances > 0 || day.burst > 0 || day.soak > Duration{};
  if (!is_given && (day.reuse > 1 || day.uses_fleets)) {
    fmt::print(stderr, "--reuse and --fleets need --busy or --burst\n");
    return 2;
  }
  if (flags.days < 0) flags.days = is_given ? 1 : 100;
  return run(flags);
}

}  // namespace
}  // namespace muster::simulation

int main(int argc, char** argv) { return muster::simulation::main_with(argc, argv); }
