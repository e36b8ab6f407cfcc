#include "ports/clock.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <memory>

namespace muster {

namespace asio = boost::asio;

namespace {

struct Work {
  explicit Work(const Executor& executor) : ended(executor) {}
  asio::cancellation_signal signal;
  Event ended;
  bool has_ended = false;
  std::exception_ptr failure;
};

}  // namespace

Task<> run_for(Clock& clock, Duration limit, Task<> work) {
  const auto executor = co_await asio::this_coro::executor;
  const auto running = std::make_shared<Work>(executor);
  asio::co_spawn(executor, std::move(work),
                 asio::bind_cancellation_slot(running->signal.slot(),
                                              [running](const std::exception_ptr& failure) {
                                                running->has_ended = true;
                                                running->failure = failure;
                                                running->ended.notify_all();
                                              }));
  const Duration until = clock.monotonic() + limit;
  std::exception_ptr cancelled;
  bool is_ending = false;
  while (!running->has_ended) {
    const Duration rest = until - clock.monotonic();
    if (!is_ending && (cancelled || rest <= Duration{})) {
      is_ending = true;
      running->signal.emit(asio::cancellation_type::all);
      continue;
    }
    try {
      Task<> waiting = is_ending ? running->ended.wait() : clock.wait(running->ended, rest);
      co_await std::move(waiting);
    } catch (...) {
      cancelled = std::current_exception();
    }
    if (cancelled) co_await forget_cancellation();
  }
  if (cancelled) std::rethrow_exception(cancelled);
  if (running->failure && !is_ending) std::rethrow_exception(running->failure);
}

}  // namespace muster
