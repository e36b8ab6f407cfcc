#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ec2model/filters.hpp"
#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {

Answer<const KeyPair*> Model::add_key_pair(KeyPair pair, const Tags& tags, const Gate& gate,
                                           TimePoint now) {
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  if (pair.name.empty() || pair.name.size() > 255) {
    return refuse("InvalidParameterValue",
                  fmt::format("Value ({}) for parameter KeyName is invalid. Character sets beyond "
                              "ASCII are not supported, and at most 255 characters are allowed.",
                              pair.name));
  }
  if (key_pairs_.contains(pair.name)) {
    return refuse("InvalidKeyPair.Duplicate", "The keypair already exists");
  }
  if (key_pairs_.size() >= 5000) {
    return refuse("KeyPairLimitExceeded", "The maximum number of key pairs has been reached.");
  }
  if (auto open = gate.pass(); !open) return again(open);
  pair.id = random_id("key-");
  pair.created_at = now;
  if (!tags.empty()) tags_[pair.id] = tags;
  const std::string name = pair.name;
  return &key_pairs_.emplace(name, std::move(pair)).first->second;
}

Answer<std::optional<std::string>> Model::delete_key_pair(const std::string& name,
                                                          const std::string& id, const Gate& gate) {
  if (name.empty() && id.empty()) {
    return refuse("MissingParameter",
                  "The request must contain the parameter KeyName or KeyPairId");
  }
  if (auto open = gate.pass(); !open) return again(open);
  const auto found = std::find_if(key_pairs_.begin(), key_pairs_.end(), [&](const auto& one) {
    return name.empty() ? one.second.id == id : one.first == name;
  });
  if (found == key_pairs_.end()) return std::optional<std::string>();
  const std::string gone = found->second.id;
  tags_.erase(gone);
  key_pairs_.erase(found);
  return std::optional<std::string>(gone);
}

Answer<std::vector<const KeyPair*>> Model::describe_key_pairs(
    const std::vector<std::string>& names, const std::vector<std::string>& ids,
    const std::vector<Filter>& filters) const {
  for (const std::string& name : names) {
    if (!key_pairs_.contains(name)) {
      return refuse("InvalidKeyPair.NotFound",
                    fmt::format("The key pair '{}' does not exist", name));
    }
  }
  for (const std::string& id : ids) {
    const bool is_known = std::any_of(key_pairs_.begin(), key_pairs_.end(),
                                      [&](const auto& one) { return one.second.id == id; });
    if (!is_known) {
      return refuse("InvalidKeyPair.NotFound", fmt::format("The key pair '{}' does not exist", id));
    }
  }
  using Values = std::vector<std::string>;
  static const FilterTable<KeyPair> table{
      {"key-name", [](const KeyPair& at, const Model&) { return Values{at.name}; }},
      {"key-pair-id", [](const KeyPair& at, const Model&) { return Values{at.id}; }},
      {"fingerprint", [](const KeyPair& at, const Model&) { return Values{at.fingerprint}; }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const KeyPair*> found;
  for (const auto& [name, pair] : key_pairs_) {
    const bool is_asked = (names.empty() && ids.empty()) || is_listed(names, name, false) ||
                          is_listed(ids, pair.id, false);
    if (is_asked && passes(table, filters, pair, tags_of(pair.id), *this)) found.push_back(&pair);
  }
  return found;
}

}  // namespace ec2model
