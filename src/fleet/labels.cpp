#include "fleet/labels.hpp"

#include <algorithm>

namespace muster {
namespace {

constexpr std::string_view kSize = "size:";
constexpr std::string_view kPool = "pool:";

enum class Offer { none, label, name_or_size };

Offer offer_of(const Pool& pool, const std::vector<std::string>& offered,
               const std::string& label) {
  if (label.starts_with(kPool)) {
    const bool is_it = label.substr(kPool.size()) == normal_labels({pool.name.value()}).front();
    return is_it ? Offer::name_or_size : Offer::none;
  }
  if (label.starts_with(kSize) && pool.sizes.contains(label.substr(kSize.size()))) {
    return Offer::name_or_size;
  }
  const bool is_offered = std::binary_search(offered.begin(), offered.end(), label);
  return is_offered ? Offer::label : Offer::none;
}

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
    const Offer offer = offer_of(pool, offered, label);
    if (offer == Offer::none) return false;
    if (offer == Offer::label) ++plain;
  }
  // Who names the pool means it.
  return pool.match == LabelMatch::subset || named_pool(wanted) || plain == offered.size();
}

bool has_label(const Pool& pool, const std::string& label) {
  return offer_of(pool, normal_labels(pool.labels), label) != Offer::none;
}

std::string pool_label(const std::string& name) { return std::string(kPool) + name; }

std::optional<std::string> named_pool(const std::vector<std::string>& labels) {
  for (const std::string& label : labels) {
    if (label.starts_with(kPool)) return label.substr(kPool.size());
  }
  return std::nullopt;
}

std::vector<std::string> plain_labels(std::vector<std::string> labels) {
  std::erase_if(labels, [](const std::string& label) {
    return label.starts_with(kPool) || label.starts_with(kSize);
  });
  return labels;
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
