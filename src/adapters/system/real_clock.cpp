#include "adapters/system/real_clock.hpp"

#include <sys/random.h>
#include <time.h>

#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <string>

#include "base/check.hpp"
#include "base/task.hpp"

namespace muster::system {

namespace {

/// Suspended time counts: leases and timers of others go on in it.
Duration since_boot() {
  timespec at{};
  MUSTER_CHECK(clock_gettime(CLOCK_BOOTTIME, &at) == 0);
  return std::chrono::seconds{at.tv_sec} + std::chrono::nanoseconds{at.tv_nsec};
}

}  // namespace

RealClock::RealClock(Executor executor)
    : executor_(std::move(executor)), began_(std::chrono::system_clock::now() - since_boot()) {}

TimePoint RealClock::now() const { return began_ + since_boot(); }

ClockBase RealClock::base() const {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(file, boot);
  return {boot, began_};
}

TimePoint RealClock::wall() const { return std::chrono::system_clock::now(); }

Duration RealClock::monotonic() const {
  return std::chrono::steady_clock::now().time_since_epoch();
}

Task<> RealClock::sleep(Duration duration) {
  boost::asio::steady_timer timer(executor_, duration);
  co_await timer.async_wait(use_task);
}

Task<> RealClock::wait(Event& event, Duration time_max) {
  boost::asio::steady_timer timer(executor_, time_max);
  timer.async_wait([wake = event.waker()](const boost::system::error_code& stopped) {
    if (!stopped) wake();
  });
  co_await event.wait();
}

std::uint64_t SystemRandom::next() {
  std::uint64_t value = 0;
  MUSTER_CHECK(getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

}  // namespace muster::system
