#pragma once

#include <cstddef>

#include "base/task.hpp"

namespace muster {

/// Runs both tasks; when one ends, the other is cancelled and waited for. Says which ended first
/// (0 or 1), or throws what that one threw. Cancelled itself, it cancels both and throws.
Task<std::size_t> race(Task<> first, Task<> second);

}  // namespace muster
