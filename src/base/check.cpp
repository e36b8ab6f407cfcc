#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace muster {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "muster: bug: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace muster
