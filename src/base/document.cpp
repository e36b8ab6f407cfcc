#include "base/document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace muster {

std::string SourceMark::describe() const {
  std::string name = file ? *file : std::string("input");
  if (line == 0) return name;
  if (column == 0) return fmt::format("{}:{}", name, line);
  return fmt::format("{}:{}:{}", name, line, column);
}

Node::Node() = default;
Node::Node(const Node& other) = default;
Node::Node(Node&& other) noexcept = default;
Node& Node::operator=(const Node& other) = default;
Node& Node::operator=(Node&& other) noexcept = default;
Node::~Node() = default;

Node Node::string(std::string value) {
  Node node;
  node.kind = Kind::scalar;
  node.text = std::move(value);
  node.is_quoted = true;
  return node;
}

Node Node::number(long long value) {
  Node node;
  node.kind = Kind::scalar;
  node.text = std::to_string(value);
  return node;
}

Node Node::boolean(bool value) {
  Node node;
  node.kind = Kind::scalar;
  node.text = value ? "true" : "false";
  return node;
}

Node Node::sequence(std::vector<Node> values) {
  Node node;
  node.kind = Kind::sequence;
  node.items = std::move(values);
  return node;
}

Node Node::mapping() {
  Node node;
  node.kind = Kind::mapping;
  return node;
}

const Node* Node::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

std::string Node::text_at(std::initializer_list<std::string_view> path) const {
  const Node* node = this;
  for (const std::string_view key : path) {
    node = node->find(key);
    if (node == nullptr) return {};
  }
  return node->text;
}

Node& Node::set(std::string key, Node value) {
  members.push_back(Member{std::move(key), {}, std::move(value)});
  return *this;
}

std::optional<long long> parse_integer(std::string_view text) {
  long long value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

std::optional<bool> yaml_boolean(std::string_view text) {
  static constexpr std::array<std::string_view, 11> kTrue{
      "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
  static constexpr std::array<std::string_view, 11> kFalse{
      "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};
  if (std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), text) != kFalse.end()) return false;
  return std::nullopt;
}

std::string Problem::describe() const {
  std::string text = mark.describe() + "  ";
  // A quoted value follows its path directly; a rule is set off by a colon.
  if (!path.empty()) text += path + (what.starts_with('"') || what.starts_with("is ") ? " " : ": ");
  text += what;
  if (!remedy.empty() && !text.ends_with('.')) text += '.';
  if (!remedy.empty()) text += fmt::format(" {}", remedy);
  return text;
}

}  // namespace muster
