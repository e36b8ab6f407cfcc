#pragma once

#include "base/time.hpp"

namespace ec2model {

/// A token bucket that refills continuously.
class TokenBucket {
 public:
  TokenBucket(double size, double refill_per_second)
      : size_(size), refill_per_second_(refill_per_second), level_(size) {}

  /// Takes `count` tokens, or none if there are too few.
  bool take(double count, muster::TimePoint now);

  /// Whether `count` tokens are there.
  [[nodiscard]] bool has(double count, muster::TimePoint now) const;

 private:
  [[nodiscard]] double level_at(muster::TimePoint now) const;

  double size_;
  double refill_per_second_;
  double level_;
  muster::TimePoint filled_at_{};
};

}  // namespace ec2model
