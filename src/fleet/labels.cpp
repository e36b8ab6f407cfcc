#include "fleet/labels.hpp"

#include <algorithm>

namespace muster {
namespace {

constexpr std::string_view kSize = "size:";
constexpr std::string_view kPool = "pool:";

}  // namespace

std::vector<std::string> normal_labels(std::vector<std::string> labels) {
  for (std::string& label : labels) {
    for (char& c : label) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

bool matches_labels(const Pool& pool, const std::vector<std::string>& wanted) {
  const std::vector<std::string> offered = normal_labels(pool.labels);
  std::size_t plain = 0;
  for (const std::string& label : wanted) {
    if (label.starts_with(kPool)) {
      if (label.substr(kPool.size()) != normal_labels({pool.name.value()}).front()) return false;
      continue;
    }
    if (label.starts_with(kSize) && pool.sizes.contains(label.substr(kSize.size()))) continue;
    if (!std::binary_search(offered.begin(), offered.end(), label)) return false;
    ++plain;
  }
  return pool.match == LabelMatch::subset || plain == offered.size();
}

std::optional<std::string> type_of_size(const Pool& pool, const std::vector<std::string>& wanted) {
  for (const std::string& label : wanted) {
    if (!label.starts_with(kSize)) continue;
    const auto found = pool.sizes.find(label.substr(kSize.size()));
    if (found != pool.sizes.end()) return found->second;
  }
  return std::nullopt;
}

std::string join_labels(const std::vector<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) text += (text.empty() ? "" : ",") + label;
  return text;
}

}  // namespace muster
