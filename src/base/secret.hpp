#pragma once

#include <string>
#include <utility>

namespace muster {

/// Text that must not be shown. There is no conversion to a string: `reveal` is the only way out,
/// so that a search for it finds every place where a secret leaves.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  [[nodiscard]] const std::string& reveal() const { return value_; }
  [[nodiscard]] bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

/// What logs and error texts show in place of a secret.
inline constexpr const char* kRedacted = "[redacted]";

}  // namespace muster
