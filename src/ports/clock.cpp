#include "ports/clock.hpp"

namespace muster {

Task<> Clock::wait(Event& event, Duration time_max) {
  Task<> waiting = event.wait();
  Task<> sleeping = sleep(time_max);
  co_await race(std::move(waiting), std::move(sleeping));
}

}  // namespace muster
