#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster {

/// A place in a file; lines and columns count from 1, 0 means unknown.
struct SourceMark {
  std::shared_ptr<const std::string> file;
  int line = 0;
  int column = 0;

  /// `file:line:column`, as far as known.
  [[nodiscard]] std::string describe() const;
};

struct Member;

/// A node of a document (YAML, JSON) that knows where it stands. Numbers and booleans keep their
/// source text; `is_quoted` tells a string from them.
struct Node {
  enum class Kind { null, scalar, sequence, mapping };

  Kind kind = Kind::null;
  std::string text;        ///< The scalar's text.
  bool is_quoted = false;  ///< Was a string in the source, whatever it looks like.
  std::string tag;         ///< An explicit YAML tag such as `!!binary`.
  SourceMark mark;
  std::vector<Node> items;      ///< Of a sequence.
  std::vector<Member> members;  ///< Of a mapping, in source order.

  Node();
  Node(const Node& other);
  Node(Node&& other) noexcept;
  Node& operator=(const Node& other);
  Node& operator=(Node&& other) noexcept;
  ~Node();

  [[nodiscard]] static Node string(std::string value);
  [[nodiscard]] static Node number(long long value);
  [[nodiscard]] static Node boolean(bool value);
  [[nodiscard]] static Node sequence(std::vector<Node> values = {});
  [[nodiscard]] static Node mapping();

  [[nodiscard]] bool is_null() const { return kind == Kind::null; }
  [[nodiscard]] bool is_scalar() const { return kind == Kind::scalar; }
  [[nodiscard]] bool is_sequence() const { return kind == Kind::sequence; }
  [[nodiscard]] bool is_mapping() const { return kind == Kind::mapping; }

  /// The member's value, or null if there is none or this is no mapping.
  [[nodiscard]] const Node* find(std::string_view key) const;

  /// The scalar at a path of keys; empty if anything on the way is missing.
  [[nodiscard]] std::string text_at(std::initializer_list<std::string_view> path) const;

  /// Adds a member (no check for a duplicate) and returns this node.
  Node& set(std::string key, Node value);
};

struct Member {
  std::string key;
  SourceMark key_mark;
  Node value;
};

/// A whole number in decimal, or nothing.
[[nodiscard]] std::optional<long long> parse_integer(std::string_view text);

/// What a plain scalar means by YAML 1.1: `yes`, `On`, `n`, `true`, …
[[nodiscard]] std::optional<bool> yaml_boolean(std::string_view text);

/// What a person is told about a mistake in a file: place, value, rule, remedy.
struct Problem {
  SourceMark mark;
  std::string path;  ///< `pools.linux.types[1]`
  std::string what;  ///< `"m5.lrage": no such instance type.`
  std::string remedy;

  /// One line: `muster.yml:9:18  pools.linux.types[1] "m5.lrage": no such … Did you mean …?`
  [[nodiscard]] std::string describe() const;
};

}  // namespace muster
