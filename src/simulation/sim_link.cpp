#include "simulation/sim_ports.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kTimeOut = 20s;
constexpr Duration kLongTimeOut = 80s;  // Longer than the caller waits.

}  // namespace

/// X58 and X75 cut whole links; which, the moment says.
bool Link::is_cut() {
  if (to_ == To::machine) return world_.strikes(75, 0.2);
  for (const int number : {58, 75}) {
    if (!world_.faults.is_open(number, world_.now())) continue;
    // Each ten minutes another combination of the three links.
    const auto slot = static_cast<std::uint64_t>(world_.now() / 10min);
    SeededRandom pick(world_.options().seed * 31 + slot * 7 + static_cast<std::uint64_t>(number));
    const bool is_this = (pick.next() >> static_cast<int>(to_) & 1) != 0;
    if (is_this && world_.strikes(number)) return true;
  }
  return to_ == To::cloud && world_.strikes(30);
}

Task<std::optional<Error>> Link::send(const char* what, Duration latency) {
  if (is_over() || world_.reach(what, SimWorld::Point::before)) co_await stand_still(world_);
  const auto stopped = Duration{world_.pause_until_ns} - world_.now();
  if (stopped > 0s) co_await world_.clock.sleep(stopped);
  if (is_cut() || world_.strikes(74, 0.05)) {
    co_await world_.clock.sleep(to_ == To::store ? 1s : world_.dice().between(1s, kTimeOut));
    if (is_over()) co_await stand_still(world_);
    co_return Error{ErrorKind::unavailable, "", "no connection (simulated)", ""};
  }
  // Some arrive before anything else can happen; on a calm day all do.
  if (world_.options().has_faults && world_.dice().hits(0.5)) {
    co_await world_.clock.sleep(latency);
    if (is_over()) co_await stand_still(world_);
  }
  co_return std::nullopt;
}

Task<std::optional<Error>> Link::receive(const char* what, Duration latency) {
  if (is_over() || world_.reach(what, SimWorld::Point::during)) co_await stand_still(world_);
  const bool can_be_lost = to_ == To::cloud || to_ == To::ci;
  if (can_be_lost && world_.strikes(9, 0.05)) {
    co_await world_.clock.sleep(kTimeOut);
    if (is_over()) co_await stand_still(world_);
    co_return Error{ErrorKind::timeout, "", "no answer (simulated)", ""};
  }
  if (can_be_lost && world_.strikes(10, 0.03)) {
    co_await world_.clock.sleep(kLongTimeOut);
  }
  co_await world_.clock.sleep(latency);
  if (is_over()) co_await stand_still(world_);
  if (can_be_lost && world_.strikes(11, 0.05)) {
    co_return Error{ErrorKind::corrupt, "", "an answer that cannot be read (simulated)", ""};
  }
  if (world_.reach(what, SimWorld::Point::after)) co_await stand_still(world_);
  co_return std::nullopt;
}

}  // namespace muster::simulation
