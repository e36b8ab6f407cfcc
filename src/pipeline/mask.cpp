#include "pipeline/mask.hpp"

#include <algorithm>
#include <array>

namespace muster::pipeline {
namespace {

constexpr std::size_t kPartMin = 2;
constexpr std::size_t kEncodedMin = 6;  // Shorter ones would hide what is none.

/// The base64 text that any longer text beginning so has in common: whole groups only; or, where
/// nothing follows, all of it without its padding.
std::string base64_text(std::string_view bytes, bool is_whole) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i + 2 < bytes.size(); i += 3) {
    const unsigned group = static_cast<unsigned>(static_cast<unsigned char>(bytes[i])) << 16 |
                           static_cast<unsigned>(static_cast<unsigned char>(bytes[i + 1])) << 8 |
                           static_cast<unsigned char>(bytes[i + 2]);
    for (const unsigned shift : {18U, 12U, 6U, 0U}) out += kAlphabet[group >> shift & 63];
  }
  const std::size_t rest = bytes.size() % 3;
  if (!is_whole || rest == 0) return out;
  unsigned group = static_cast<unsigned>(static_cast<unsigned char>(bytes[bytes.size() - rest]))
                   << 16;
  if (rest == 2) group |= static_cast<unsigned>(static_cast<unsigned char>(bytes.back())) << 8;
  out += kAlphabet[group >> 18 & 63];
  out += kAlphabet[group >> 12 & 63];
  if (rest == 2) out += kAlphabet[group >> 6 & 63];
  return out;
}

std::string url_encoded(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const bool is_kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
    if (is_kept) {
      out += c;
      continue;
    }
    constexpr std::string_view kHex = "0123456789ABCDEF";
    const auto code = static_cast<unsigned char>(c);
    out += {'%', kHex[code >> 4], kHex[code & 15]};
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

std::vector<std::string> mask_patterns(const std::vector<std::string>& secrets) {
  std::vector<std::string> patterns;
  const auto add = [&](std::string_view text, std::size_t shortest) {
    if (text.size() >= shortest) patterns.emplace_back(text);
  };
  for (const std::string& secret : secrets) {
    for (std::size_t begin = 0; begin <= secret.size();) {
      const std::size_t end = std::min(secret.find('\n', begin), secret.size());
      add(trimmed(std::string_view(secret).substr(begin, end - begin)), kPartMin);
      begin = end + 1;
    }
    const std::string_view whole = trimmed(secret);
    for (const bool is_whole : {false, true}) add(base64_text(whole, is_whole), kEncodedMin);
    const std::string encoded = url_encoded(whole);
    if (encoded != whole) add(encoded, kEncodedMin);
  }
  std::sort(patterns.begin(), patterns.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  patterns.erase(std::unique(patterns.begin(), patterns.end()), patterns.end());
  return patterns;
}

std::string Masker::take(bool is_last) {
  std::string out;
  std::size_t at = 0;
  while (at < held_.size()) {
    const std::string_view rest = std::string_view(held_).substr(at);
    const auto found = std::find_if(patterns_.begin(), patterns_.end(),
                                    [&](const std::string& one) { return rest.starts_with(one); });
    const bool may_grow =
        !is_last && std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& one) {
          return one.size() > rest.size() && std::string_view(one).starts_with(rest);
        });
    // Something longer may still begin here: wait for what follows.
    if (may_grow) break;
    if (found != patterns_.end()) {
      out += kMask;
      at += found->size();
    } else {
      out += held_[at++];
    }
  }
  held_.erase(0, at);
  return out;
}

std::string Masker::feed(std::string_view bytes) {
  if (patterns_.empty()) return std::string(bytes);
  held_ += bytes;
  return take(false);
}

std::string Masker::finish() { return take(true); }

std::string masked(const std::vector<std::string>& patterns, std::string_view text) {
  Masker masker(patterns);
  std::string out = masker.feed(text);
  return out + masker.finish();
}

}  // namespace muster::pipeline
