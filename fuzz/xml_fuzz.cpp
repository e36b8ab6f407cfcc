#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/xml.hpp"

namespace {

void write(muster::wire::XmlWriter& to, const muster::wire::XmlElement& element) {
  if (element.children.empty()) {
    to.text(element.name, element.text);
    return;
  }
  to.open(element.name);
  for (const auto& child : element.children) write(to, child);
  to.close();
}

bool is_same(const muster::wire::XmlElement& a, const muster::wire::XmlElement& b) {
  if (a.name != b.name || a.children.size() != b.children.size()) return false;
  for (std::size_t i = 0; i < a.children.size(); ++i) {
    if (!is_same(a.children[i], b.children[i])) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = muster::wire::parse_xml(text);
  if (!read) return 0;
  static_cast<void>(read->items("set"));
  static_cast<void>(read->text_at({"set", "item"}));
  muster::wire::XmlWriter writer;
  write(writer, *read);
  const auto again = muster::wire::parse_xml(writer.take());
  if (!again || !is_same(*read, *again)) __builtin_trap();
  return 0;
}
