#include "simulation/virtual_clock.hpp"

#include <boost/asio/co_spawn.hpp>
#include <exception>

namespace muster::simulation {

VirtualClock::VirtualClock(boost::asio::io_context& context, TimePoint start)
    : context_(context), now_(start) {}

Task<> VirtualClock::sleep(Duration duration) {
  const auto sleeper = std::make_shared<Sleeper>(context_.get_executor());
  const auto place = sleepers_.emplace(now_ + std::max(duration, Duration{0}), sleeper);
  struct Leave {
    VirtualClock& clock;
    decltype(place) at;
    std::shared_ptr<Sleeper> sleeper;
    ~Leave() {
      if (!sleeper->is_due) clock.sleepers_.erase(at);
    }
  } const leave{*this, place, sleeper};
  while (!sleeper->is_due) co_await sleeper->woken.wait();
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
    while (context_.poll() > 0) continue;
    if (has_ended) break;
    if (sleepers_.empty()) return false;
    const auto next = sleepers_.begin();
    now_ = next->first;
    const std::shared_ptr<Sleeper> sleeper = next->second;
    sleepers_.erase(next);
    sleeper->is_due = true;
    sleeper->woken.notify_all();
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
