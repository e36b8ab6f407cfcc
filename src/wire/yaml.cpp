#include "wire/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>

namespace muster::wire {
namespace {

struct Refusal {
  SourceMark mark;
  std::string what;
};

/// yaml-cpp takes an open quote at the end of the text for a closed one, so each quoted scalar is
/// looked at in the source.
bool is_closed(std::string_view text, std::size_t at) {
  const char quote = text[at];
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 == text.size() || text[i + 1] != '\'') return true;
      ++i;
    }
  }
  return false;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, const YamlOptions& options)
      : text_(text), options_(options), file_(std::make_shared<std::string>(options.file)) {
    line_starts_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') line_starts_.push_back(i + 1);
    }
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(leaf(mark, Node::Kind::null), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refusal{place(mark), "an alias of what is not complete yet"};
    Node copy = found->second.node;
    count(found->second.size, mark);
    copy.mark = place(mark);
    put(std::move(copy), found->second.size);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = leaf(mark, Node::Kind::scalar);
    node.text = value;
    node.is_quoted = tag == "!";
    if (tag != "?" && tag != "!") node.tag = tag;
    const std::size_t at = offset(mark);
    const bool is_quote = at < text_.size() && (text_[at] == '"' || text_[at] == '\'');
    if (is_quote && !is_closed(text_, at)) throw Refusal{node.mark, "a quote that is never closed"};
    const bool is_null = !node.is_quoted && node.tag.empty() &&
                         (value == "~" || value == "null" || value == "Null" || value == "NULL");
    if (is_null && !expects_key()) node.kind = Node::Kind::null;
    add(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(leaf(mark, Node::Kind::sequence), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(leaf(mark, Node::Kind::mapping), anchor);
  }
  void OnMapEnd() override {
    merge(open_.back().node);
    close();
  }

  Node take() { return std::move(root_); }

 private:
  struct Open {
    Node node;
    YAML::anchor_t anchor = 0;
    std::size_t size = 1;
    bool has_key = false;
    std::string key;
    SourceMark key_mark;
  };
  struct Anchored {
    Node node;
    std::size_t size;
  };

  [[nodiscard]] SourceMark place(const YAML::Mark& mark) const {
    return {file_, mark.line + options_.first_line, mark.column + 1};
  }
  [[nodiscard]] std::size_t offset(const YAML::Mark& mark) const {
    const auto line = static_cast<std::size_t>(std::max(mark.line, 0));
    if (line >= line_starts_.size()) return text_.size();
    // yaml-cpp counts columns in characters.
    std::size_t at = line_starts_[line];
    for (int column = 0; column < mark.column && at < text_.size(); ++column) {
      ++at;
      while (at < text_.size() && (static_cast<unsigned char>(text_[at]) & 0xc0) == 0x80) ++at;
    }
    return at;
  }
  Node leaf(const YAML::Mark& mark, Node::Kind kind) {
    count(1, mark);
    Node node;
    node.kind = kind;
    node.mark = place(mark);
    return node;
  }
  void count(std::size_t more, const YAML::Mark& mark) {
    nodes_ += more;
    if (nodes_ > options_.nodes_max) {
      throw Refusal{place(mark),
                    fmt::format("over {} values, aliases expanded", options_.nodes_max)};
    }
  }
  [[nodiscard]] bool expects_key() const {
    return !open_.empty() && open_.back().node.is_mapping() && !open_.back().has_key;
  }
  void add(Node node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = {node, 1};
    put(std::move(node), 1);
  }
  void open(Node node, YAML::anchor_t anchor) {
    if (open_.size() >= options_.depth_max) {
      throw Refusal{node.mark, fmt::format("nested over {} deep", options_.depth_max)};
    }
    if (expects_key()) throw Refusal{node.mark, "a key that is no plain text"};
    open_.push_back({std::move(node), anchor, 1, false, {}, {}});
  }
  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    if (done.anchor != 0) anchors_[done.anchor] = {done.node, done.size};
    put(std::move(done.node), done.size);
  }
  void put(Node node, std::size_t size) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    parent.size += size;
    if (parent.node.is_sequence()) {
      parent.node.items.push_back(std::move(node));
      return;
    }
    if (!parent.has_key) {
      if (!node.is_scalar() && !node.is_null())
        throw Refusal{node.mark, "a key that is no plain text"};
      parent.has_key = true;
      parent.key = node.text;
      parent.key_mark = node.mark;
      return;
    }
    parent.has_key = false;
    insert(parent, std::move(node));
  }
  void insert(Open& parent, Node node) {
    auto& members = parent.node.members;
    const auto same = std::find_if(members.begin(), members.end(),
                                   [&](const Member& one) { return one.key == parent.key; });
    if (same != members.end() && parent.key != "<<") {
      if (!options_.allows_duplicates) {
        throw Refusal{parent.key_mark, fmt::format("duplicate key \"{}\" (first on line {})",
                                                   parent.key, same->key_mark.line)};
      }
      members.erase(same);
    }
    members.push_back({std::move(parent.key), parent.key_mark, std::move(node)});
  }
  /// `<<: *base` and `<<: [*a, *b]`: what stands here wins, then the earlier source.
  void merge(Node& node) const {
    std::vector<Node> sources;
    for (Member& member : node.members) {
      if (member.key != "<<" || member.value.is_scalar()) continue;
      if (member.value.is_mapping()) sources.push_back(member.value);
      for (const Node& item : member.value.items) sources.push_back(item);
    }
    std::erase_if(node.members,
                  [](const Member& one) { return one.key == "<<" && !one.value.is_scalar(); });
    for (const Node& source : sources) {
      for (const Member& member : source.members) {
        if (node.find(member.key) == nullptr) node.members.push_back(member);
      }
    }
  }

  std::string_view text_;
  const YamlOptions& options_;
  std::shared_ptr<const std::string> file_;
  std::vector<std::size_t> line_starts_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::size_t nodes_ = 0;
  Node root_;
};

tl::unexpected<Error> refused(const SourceMark& mark, std::string_view what) {
  return fail(ErrorKind::invalid_input, fmt::format("{}: {}", mark.describe(), what));
}

}  // namespace

Result<Node> parse_yaml(std::string_view text, const YamlOptions& options) {
  const SourceMark start{std::make_shared<std::string>(options.file), options.first_line, 1};
  if (text.size() > options.bytes_max) {
    return refused(start, fmt::format("{} bytes of YAML, over the limit of {}", text.size(),
                                      options.bytes_max));
  }
  if (text.find('\0') != std::string_view::npos) return refused(start, "a NUL byte in YAML");
  TreeBuilder builder(text, options);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    TreeBuilder second(text, options);
    if (parser.HandleNextDocument(second)) {
      return refused(second.take().mark, "a second document; one is expected here");
    }
  } catch (const Refusal& refusal) {
    return refused(refusal.mark, refusal.what);
  } catch (const YAML::Exception& error) {
    const SourceMark mark{start.file, error.mark.line + options.first_line, error.mark.column + 1};
    return refused(mark, fmt::format("not readable as YAML: {}", error.msg));
  }
  return builder.take();
}

}  // namespace muster::wire
