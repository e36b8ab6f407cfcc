#include "adapters/system/real_clock.hpp"

#include <sys/random.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/check.hpp"

namespace muster::system {

TimePoint RealClock::now() const { return std::chrono::system_clock::now(); }

Duration RealClock::monotonic() const {
  return std::chrono::steady_clock::now().time_since_epoch();
}

Task<> RealClock::sleep(Duration duration) {
  boost::asio::steady_timer timer(executor_, duration);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

std::uint64_t SystemRandom::next() {
  std::uint64_t value = 0;
  MUSTER_CHECK(getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

}  // namespace muster::system
