#include "ec2model/bucket.hpp"

#include <algorithm>

namespace ec2model {

double TokenBucket::level_at(muster::TimePoint now) const {
  const double seconds = std::max(0.0, std::chrono::duration<double>(now - filled_at_).count());
  return std::min(size_, level_ + seconds * refill_per_second_);
}

bool TokenBucket::has(double count, muster::TimePoint now) const { return level_at(now) >= count; }

bool TokenBucket::take(double count, muster::TimePoint now) {
  level_ = level_at(now);
  filled_at_ = now;
  if (level_ < count) return false;
  level_ -= count;
  return true;
}

}  // namespace ec2model
