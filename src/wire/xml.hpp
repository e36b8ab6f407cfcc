#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace muster::wire {

/// An element with its text and children; attributes and name space prefixes are dropped.
struct XmlElement {
  std::string name;
  std::string text;
  std::vector<XmlElement> children;

  [[nodiscard]] const XmlElement* find(std::string_view child) const;
  /// The text at a path of names; empty if anything on the way is missing.
  [[nodiscard]] std::string text_at(std::initializer_list<std::string_view> path) const;
  /// The `item` children of the list element of that name.
  [[nodiscard]] std::vector<const XmlElement*> items(std::string_view list) const;
};

/// Reads one XML document; entities other than the five predefined and character references stay
/// as text, so nothing expands. Errors: corrupt, with line and column.
[[nodiscard]] Result<XmlElement> parse_xml(std::string_view text, std::size_t bytes_max = 64 << 20,
                                           std::size_t depth_max = 64);

/// Writes XML without white space between elements, as EC2 does.
class XmlWriter {
 public:
  XmlWriter& open(std::string_view name, std::string_view attributes = {});
  XmlWriter& close();
  /// `<name>text</name>`, or `<name/>` for an empty text.
  XmlWriter& text(std::string_view name, std::string_view value);
  XmlWriter& number(std::string_view name, long long value);
  XmlWriter& boolean(std::string_view name, bool value);
  /// Content that an `XmlWriter` wrote before.
  XmlWriter& raw(std::string_view written);
  /// What was written; every element must be closed.
  [[nodiscard]] std::string take();

 private:
  std::string out_;
  std::vector<std::string> open_;
};

[[nodiscard]] std::string xml_escape(std::string_view text);

}  // namespace muster::wire
