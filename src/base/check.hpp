#pragma once

namespace muster {

/// Logs the broken invariant with its place to standard error and aborts. Never returns.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace muster

/// A broken invariant is a bug: says where and aborts, in release builds too.
#define MUSTER_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::muster::check_failed(#condition, __FILE__, __LINE__))
