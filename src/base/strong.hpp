#pragma once

#include <compare>
#include <string>
#include <utility>

namespace muster {

/// A string that means one thing: an instance id is no image id. `Tag` is never defined.
template <class Tag>
class Strong {
 public:
  Strong() = default;
  explicit Strong(std::string value) : value_(std::move(value)) {}

  [[nodiscard]] const std::string& value() const { return value_; }
  [[nodiscard]] bool empty() const { return value_.empty(); }

  friend auto operator<=>(const Strong&, const Strong&) = default;

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
