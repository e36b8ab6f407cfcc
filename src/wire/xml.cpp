#include "wire/xml.hpp"

#include <fmt/format.h>

#include <pugixml.hpp>

#include "base/check.hpp"

namespace muster::wire {
namespace {

std::string_view local_name(const char* name) {
  const std::string_view whole(name);
  const std::size_t colon = whole.rfind(':');
  return colon == std::string_view::npos ? whole : whole.substr(colon + 1);
}

/// Only a prefix may have been what made it a name.
bool starts_a_name(std::string_view text) {
  if (text.empty()) return false;
  const auto c = static_cast<unsigned char>(text.front());
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

bool convert(const pugi::xml_node& from, XmlElement& to, std::size_t depth_left) {
  if (depth_left == 0) return false;
  to.name = std::string(local_name(from.name()));
  if (!starts_a_name(to.name)) return false;
  to.text = from.text().get();
  for (const pugi::xml_node& child : from.children()) {
    if (child.type() != pugi::node_element) continue;
    if (!convert(child, to.children.emplace_back(), depth_left - 1)) return false;
  }
  return true;
}

}  // namespace

const XmlElement* XmlElement::find(std::string_view child) const {
  for (const XmlElement& one : children) {
    if (one.name == child) return &one;
  }
  return nullptr;
}

std::string XmlElement::text_at(std::initializer_list<std::string_view> path) const {
  const XmlElement* element = this;
  for (const std::string_view step : path) {
    element = element->find(step);
    if (element == nullptr) return {};
  }
  return element->text;
}

std::vector<const XmlElement*> XmlElement::items(std::string_view list) const {
  std::vector<const XmlElement*> found;
  const XmlElement* element = find(list);
  if (element == nullptr) return found;
  for (const XmlElement& child : element->children) {
    if (child.name == "item") found.push_back(&child);
  }
  return found;
}

Result<XmlElement> parse_xml(std::string_view text, std::size_t bytes_max, std::size_t depth_max) {
  if (text.size() > bytes_max) {
    return fail(ErrorKind::corrupt,
                fmt::format("XML of {} bytes, over the limit of {}", text.size(), bytes_max));
  }
  pugi::xml_document document;
  const pugi::xml_parse_result parsed =
      document.load_buffer(text.data(), text.size(),
                           pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
  if (!parsed) {
    int line = 1;
    int column = 1;
    for (const char c : text.substr(0, static_cast<std::size_t>(parsed.offset))) {
      column = c == '\n' ? 1 : column + 1;
      if (c == '\n') ++line;
    }
    return fail(ErrorKind::corrupt,
                fmt::format("XML, line {}, column {}: {}", line, column, parsed.description()));
  }
  XmlElement root;
  const pugi::xml_node element = document.document_element();
  if (!element) return fail(ErrorKind::corrupt, "XML without a root element");
  if (!convert(element, root, depth_max)) {
    return fail(ErrorKind::corrupt,
                fmt::format("XML nested over {} deep, or an element without a name", depth_max));
  }
  return root;
}

std::string xml_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default:
        // XML 1.0 has no way to write other control characters.
        out +=
            static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r' ? '?' : c;
    }
  }
  return out;
}

XmlWriter& XmlWriter::open(std::string_view name, std::string_view attributes) {
  out_ += fmt::format("<{}{}{}>", name, attributes.empty() ? "" : " ", attributes);
  open_.emplace_back(name);
  return *this;
}

XmlWriter& XmlWriter::close() {
  MUSTER_CHECK(!open_.empty());
  out_ += fmt::format("</{}>", open_.back());
  open_.pop_back();
  return *this;
}

XmlWriter& XmlWriter::text(std::string_view name, std::string_view value) {
  out_ += value.empty() ? fmt::format("<{}/>", name)
                        : fmt::format("<{}>{}</{}>", name, xml_escape(value), name);
  return *this;
}

XmlWriter& XmlWriter::number(std::string_view name, long long value) {
  return text(name, std::to_string(value));
}

XmlWriter& XmlWriter::boolean(std::string_view name, bool value) {
  return text(name, value ? "true" : "false");
}

XmlWriter& XmlWriter::raw(std::string_view written) {
  out_ += written;
  return *this;
}

std::string XmlWriter::take() {
  MUSTER_CHECK(open_.empty());
  return std::move(out_);
}

}  // namespace muster::wire
