#include "cli/table.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/renderer.hpp"

namespace muster::cli {
namespace {

constexpr std::string_view kGap = "  ";

/// Characters, not bytes.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string cut(const std::string& text, std::size_t width) {
  if (width_of(text) <= width) return text;
  std::string out;
  std::size_t count = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (begins && ++count >= width) break;
    out += c;
  }
  return out + "…";
}

}  // namespace

int terminal_width() {
  if (isatty(STDOUT_FILENO) == 0) return 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 80;
  return size.ws_col == 0 ? 80 : size.ws_col;
}

void Table::add(std::vector<std::string> row) {
  row.resize(columns_.size());
  for (std::string& cell : row) cell = neutralised(cell, false);
  rows_.push_back(std::move(row));
}

void Table::print() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t most = width_of(columns_[i].name);
    for (const auto& row : rows_) most = std::max(most, width_of(row[i]));
    widths.push_back(most);
  }
  const auto total = static_cast<std::size_t>(terminal_width());
  std::size_t before = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) before += widths[i] + kGap.size();
  if (total > 0 && before + widths.back() > total) {
    constexpr std::size_t kLeast = 12;
    widths.back() = std::max(kLeast, total > before ? total - before : 0);
  }
  const auto print_row = [&](const auto& text_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const bool is_last = i + 1 == columns_.size();
      const std::string cell = is_last ? cut(text_of(i), widths[i]) : text_of(i);
      const std::string pad(widths[i] - std::min(widths[i], width_of(cell)), ' ');
      line += columns_[i].is_right ? pad + cell : is_last ? cell : cell + pad;
      if (!is_last) line += kGap;
    }
    line.resize(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  };
  print_row([&](std::size_t i) { return columns_[i].name; });
  for (const auto& row : rows_) print_row([&](std::size_t i) { return row[i]; });
}

}  // namespace muster::cli
