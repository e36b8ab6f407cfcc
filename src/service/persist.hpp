#pragma once

#include <algorithm>
#include <optional>
#include <utility>

#include "base/result.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"

namespace muster {

/// Tries something that may be done twice again and again while its way is cut, for as long as
/// `patience` from the first failure. An error with a code is an answer, and is final.
template <class Value, class Attempt>
Task<Result<Value>> persist(Clock& clock, Duration patience, Attempt attempt) {
  std::optional<Duration> failed_at;
  Duration pause = std::chrono::milliseconds{100};
  while (true) {
    Task<Result<Value>> trying = attempt();
    Result<Value> tried = co_await std::move(trying);
    if (tried || !is_retryable(tried.error().kind) || !tried.error().code.empty()) {
      co_return std::move(tried);
    }
    const Duration now = clock.monotonic();
    if (!failed_at) failed_at = now;
    if (now - *failed_at > patience) co_return std::move(tried);
    co_await clock.sleep(pause);
    pause = std::min<Duration>(pause * 2, std::chrono::seconds{5});
  }
}

}  // namespace muster
