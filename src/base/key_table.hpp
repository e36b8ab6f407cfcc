#pragma once

#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/node_reader.hpp"
#include "base/time.hpp"

namespace muster {

/// One key of a file as a person is told of it.
struct KeyShape {
  enum class Kind { text, integer, boolean, duration, texts, text_map, object, objects };

  std::string name;
  std::string help;  ///< Markdown, one line.
  Kind kind = Kind::text;
  Node fallback;               ///< What holds without the key; null: `absent` says it.
  std::string absent;          ///< What holds without the key, in words.
  bool is_needed = false;      ///< One of the sets of which one must be there names it.
  bool may_be_number = false;  ///< A text that YAML may take for a number, such as a price.
  std::vector<std::string> choices;
  long long smallest = 0;                       ///< Of an integer; seconds of a duration.
  long long largest = 0;                        ///< Likewise.
  std::vector<KeyShape> members;                ///< Of an object, or of each of the objects.
  std::vector<std::vector<std::string>> needs;  ///< One of these sets of members must be there.
};

/// `5m`: the largest unit in which it is a whole number.
[[nodiscard]] std::string duration_text(Duration duration);

/// Reads a duration within the bounds; notes it if it is none.
void read_duration(NodeReader& reader, const Node& node, const std::string& path, Duration smallest,
                   Duration largest, Duration& to);

/// Whether the text is fit for a name of ours; notes it if not.
bool check_name(NodeReader& reader, const SourceMark& mark, const std::string& path,
                const std::string& name);

/// How a struct stands in a file: each key once, with how it is read, checked, written and
/// explained. Reader, reference and schema are all made from it, so that they cannot differ.
/// The values of a fresh `T` are the defaults.
template <class T>
class KeyTable {
 public:
  using Check = std::function<void(NodeReader&, const Node&, const std::string& path, const T&)>;

  /// A text, a flag, a list of texts or a map of texts.
  template <class M>
  KeyTable& key(M T::* member, std::string name, std::string help) {
    KeyShape shape = shape_of(std::move(name), std::move(help));
    if constexpr (std::is_same_v<M, std::string>) {
      shape.kind = KeyShape::Kind::text;
      return add(
          std::move(shape),
          [member](NodeReader& reader, const Node& node, const std::string& path, bool, T& to) {
            to.*member = reader.text(node, path);
          },
          [member](const T& from) { return Node::string(from.*member); });
    } else if constexpr (std::is_same_v<M, std::vector<std::string>>) {
      shape.kind = KeyShape::Kind::texts;
      return add(
          std::move(shape),
          [member](NodeReader& reader, const Node& node, const std::string& path, bool, T& to) {
            to.*member = reader.texts(node, path);
          },
          [member](const T& from) { return list_of(from.*member); });
    } else if constexpr (std::is_same_v<M, std::map<std::string, std::string>>) {
      shape.kind = KeyShape::Kind::text_map;
      return add(
          std::move(shape),
          [member](NodeReader& reader, const Node& node, const std::string& path, bool, T& to) {
            read_map(reader, node, path, to.*member);
          },
          [member](const T& from) { return mapping_of(from.*member); });
    } else {
      static_assert(std::is_same_v<M, bool> || std::is_same_v<M, std::optional<bool>>);
      shape.kind = KeyShape::Kind::boolean;
      return add(
          std::move(shape),
          [member](NodeReader& reader, const Node& node, const std::string& path, bool, T& to) {
            to.*member = reader.boolean(node, path);
          },
          [member](const T& from) { return scalar_of(from.*member); });
    }
  }

  /// A whole number within the bounds.
  template <class M>
  KeyTable& number(M T::* member, std::string name, int smallest, int largest, std::string help) {
    KeyShape shape = shape_of(std::move(name), std::move(help));
    shape.kind = KeyShape::Kind::integer;
    shape.smallest = smallest;
    shape.largest = largest;
    return add(
        std::move(shape),
        [member, smallest, largest](NodeReader& reader, const Node& node, const std::string& path,
                                    bool is_strict, T& to) {
          to.*member =
              reader.integer(node, path, is_strict ? smallest : std::numeric_limits<int>::min(),
                             is_strict ? largest : std::numeric_limits<int>::max());
        },
        [member](const T& from) { return scalar_of(from.*member); });
  }

  KeyTable& duration(Duration T::* member, std::string name, Duration smallest, Duration largest,
                     std::string help) {
    KeyShape shape = shape_of(std::move(name), std::move(help));
    shape.kind = KeyShape::Kind::duration;
    shape.smallest = std::chrono::ceil<std::chrono::seconds>(smallest).count();
    shape.largest = std::chrono::floor<std::chrono::seconds>(largest).count();
    return add(
        std::move(shape),
        [member, smallest, largest](NodeReader& reader, const Node& node, const std::string& path,
                                    bool is_strict, T& to) {
          read_duration(reader, node, path, is_strict ? smallest : Duration::zero(),
                        is_strict ? largest : Duration::max(), to.*member);
        },
        [member](const T& from) { return Node::string(duration_text(from.*member)); });
  }

  /// One of some words. `remedy` tells a person what they mean.
  template <class E>
  KeyTable& choice(E T::* member, std::string name, std::vector<std::pair<std::string, E>> words,
                   std::string help, std::string remedy) {
    KeyShape shape = shape_of(std::move(name), std::move(help));
    for (const auto& [word, value] : words) shape.choices.push_back(word);
    return add(
        std::move(shape),
        [member, words, remedy](NodeReader& reader, const Node& node, const std::string& path, bool,
                                T& to) {
          for (const auto& [word, value] : words) {
            if (node.is_scalar() && node.text == word) {
              to.*member = value;
              return;
            }
          }
          reader.error(node.mark, path, "\"" + node.text + "\" is no choice.", remedy);
        },
        [member, words](const T& from) {
          for (const auto& [word, value] : words) {
            if (from.*member == value) return Node::string(word);
          }
          return Node();
        });
  }

  template <class U>
  KeyTable& object(U T::* member, std::string name, const KeyTable<U>& table, std::string help) {
    KeyShape shape = shape_of(std::move(name), std::move(help));
    shape.kind = KeyShape::Kind::object;
    shape.members = table.shapes();
    shape.needs = table.needs();
    return add(
        std::move(shape),
        [member, &table](NodeReader& reader, const Node& node, const std::string& path,
                         bool is_strict, T& to) {
          table.read_members(reader, node, path, node.mark, is_strict, to.*member);
        },
        [member, &table](const T& from) { return table.write(from.*member); });
  }

  /// Objects by name.
  template <class U>
  KeyTable& objects(std::map<std::string, U> T::* member, std::string name,
                    const KeyTable<U>& table, std::string help) {
    KeyShape shape = shape_of(std::move(name), std::move(help));
    shape.kind = KeyShape::Kind::objects;
    shape.members = table.shapes();
    shape.needs = table.needs();
    return add(
        std::move(shape),
        [member, &table](NodeReader& reader, const Node& node, const std::string& path,
                         bool is_strict, T& to) {
          if (!reader.is_mapping(node, path)) return;
          for (const Member& item : node.members) {
            const std::string at = path + "." + item.key;
            if (is_strict) check_name(reader, item.key_mark, at, item.key);
            U value;
            table.read_members(reader, item.value, at, item.key_mark, is_strict, value);
            (to.*member)[item.key] = std::move(value);
          }
        },
        [member, &table](const T& from) {
          Node out = Node::mapping();
          for (const auto& [key, value] : from.*member) out.set(key, table.write(value));
          return out;
        });
  }

  /// Said of the key added last: what holds without it.
  KeyTable& absent(std::string words) {
    entries_.back().shape.absent = std::move(words);
    return *this;
  }
  /// Of the key added last: YAML may take its value for a number.
  KeyTable& may_be_number() {
    entries_.back().shape.may_be_number = true;
    return *this;
  }
  /// Of the key added last: the words that its text may be, told by `check`.
  KeyTable& choices(std::vector<std::string> words) {
    entries_.back().shape.choices = std::move(words);
    return *this;
  }
  /// Of the key added last: looked at after it was read.
  KeyTable& check(Check check) {
    entries_.back().check = std::move(check);
    return *this;
  }
  /// Of the key added last: what to do when it is missing and needed.
  KeyTable& remedy(std::string words) {
    entries_.back().remedy = std::move(words);
    return *this;
  }

  /// One of these sets of keys must be there; what is missing of the first is told.
  KeyTable& needs(std::vector<std::vector<std::string>> sets) {
    needs_ = std::move(sets);
    for (Entry& entry : entries_) {
      for (const auto& names : needs_) {
        for (const std::string& name : names) {
          entry.shape.is_needed = entry.shape.is_needed || name == entry.shape.name;
        }
      }
    }
    return *this;
  }
  /// Looked at after all keys were read; the node is the mapping.
  KeyTable& check_all(Check check) {
    check_all_ = std::move(check);
    return *this;
  }
  /// Keys that are known and not supported yet.
  KeyTable& later(std::vector<std::string> names) {
    later_ = std::move(names);
    return *this;
  }

  /// Notes everything that does not fit.
  void read(NodeReader& reader, const Node& node, const std::string& path, T& to) const {
    read_members(reader, node, path, node.mark, true, to);
  }

  /// Reads what `write` wrote, without the checks made for people.
  void restore(NodeReader& reader, const Node& node, T& to) const {
    read_members(reader, node, "", node.mark, false, to);
  }

  /// Every key that has a value.
  [[nodiscard]] Node write(const T& from) const {
    Node out = Node::mapping();
    for (const Entry& entry : entries_) {
      Node value = entry.write(from);
      if (!value.is_null()) out.set(entry.shape.name, std::move(value));
    }
    return out;
  }

  [[nodiscard]] std::vector<KeyShape> shapes() const {
    std::vector<KeyShape> out;
    for (const Entry& entry : entries_) out.push_back(entry.shape);
    return out;
  }
  [[nodiscard]] const std::vector<std::vector<std::string>>& needs() const { return needs_; }
  [[nodiscard]] const std::vector<std::string>& later_names() const { return later_; }

  void read_members(NodeReader& reader, const Node& node, const std::string& path,
                    const SourceMark& mark, bool is_strict, T& to) const {
    if (node.is_null() && is_strict) return no_value(reader, mark, path);
    NodeReader::Keys keys;
    for (const Entry& entry : entries_) {
      const std::string at = path.empty() ? entry.shape.name : path + "." + entry.shape.name;
      keys[entry.shape.name] = [&reader, &entry, &to, at, is_strict](const Node& value) {
        if (value.is_null() && is_strict) return no_value(reader, value.mark, at);
        const std::size_t before = reader.finding_count();
        entry.read(reader, value, at, is_strict, to);
        const bool is_read = reader.finding_count() == before;
        if (is_strict && is_read && entry.check) entry.check(reader, value, at, to);
      };
    }
    reader.members(node, path, keys, later_);
    if (!is_strict || !(node.is_mapping() || node.is_null())) return;
    tell_needs(reader, node, path, mark);
    if (check_all_) check_all_(reader, node, path, to);
  }

 private:
  using Read = std::function<void(NodeReader&, const Node&, const std::string&, bool, T&)>;
  using Write = std::function<Node(const T&)>;

  struct Entry {
    KeyShape shape;
    Read read;
    Write write;
    Check check;
    std::string remedy;
  };

  static KeyShape shape_of(std::string name, std::string help) {
    KeyShape shape;
    shape.name = std::move(name);
    shape.help = std::move(help);
    return shape;
  }

  KeyTable& add(KeyShape shape, Read read, Write write) {
    shape.fallback = write(T());
    entries_.push_back({std::move(shape), std::move(read), std::move(write), {}, {}});
    return *this;
  }

  static void no_value(NodeReader& reader, const SourceMark& mark, const std::string& path) {
    reader.error(mark, path, "has no value.", "Give it one, or remove the key.");
  }

  void tell_needs(NodeReader& reader, const Node& node, const std::string& path,
                  const SourceMark& mark) const {
    const auto has = [&](const std::string& name) {
      const Node* value = node.find(name);
      if (value == nullptr) return false;
      return value->is_sequence() ? !value->items.empty()
                                  : value->is_mapping() || !value->text.empty();
    };
    const auto has_all = [&](const std::vector<std::string>& names) {
      for (const std::string& name : names) {
        if (!has(name)) return false;
      }
      return true;
    };
    for (const auto& names : needs_) {
      if (has_all(names)) return;
    }
    if (needs_.empty()) return;
    for (const Entry& entry : entries_) {
      for (const std::string& name : needs_.front()) {
        if (entry.shape.name != name || has(name)) continue;
        const Node* empty = node.find(name);
        reader.error(empty == nullptr ? mark : empty->mark, path.empty() ? name : path + "." + name,
                     empty == nullptr ? "is missing." : "is empty.", entry.remedy);
      }
    }
  }

  static Node list_of(const std::vector<std::string>& values) {
    Node list = Node::sequence();
    for (const std::string& value : values) list.items.push_back(Node::string(value));
    return list;
  }
  static Node mapping_of(const std::map<std::string, std::string>& values) {
    Node mapping = Node::mapping();
    for (const auto& [key, value] : values) mapping.set(key, Node::string(value));
    return mapping;
  }
  static void read_map(NodeReader& reader, const Node& node, const std::string& path,
                       std::map<std::string, std::string>& to) {
    if (!reader.is_mapping(node, path)) return;
    for (const Member& item : node.members) {
      to[item.key] = reader.text(item.value, path + "." + item.key);
    }
  }
  static Node scalar_of(bool value) { return Node::boolean(value); }
  static Node scalar_of(int value) { return Node::number(value); }
  template <class V>
  static Node scalar_of(const std::optional<V>& value) {
    return value ? scalar_of(*value) : Node();
  }

  std::vector<Entry> entries_;
  std::vector<std::vector<std::string>> needs_;
  std::vector<std::string> later_;
  Check check_all_;
};

}  // namespace muster
