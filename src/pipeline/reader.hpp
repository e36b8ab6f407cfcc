#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/model.hpp"

namespace muster::pipeline {

/// One document of a file, as text, with the line at which it starts.
struct DocumentText {
  int first_line = 1;
  std::string text;
};

/// Cuts a file at lines that start with `---`; a line that starts with `...` ends it.
[[nodiscard]] std::vector<DocumentText> split_documents(std::string_view text);

/// Whether a document is a pipeline of a type that muster runs.
[[nodiscard]] bool is_pipeline(const Node& document);

/// Reads a pipeline. What is wrong, or known and not supported yet, is an error; an unknown key is
/// a warning with the nearest known one.
[[nodiscard]] Pipeline read_pipeline(const Node& document, std::vector<Finding>& findings);

/// The rules beyond single keys, with Drone's own texts. An untrusted repository may do less.
void lint(const Pipeline& pipeline, bool is_trusted, std::vector<Finding>& findings);

}  // namespace muster::pipeline
