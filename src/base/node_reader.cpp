#include "base/node_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.hpp"

namespace muster {

void NodeReader::error(const SourceMark& mark, const std::string& path, std::string what,
                       std::string remedy) {
  findings_.push_back({{mark, path, std::move(what), std::move(remedy)}, true});
}

void NodeReader::warn(const SourceMark& mark, const std::string& path, std::string what,
                      std::string remedy) {
  findings_.push_back({{mark, path, std::move(what), std::move(remedy)}, false});
}

bool NodeReader::is_list(const Node& node, const std::string& path) {
  if (node.is_null() || node.is_sequence()) return true;
  error(node.mark, path, "is no list.");
  return false;
}

bool NodeReader::is_mapping(const Node& node, const std::string& path) {
  if (node.is_null() || node.is_mapping()) return true;
  error(node.mark, path, "is no mapping.");
  return false;
}

void NodeReader::members(const Node& node, const std::string& path, const Keys& keys,
                         const std::vector<std::string>& later) {
  if (!is_mapping(node, path)) return;
  for (const Member& member : node.members) {
    const std::string at = path.empty() ? member.key : path + "." + member.key;
    const auto known = keys.find(member.key);
    if (known != keys.end()) {
      known->second(member.value);
      continue;
    }
    if (std::find(later.begin(), later.end(), member.key) != later.end()) {
      error(member.key_mark, at, "is not supported yet.",
            "Remove it; muster does not ignore what it cannot do.");
      continue;
    }
    std::vector<std::string> names = later;
    for (const auto& [name, read] : keys) names.push_back(name);
    const auto near = nearest_name(member.key, names);
    const std::string remedy = near ? fmt::format("Did you mean {}?", *near) : std::string();
    if (refuses_unknown_) {
      error(member.key_mark, at, "unknown key.", remedy);
    } else {
      warn(member.key_mark, at, "unknown key, ignored.", remedy);
    }
  }
}

std::string NodeReader::text(const Node& node, const std::string& path) {
  if (node.is_null() || node.is_scalar()) return node.text;
  error(node.mark, path, "is no text.");
  return {};
}

bool NodeReader::boolean(const Node& node, const std::string& path) {
  const auto value = yaml_boolean(node.text);
  if (node.is_scalar() && value) return *value;
  if (!node.is_null()) {
    error(node.mark, path, fmt::format("\"{}\" is neither true nor false.", node.text));
  }
  return false;
}

int NodeReader::integer(const Node& node, const std::string& path, int smallest, int largest) {
  const auto value = parse_integer(node.text);
  if (!node.is_scalar() || !value) {
    error(node.mark, path, fmt::format("\"{}\" is no whole number.", node.text));
    return smallest;
  }
  if (*value < smallest || *value > largest) {
    error(node.mark, path, fmt::format("{} is not between {} and {}.", *value, smallest, largest));
    return smallest;
  }
  return static_cast<int>(*value);
}

std::vector<std::string> NodeReader::texts(const Node& node, const std::string& path) {
  if (node.is_scalar()) return {node.text};
  std::vector<std::string> out;
  if (!is_list(node, path)) return out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    out.push_back(text(node.items[i], fmt::format("{}[{}]", path, i)));
  }
  return out;
}

bool NodeReader::is_wrong(const std::string& path) const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [&](const Finding& one) { return one.is_error && one.problem.path == path; });
}

}  // namespace muster
