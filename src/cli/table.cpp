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
constexpr std::size_t kLastLeast = 12;
constexpr std::size_t kLastWanted = 30;  // Extra columns leave it so much.

/// Characters, not bytes.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string cut(std::string_view text, std::size_t width) {
  if (width_of(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::string out;
  std::size_t count = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (begins && ++count >= width) break;
    out += c;
  }
  return out + "…";
}

std::vector<std::string> wrap(std::string_view text, std::size_t width, std::size_t indent) {
  std::vector<std::string> lines;
  std::string line;
  while (true) {
    const bool fits = width <= indent || width_of(line) + width_of(text) <= width;
    if (fits) {
      lines.push_back(line + std::string(text));
      return lines;
    }
    // As many characters as there is room for, up to the last space among them.
    std::size_t room = width - width_of(line);
    std::size_t end = 0;
    while (room > 0 || (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
      if ((static_cast<unsigned char>(text[end]) & 0xc0) != 0x80) --room;
      ++end;
    }
    const std::size_t space = text.substr(0, end + 1).rfind(' ');
    const std::size_t word = text.find_first_not_of(' ');
    const bool has_break = space != std::string_view::npos && space > word;
    if (has_break) end = space;
    lines.push_back(line + std::string(text.substr(0, end)));
    text.remove_prefix(std::min(text.size(), has_break ? end + 1 : end));
    line.assign(indent, ' ');
  }
}

int terminal_width() {
  if (isatty(STDOUT_FILENO) == 0) return 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 80;
  return size.ws_col == 0 ? 80 : size.ws_col;
}

void Table::add(std::vector<std::string> row) {
  row.resize(columns_.size());
  for (std::string& cell : row) cell = on_one_line(cell);
  rows_.push_back(std::move(row));
}

std::vector<std::string> Table::lines(std::size_t width) const {
  std::vector<std::size_t> widths;
  std::vector<std::size_t> shown;
  std::size_t before = 0;  // What stands before the last column.
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t most = width_of(columns_[i].name);
    for (const auto& row : rows_) most = std::max(most, width_of(row[i]));
    widths.push_back(most);
    shown.push_back(i);
    if (i + 1 < columns_.size()) before += most + kGap.size();
  }
  if (width > 0) {
    const std::size_t wanted = std::min(widths.back(), kLastWanted);
    for (std::size_t i = columns_.size() - 1; i-- > 0 && before + wanted > width;) {
      if ((columns_[i].how & kExtra) == 0) continue;
      std::erase(shown, i);
      before -= widths[i] + kGap.size();
    }
    const std::size_t rest = width > before ? width - before : 0;
    widths.back() = std::min(widths.back(), std::max(kLastLeast, rest));
  }
  std::vector<std::string> lines;
  const auto add_line = [&](const auto& text_of) {
    std::string line;
    for (const std::size_t i : shown) {
      const bool is_last = i + 1 == columns_.size();
      const std::string cell = is_last ? cut(text_of(i), widths[i]) : text_of(i);
      const std::string pad(widths[i] - std::min(widths[i], width_of(cell)), ' ');
      const bool is_right = (columns_[i].how & kRight) != 0;
      line += is_right ? pad + cell : is_last ? cell : cell + pad;
      if (!is_last) line += kGap;
    }
    line.resize(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  };
  add_line([&](std::size_t i) { return columns_[i].name; });
  for (const auto& row : rows_) add_line([&](std::size_t i) { return row[i]; });
  return lines;
}

void Table::print() const {
  for (const std::string& line : lines(static_cast<std::size_t>(terminal_width()))) {
    fmt::print("{}\n", line);
  }
}

}  // namespace muster::cli
