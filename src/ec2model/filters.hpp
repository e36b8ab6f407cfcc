#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ec2model/error.hpp"
#include "ec2model/filter.hpp"
#include "ec2model/world.hpp"

namespace ec2model {

class Model;

/// What one kind of object has for each filter that its listing knows.
template <class T>
using FilterTable =
    std::map<std::string_view, std::vector<std::string> (*)(const T&, const Model&)>;

/// Refuses filters that the table does not know: one that is accepted and not applied would widen
/// a sweep. Every object has `tag:<key>` and `tag-key`, unless it has no tags at all.
template <class T>
[[nodiscard]] Answer<void> check_filters(const FilterTable<T>& table,
                                         const std::vector<Filter>& filters, bool has_tags = true) {
  for (const Filter& filter : filters) {
    const bool is_tag = filter.name.starts_with("tag:") || filter.name == "tag-key";
    if (table.contains(filter.name) || (is_tag && has_tags)) continue;
    return refuse("InvalidParameterValue", fmt::format("The filter '{}' is invalid", filter.name));
  }
  return {};
}

/// Whether all filters match; they were checked before.
template <class T>
[[nodiscard]] bool passes(const FilterTable<T>& table, const std::vector<Filter>& filters,
                          const T& object, const Tags& tags, const Model& model) {
  return std::all_of(filters.begin(), filters.end(), [&](const Filter& filter) {
    if (filter.name.starts_with("tag:")) {
      const auto found = tags.find(filter.name.substr(4));
      return found != tags.end() && matches_any(filter, found->second);
    }
    if (filter.name == "tag-key") {
      return std::any_of(tags.begin(), tags.end(),
                         [&](const auto& tag) { return matches_any(filter, tag.first); });
    }
    return matches_any(filter, table.at(filter.name)(object, model));
  });
}

/// Whether the id is asked for; an empty list asks for all, if it may.
[[nodiscard]] inline bool is_listed(const std::vector<std::string>& ids, const std::string& id,
                                    bool empty_means_all = true) {
  if (ids.empty()) return empty_means_all;
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace ec2model
