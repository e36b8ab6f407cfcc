#include "simulation/faults.hpp"

#include <algorithm>

namespace muster::simulation {

using namespace std::chrono_literals;

long Dice::between(long low, long high) {
  return low + static_cast<long>(random_.next() % static_cast<std::uint64_t>(high - low + 1));
}

Duration Dice::between(Duration low, Duration high) {
  return low +
         Duration{static_cast<std::int64_t>(chance() * static_cast<double>((high - low).count()))};
}

const std::vector<FaultKind>& all_faults() {
  static const std::vector<FaultKind> kinds{
      {1, "crash before the commit of an intent"},
      {2, "crash before the request leaves"},
      {3, "crash before EC2 accepts"},
      {4, "crash before the reply is read"},
      {5, "crash after the reply"},
      {6, "crash around a CI server's call"},
      {7, "crash at any commit or call"},
      {8, "crash while recovering"},
      {9, "reply lost"},
      {10, "reply later than the time-out"},
      {11, "reply unreadable"},
      {12, "another serialization after an upgrade"},
      {13, "down for over a day"},
      {14, "fewer instances than asked for"},
      {15, "tagging refused"},
      {16, "new instances invisible"},
      {17, "listings of stale replicas"},
      {18, "a page of a listing fails"},
      {19, "throttled"},
      {20, "no capacity"},
      {21, "quota or subnet exhausted"},
      {22, "instance never boots"},
      {23, "instance ends by itself"},
      {24, "terminate accepted and ignored"},
      {25, "stop or start refused"},
      {26, "image gone"},
      {27, "credentials expired"},
      {28, "spot interruption"},
      {29, "spot interruption during a job"},
      {30, "region dark"},
      {31, "job listed twice"},
      {32, "news repeated"},
      {33, "listings out of order"},
      {34, "news lost"},
      {35, "news late"},
      {36, "CI server fails"},
      {46, "SSH refused, hung, or another machine's"},
      {50, "machine breaks"},
      {53, "stop with a budget, pause"},
      {54, "store full, lost or restored"},
      {58, "partitions"},
      {61, "clock jumps"},
      {64, "storm of news"},
      {71, "configuration replaced"},
      {72, "labels without a pool"},
      {73, "dozens of pools"},
      {74, "five per cent of everything fails"},
      {75, "links cut in random order"},
      {76, "upgrade in the middle"},
      {77, "people interfere"},
      {78, "budget reached"},
      {79, "bad image"},
      {80, "down while jobs queue up"},
  };
  return kinds;
}

Faults Faults::draw(Dice& dice, Duration until) {
  Faults faults;
  for (const FaultKind& kind : all_faults()) {
    if (!dice.hits(0.3)) continue;
    const long count = dice.between(1L, 3L);
    for (long i = 0; i < count; ++i) {
      const Duration from = dice.between(Duration{1min}, until - 1h);
      faults.windows_.at(static_cast<std::size_t>(kind.number))
          .push_back({from, from + dice.between(Duration{1min}, 40min)});
    }
  }
  return faults;
}

bool Faults::is_open(int number, Duration at) const {
  const std::vector<Window>& windows = windows_of(number);
  return std::any_of(windows.begin(), windows.end(),
                     [&](const Window& one) { return one.from <= at && at < one.to; });
}

std::vector<Duration> Faults::moments(int number) const {
  std::vector<Duration> begins;
  for (const Window& one : windows_of(number)) begins.push_back(one.from);
  return begins;
}

std::set<int> Faults::active() const {
  std::set<int> numbers;
  for (const FaultKind& kind : all_faults()) {
    if (has(kind.number)) numbers.insert(kind.number);
  }
  return numbers;
}

}  // namespace muster::simulation
