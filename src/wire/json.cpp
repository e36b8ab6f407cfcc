#include "wire/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <set>

namespace muster::wire {

namespace json = boost::json;

namespace {

SourceMark mark_at(std::string_view text, std::size_t offset) {
  SourceMark mark{nullptr, 1, 1};
  for (const char c : text.substr(0, offset)) {
    mark.column = c == '\n' ? 1 : mark.column + 1;
    if (c == '\n') ++mark.line;
  }
  return mark;
}

/// Boost.JSON's own objects drop duplicate keys silently, so the tree is built from its events.
struct TreeHandler {
  [[maybe_unused]] static constexpr std::size_t max_object_size = 1 << 20;
  [[maybe_unused]] static constexpr std::size_t max_array_size = 1 << 22;
  [[maybe_unused]] static constexpr std::size_t max_key_size = 1 << 20;
  [[maybe_unused]] static constexpr std::size_t max_string_size = 1 << 26;

  std::vector<Node> open;
  std::vector<std::string> keys;
  std::string partial;
  std::string duplicate;

  bool put(Node node) {
    if (open.empty()) {
      open.push_back(std::move(node));
      return true;
    }
    Node& parent = open.back();
    if (parent.is_sequence()) {
      parent.items.push_back(std::move(node));
      return true;
    }
    parent.set(std::move(keys.back()), std::move(node));
    keys.pop_back();
    return true;
  }
  bool close(json::error_code&) {
    if (open.size() == 1) return true;
    Node done = std::move(open.back());
    open.pop_back();
    return put(std::move(done));
  }
  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) {
    open.push_back(Node::mapping());
    return true;
  }
  bool on_object_end(std::size_t, json::error_code& ec) {
    std::set<std::string_view> seen;
    for (const Member& member : open.back().members) {
      if (seen.insert(member.key).second) continue;
      duplicate = member.key;
      ec = json::error::syntax;
      return false;
    }
    return close(ec);
  }
  bool on_array_begin(json::error_code&) {
    open.push_back(Node::sequence());
    return true;
  }
  bool on_array_end(std::size_t, json::error_code& ec) { return close(ec); }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    partial.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    partial.append(part.data(), part.size());
    keys.push_back(std::move(partial));
    partial.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    partial.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    partial.append(part.data(), part.size());
    Node node = Node::string(std::move(partial));
    partial.clear();
    return put(std::move(node));
  }
  bool on_number_part(json::string_view part, json::error_code&) {
    partial.append(part.data(), part.size());
    return true;
  }
  bool number(json::string_view part) {
    Node node;
    node.kind = Node::Kind::scalar;
    node.text = std::move(partial);
    node.text.append(part.data(), part.size());
    partial.clear();
    return put(std::move(node));
  }
  bool on_int64(std::int64_t, json::string_view part, json::error_code&) { return number(part); }
  bool on_uint64(std::uint64_t, json::string_view part, json::error_code&) { return number(part); }
  bool on_double(double, json::string_view part, json::error_code&) { return number(part); }
  bool on_bool(bool value, json::error_code&) { return put(Node::boolean(value)); }
  bool on_null(json::error_code&) { return put(Node{}); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

bool is_json_number(std::string_view text) {
  json::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  return !error && value.is_number();
}

void write(std::string& out, const Node& node, int indent, int depth) {
  const auto line = [&](int at) {
    if (indent > 0) out += "\n" + std::string(static_cast<std::size_t>(indent * at), ' ');
  };
  if (node.is_null()) {
    out += "null";
  } else if (node.is_scalar()) {
    const bool is_plain = !node.is_quoted && (node.text == "true" || node.text == "false" ||
                                              is_json_number(node.text));
    out += is_plain ? node.text : json_string(node.text);
  } else if (node.is_sequence()) {
    out += '[';
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      if (i > 0) out += ',';
      line(depth + 1);
      write(out, node.items[i], indent, depth + 1);
    }
    if (!node.items.empty()) line(depth);
    out += ']';
  } else {
    out += '{';
    for (std::size_t i = 0; i < node.members.size(); ++i) {
      if (i > 0) out += ',';
      line(depth + 1);
      out += json_string(node.members[i].key) + (indent > 0 ? ": " : ":");
      write(out, node.members[i].value, indent, depth + 1);
    }
    if (!node.members.empty()) line(depth);
    out += '}';
  }
}

/// Bytes of the UTF-8 character at `at`, 0 if it is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const std::size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first >= 0x80 && (first < 0xc2 || first > 0xf4)) return 0;
  if (at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

Result<Node> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(ErrorKind::corrupt, fmt::format("JSON of {} bytes, over the limit of {}",
                                                text.size(), limits.bytes_max));
  }
  json::parse_options options;
  options.max_depth = limits.depth_max;
  json::basic_parser<TreeHandler> parser(options);
  json::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  std::size_t at = used;
  if (!error) {
    at = std::min(text.find_first_not_of(" \t\r\n", used), text.size());
    if (at != text.size()) error = json::error::extra_data;
  }
  if (error || !parser.done() || parser.handler().open.empty()) {
    const SourceMark mark = mark_at(text, at);
    const std::string why = parser.handler().duplicate.empty()
                                ? (error ? error.message() : "it ends too early")
                                : fmt::format("duplicate key \"{}\"", parser.handler().duplicate);
    return fail(ErrorKind::corrupt,
                fmt::format("JSON, line {}, column {}: {}", mark.line, mark.column, why));
  }
  return std::move(parser.handler().open.front());
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out + "\"";
}

std::string to_json(const Node& node, int indent) {
  std::string out;
  write(out, node, indent, 0);
  return out;
}

}  // namespace muster::wire
