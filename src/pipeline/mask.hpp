#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster::pipeline {

/// What is shown in place of a secret.
inline constexpr std::string_view kMask = "******";

/// The texts to hide for these secrets: each line of each, trimmed, from two characters on, and the
/// base64 and URL-encoded forms of the whole. Longest first.
[[nodiscard]] std::vector<std::string> mask_patterns(const std::vector<std::string>& secrets);

/// Hides secrets in a stream, also across the borders of its pieces: only what may be the beginning
/// of one is held back.
class Masker {
 public:
  explicit Masker(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {}

  /// What can be shown of everything so far.
  [[nodiscard]] std::string feed(std::string_view bytes);
  /// The rest; nothing follows.
  [[nodiscard]] std::string finish();

 private:
  std::string take(bool is_last);

  std::vector<std::string> patterns_;
  std::string held_;
};

/// A whole text with its secrets hidden.
[[nodiscard]] std::string masked(const std::vector<std::string>& patterns, std::string_view text);

}  // namespace muster::pipeline
