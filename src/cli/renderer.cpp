#include "cli/renderer.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "cli/table.hpp"

namespace muster::cli {
namespace {

constexpr std::size_t kLineBytesMax = 64 << 10;
constexpr std::size_t kTailBytesMax = 4 << 10;

struct Mark {
  std::string_view sign;
  std::string_view colour;
};

Mark mark_of(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::passed: return {"✓", "32"};
    case StepOutcome::failed:
    case StepOutcome::errored:
    case StepOutcome::killed:
    case StepOutcome::not_started: return {"✗", "31"};
    case StepOutcome::ignored: return {"✗", "33"};
    case StepOutcome::skipped: return {"-", "2"};
    case StepOutcome::detached: return {"┌", "36"};
  }
  return {" ", "0"};
}

/// What makes the text after it run in another direction (Unicode, UAX 9), at the beginning of
/// `text`; 0: no such mark.
int direction_mark(std::string_view text) {
  if (text.size() < 3 || text[0] != '\xe2') return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  const int mark = 0x2000 + ((second & 0x3f) << 6) + (static_cast<unsigned char>(text[2]) & 0x3f);
  const bool is_mark = (mark >= 0x202a && mark <= 0x202e) || (mark >= 0x2066 && mark <= 0x2069);
  return is_mark ? mark : 0;
}

}  // namespace

std::string neutralised(std::string_view text, bool keeps_colours) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (keeps_colours && c == 0x1b && i + 1 < text.size() && text[i + 1] == '[') {
      const std::size_t end = text.find_first_not_of("0123456789;", i + 2);
      if (end != std::string_view::npos && text[end] == 'm') {
        out += text.substr(i, end + 1 - i);
        i = end;
        continue;
      }
    }
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool is_c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;  // Some terminals obey them.
    if ((c < 0x20 && c != '\t') || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else if (const int mark = direction_mark(text.substr(i)); mark != 0) {
      out += fmt::format("\\u{:04x}", mark);
      i += 2;
    } else if (is_c1) {
      out += fmt::format("\\x{:02x}\\x{:02x}", c, next);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string on_one_line(std::string_view text) {
  std::string out;
  for (const char c : neutralised(text, false))
    out += c == '\t' ? std::string("\\x09") : std::string(1, c);
  return out;
}

void Renderer::say(const std::string& text) {
  // Whoever closed standard error does not want to read it.
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

std::string Renderer::colour(std::string_view code, std::string_view text) const {
  return options_.has_colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void Renderer::phase_done(std::string_view name, std::string_view text, Duration took) {
  if (options_.is_quiet) return;
  say(fmt::format("  {:<{}}  {:<58} {:>9}\n", name, options_.name_width, text,
                  format_duration(took)));
}

void Renderer::note(std::string_view text) {
  say(fmt::format("  {}\n", options_.is_terminal ? neutralised(text) : std::string(text)));
}

void Renderer::step_started(const std::string& step) { tails_[step]; }

void Renderer::line(const std::string& step, std::string_view text) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  write(fmt::format("  {:<{}} │ {}\n", step, options_.name_width,
                    options_.is_terminal ? neutralised(text) : std::string(text)));
  Tail& tail = tails_[step];
  const bool is_trace = text.starts_with("+ ");
  if (!is_trace && !text.empty()) tail.last = std::string(text.substr(0, 200));
  tail.lines += fmt::format("  {:<{}} │ {}\n", step, options_.name_width, neutralised(text));
  while (tail.lines.size() > kTailBytesMax) tail.lines.erase(0, tail.lines.find('\n') + 1);
}

void Renderer::step_output(const std::string& step, std::string_view bytes) {
  Tail& tail = tails_[step];
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    tail.partial += bytes.substr(0, end);
    bytes = end == std::string_view::npos ? std::string_view{} : bytes.substr(end + 1);
    if (end == std::string_view::npos && tail.partial.size() < kLineBytesMax) return;
    const std::string whole = std::move(tail.partial);
    tail.partial.clear();
    line(step, whole);
  }
}

void Renderer::step_finished(const std::string& step, const StepResult& result) {
  Tail& tail = tails_[step];
  if (!tail.partial.empty()) {
    const std::string rest = std::move(tail.partial);
    tail.partial.clear();
    line(step, rest);
  }
  tail.result = result;
  std::string text;
  switch (result.outcome) {
    case StepOutcome::passed:
      text = result.exit_code == 78 ? "exit 78, the rest is skipped" : tail.last;
      break;
    case StepOutcome::failed: text = fmt::format("exit {}", result.exit_code); break;
    case StepOutcome::ignored:
      text = fmt::format("exit {}, ignored (failure: ignore)", result.exit_code);
      break;
    case StepOutcome::skipped: text = "skipped"; break;
    case StepOutcome::killed: text = "killed"; break;
    case StepOutcome::errored: text = result.error; break;
    case StepOutcome::not_started: text = "could not be started: " + result.error; break;
    case StepOutcome::detached: text = "detached"; break;
  }
  const Mark mark = mark_of(result.outcome);
  const bool has_time =
      result.outcome != StepOutcome::skipped && result.outcome != StepOutcome::detached &&
      result.outcome != StepOutcome::killed && result.outcome != StepOutcome::not_started;
  const bool is_long =
      result.outcome == StepOutcome::errored || result.outcome == StepOutcome::not_started;
  const std::string shown = is_long ? text : cut(neutralised(text), 57);
  // The width counts characters; fmt counts them for UTF-8 too.
  fmt::print("{} {:<{}}  {:<58} {:>9}\n", colour(mark.colour, mark.sign), step, options_.name_width,
             shown, has_time ? format_duration(result.took) : "");
  std::fflush(stdout);
}

void Renderer::show_failures() {
  for (const auto& [step, tail] : tails_) {
    if (tail.result.outcome == StepOutcome::not_started) {
      write(fmt::format("\n{} {} could not be started: {}\n", colour("31", "✗"), step,
                        tail.result.error));
    }
    if (tail.result.outcome != StepOutcome::failed) continue;
    write(fmt::format("\n{} {} failed with exit code {}; its last lines:\n{}", colour("31", "✗"),
                      step, tail.result.exit_code, tail.lines));
  }
}

void Renderer::write(const std::string& text) {
  const bool is_written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (is_written || is_lost_) return;
  is_lost_ = true;
  if (on_lost) on_lost();
}

}  // namespace muster::cli
