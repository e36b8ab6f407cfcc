#include "simulation/virtual_clock.hpp"

#include <boost/asio/co_spawn.hpp>
#include <exception>

namespace muster::simulation {

VirtualClock::VirtualClock(boost::asio::io_context& context, TimePoint start)
    : context_(context), now_(start) {}

class VirtualClock::Bed {
 public:
  Bed(VirtualClock& clock, Event& event, Duration duration)
      : clock_(clock),
        event_(event),
        place_(clock.sleepers_.emplace(clock.now_ + std::max(duration, Duration{0}), this)) {}
  ~Bed() {
    if (!is_due_) clock_.sleepers_.erase(place_);
  }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;

  void wake() {
    clock_.sleepers_.erase(place_);
    is_due_ = true;
    event_.notify_all();
  }

 private:
  VirtualClock& clock_;
  Event& event_;
  std::multimap<TimePoint, Bed*>::iterator place_;
  bool is_due_ = false;
};

Task<> VirtualClock::sleep(Duration duration) {
  Event woken(context_.get_executor());
  const Bed bed(*this, woken, duration);
  co_await woken.wait();
}

Task<> VirtualClock::wait(Event& event, Duration time_max) {
  const Bed bed(*this, event, time_max);
  co_await event.wait();
}

bool VirtualClock::run(Task<> task) {
  bool has_ended = false;
  std::exception_ptr failure;
  boost::asio::co_spawn(context_, std::move(task), [&](const std::exception_ptr& error) {
    has_ended = true;
    failure = error;
  });
  while (true) {
    context_.restart();
    context_.poll();
    if (has_ended) break;
    if (sleepers_.empty()) return false;
    const auto next = sleepers_.begin();
    now_ = next->first;
    next->second->wake();
  }
  if (failure) std::rethrow_exception(failure);
  return true;
}

std::uint64_t SeededRandom::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace muster::simulation
