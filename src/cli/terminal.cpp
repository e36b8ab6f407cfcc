#include "cli/terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>

#include "cli/errors.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;

// Another screen without a cursor, where a line too long for it does not go on below.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr std::string_view kLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr Duration kSequenceTime = 50ms;  // So long the rest of a key may take.

void put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0 && errno != EINTR) return;
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
}

Key key_of(std::string_view sequence) {
  static const std::map<std::string_view, Key> kKeys{{"\x1b[A", Key::up},
                                                     {"\x1bOA", Key::up},
                                                     {"k", Key::up},
                                                     {"\x1b[B", Key::down},
                                                     {"\x1bOB", Key::down},
                                                     {"j", Key::down},
                                                     {"\x1b[5~", Key::page_up},
                                                     {"\x1b[6~", Key::page_down},
                                                     {"\r", Key::enter},
                                                     {"\n", Key::enter},
                                                     {"\x1b", Key::back},
                                                     {"\x7f", Key::back},
                                                     {"\t", Key::tab},
                                                     {" ", Key::hold},
                                                     {"q", Key::quit}};
  const auto found = kKeys.find(sequence);
  return found == kKeys.end() ? Key::none : found->second;
}

/// How much of it is one key; 0: not the whole of one yet (ECMA-48, 5.4).
std::size_t key_length(std::string_view typed) {
  if (typed.front() != '\x1b') return 1;
  if (typed.size() == 1) return 0;
  if (typed[1] == 'O') return typed.size() < 3 ? 0 : 3;
  if (typed[1] != '[') return 1;
  const auto end =
      std::find_if(typed.begin() + 2, typed.end(), [](char c) { return c < 0x20 || c > 0x3f; });
  return end == typed.end() ? 0 : static_cast<std::size_t>(end - typed.begin()) + 1;
}

}  // namespace

std::optional<Key> KeyDecoder::take(bool is_all) {
  if (typed_.empty()) return std::nullopt;
  std::size_t length = key_length(typed_);
  if (length == 0 && !is_all) return std::nullopt;
  if (length == 0) length = typed_.size();
  const Key key = key_of(std::string_view(typed_).substr(0, length));
  typed_.erase(0, length);
  return key;
}

Screen::Screen() {
  has_keys_ = tcgetattr(STDIN_FILENO, &before_) == 0;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) std::signal(signal, leave_at_once);
  struct sigaction resized{};
  resized.sa_handler = [](int) {};  // It ends a wait for keys, no more.
  sigaction(SIGWINCH, &resized, nullptr);
  if (has_keys_) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // A shell would get the terminal as it is now.
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  put(kEnter);
}

Screen::~Screen() { restore(); }

void Screen::restore() {
  put(kLeave);
  if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void Screen::leave_at_once(int) {
  restore();
  ::_exit(kInterrupted);
}

Screen::Size Screen::size() {
  winsize found{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &found) != 0 || found.ws_col == 0 || found.ws_row == 0) {
    return {};
  }
  return {found.ws_col, found.ws_row};
}

void Screen::show(const std::vector<std::string>& lines) {
  std::string out = "\x1b[H";
  // Erased before it is written: after the last column there is nothing to erase.
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += (i == 0 ? "\x1b[K" : "\r\n\x1b[K") + lines[i];
  }
  if (lines.size() < size().rows) out += "\r\n\x1b[J";
  put(out);
}

Key Screen::key_within(Duration time) {
  while (true) {
    if (const auto key = decoder_.take()) return *key;
    const bool is_begun = !decoder_.empty();
    const Duration patience =
        is_begun ? std::min(time, kSequenceTime) : std::max<Duration>(time, 0s);
    pollfd input{has_keys_ ? STDIN_FILENO : -1, POLLIN, 0};
    if (::poll(&input, 1, static_cast<int>(patience / 1ms)) <= 0) {
      return decoder_.take(true).value_or(Key::none);
    }
    std::array<char, 256> bytes{};
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count <= 0) return Key::quit;
    decoder_.feed({bytes.data(), static_cast<std::size_t>(count)});
  }
}

}  // namespace muster::cli
