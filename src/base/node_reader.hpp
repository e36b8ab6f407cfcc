#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/document.hpp"

namespace muster {

/// Something a person should know about a file.
struct Finding {
  Problem problem;
  bool is_error = true;
};

/// Reads nodes of a document into plain values and notes everything that does not fit, so that a
/// person sees all problems at once.
class NodeReader {
 public:
  using Keys = std::map<std::string, std::function<void(const Node&)>>;

  /// Whether an unknown key is an error or a warning.
  NodeReader(std::vector<Finding>& findings, bool refuses_unknown)
      : findings_(findings), refuses_unknown_(refuses_unknown) {}

  void error(const SourceMark& mark, const std::string& path, std::string what,
             std::string remedy = {});
  void warn(const SourceMark& mark, const std::string& path, std::string what,
            std::string remedy = {});

  /// Hands each member to its reader. Keys of `later` are known and not supported yet: an error.
  void members(const Node& node, const std::string& path, const Keys& keys,
               const std::vector<std::string>& later = {});

  std::string text(const Node& node, const std::string& path);
  bool boolean(const Node& node, const std::string& path);
  /// A whole number within the bounds.
  int integer(const Node& node, const std::string& path, int smallest = 0,
              int largest = 1'000'000'000);
  /// A list of texts; a single text counts as a list of one.
  std::vector<std::string> texts(const Node& node, const std::string& path);
  /// Whether the node is a list (or nothing); notes it if not.
  bool is_list(const Node& node, const std::string& path);
  bool is_mapping(const Node& node, const std::string& path);
  [[nodiscard]] std::size_t finding_count() const { return findings_.size(); }
  /// Whether the value at that place could not be read: nothing follows from it.
  [[nodiscard]] bool is_wrong(const std::string& path) const;

 protected:
  [[nodiscard]] std::vector<Finding>& findings() { return findings_; }

 private:
  std::vector<Finding>& findings_;
  bool refuses_unknown_;
};

}  // namespace muster
