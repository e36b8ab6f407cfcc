#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace muster::cli {

/// Rows under headings, as wide as they need. Where the terminal is too narrow, extra columns are
/// left out, the rightmost first, and then the last one is shortened with `…`; nothing else is
/// ever cut. Control characters are shown, not sent.
class Table {
 public:
  static constexpr unsigned kRight = 1;  ///< Numbers stand at the right.
  static constexpr unsigned kExtra = 2;  ///< What a narrow terminal goes without.
  struct Column {
    std::string name;
    unsigned how = 0;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row);
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  /// The headings, then a line for each row; `width` in characters, 0: without bounds.
  [[nodiscard]] std::vector<std::string> lines(std::size_t width) const;
  void print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// At most `width` characters (not bytes); `…` stands for the rest.
[[nodiscard]] std::string cut(std::string_view text, std::size_t width);

/// The same on as many lines as it takes; all but the first begin with `indent` spaces. A width
/// that is not above the indent bounds nothing.
[[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::size_t width,
                                            std::size_t indent);

/// Columns of the terminal on standard output; nothing where it is none.
[[nodiscard]] int terminal_width();

}  // namespace muster::cli
