#include "ports/clock.hpp"

#include <exception>

#include "base/spawned_task.hpp"

namespace muster {

Task<> run_for(Clock& clock, Duration limit, Task<> work) {
  SpawnedTask running(co_await boost::asio::this_coro::executor, std::move(work));
  const Duration until = clock.monotonic() + limit;
  std::exception_ptr cancelled;
  bool is_ending = false;
  while (!running.has_ended()) {
    const Duration rest = until - clock.monotonic();
    if (!is_ending && (cancelled || rest <= Duration{})) {
      is_ending = true;
      running.cancel();
      continue;
    }
    try {
      Task<> waiting = is_ending ? running.ended().wait() : clock.wait(running.ended(), rest);
      co_await std::move(waiting);
    } catch (...) {
      cancelled = std::current_exception();
    }
    if (cancelled) co_await forget_cancellation();
  }
  if (cancelled) std::rethrow_exception(cancelled);
  if (!is_ending) running.rethrow();
}

}  // namespace muster
