#pragma once

#include <string>
#include <vector>

namespace muster::cli {

/// Rows under headings, as wide as they need. The last column is shortened with `…` where the
/// terminal is too narrow; nothing else is ever cut. Control characters are shown, not sent.
class Table {
 public:
  struct Column {
    std::string name;
    bool is_right = false;  ///< Numbers stand at the right.
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row);
  void print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Columns of the terminal on standard output; nothing where it is none.
[[nodiscard]] int terminal_width();

}  // namespace muster::cli
