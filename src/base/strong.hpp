#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace muster {

/// As `a <=> b`. Ids mostly differ in their first characters, which are looked at without a call.
inline std::strong_ordering order_of(std::string_view a, std::string_view b) {
  const std::size_t size = std::min(a.size(), b.size());
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    std::uint64_t of_a = 0;
    std::uint64_t of_b = 0;
    std::memcpy(&of_a, a.data() + i, 8);
    std::memcpy(&of_b, b.data() + i, 8);
    if (of_a != of_b) return __builtin_bswap64(of_a) <=> __builtin_bswap64(of_b);
  }
  return a <=> b;
}

/// A string that means one thing: an instance id is no image id. `Tag` is never defined.
template <class Tag>
class Strong {
 public:
  Strong() = default;
  explicit Strong(std::string value) : value_(std::move(value)) {}

  [[nodiscard]] const std::string& value() const { return value_; }
  [[nodiscard]] bool empty() const { return value_.empty(); }

  friend bool operator==(const Strong&, const Strong&) = default;
  friend std::strong_ordering operator<=>(const Strong& a, const Strong& b) {
    return order_of(a.value_, b.value_);
  }

 private:
  std::string value_;
};

using ClientToken = Strong<struct ClientTokenTag>;  ///< EC2's idempotency token.
using ImageId = Strong<struct ImageIdTag>;
using InstanceId = Strong<struct InstanceIdTag>;
using IntentId = Strong<struct IntentIdTag>;
using JobId = Strong<struct JobIdTag>;      ///< `SOURCE/ID` of one attempt of a job.
using LeaseId = Strong<struct LeaseIdTag>;  ///< The binding of one job to one instance.
using PoolName = Strong<struct PoolNameTag>;
using RunId = Strong<struct RunIdTag>;  ///< One `muster exec`.
using SubnetId = Strong<struct SubnetIdTag>;

}  // namespace muster
