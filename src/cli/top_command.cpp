#include "cli/top_command.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/operate_views.hpp"
#include "cli/renderer.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRefresh = 1s;
constexpr Duration kAnswerTime = 5s;
constexpr int kJobsMax = 1000;
constexpr long long kEventsMax = 50;
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";  // Another screen, without a cursor.
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";

enum class Key { none, up, down, page_up, page_down, enter, back, tab, hold, quit };

void put(std::string_view text) {
  static_cast<void>(::write(STDOUT_FILENO, text.data(), text.size()));
}

/// The terminal, whose keys come at once and unseen until this ends, however it ends.
class Screen {
 public:
  Screen() {
    has_keys_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    if (has_keys_) {
      termios raw = before_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      // A shell would get the terminal as it is now.
      raw.c_cc[VSUSP] = _POSIX_VDISABLE;
      raw.c_cc[VMIN] = 0;
      raw.c_cc[VTIME] = 0;
      tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, leave_at_once);
    struct sigaction resized{};
    resized.sa_handler = [](int) {};  // It ends a wait for keys, no more.
    sigaction(SIGWINCH, &resized, nullptr);
    put(kEnter);
  }
  ~Screen() { restore(); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  [[nodiscard]] static winsize size() {
    winsize found{};
    const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &found) == 0 && found.ws_col > 0;
    if (!is_known) found.ws_col = 80;
    if (!is_known || found.ws_row == 0) found.ws_row = 24;
    return found;
  }

  static void show(const std::vector<std::string>& lines) {
    std::string out = "\x1b[H";
    for (std::size_t i = 0; i < lines.size(); ++i)
      out += (i == 0 ? "" : "\r\n") + lines[i] + "\x1b[K";
    put(out + "\x1b[J");
  }

  /// The next key; none when the time is over or the terminal has another size.
  [[nodiscard]] Key key_within(Duration time) {
    if (typed_.empty()) {
      pollfd input{has_keys_ ? STDIN_FILENO : -1, POLLIN, 0};
      if (::poll(&input, 1, static_cast<int>(std::max<Duration>(time, 0s) / 1ms)) <= 0) {
        return Key::none;
      }
      std::array<char, 64> bytes{};
      const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      if (count <= 0) return Key::quit;  // Nobody is there any more.
      typed_.assign(bytes.data(), static_cast<std::size_t>(count));
    }
    return take_key();
  }

 private:
  Key take_key() {
    struct Sequence {
      std::string_view bytes;
      Key key;
    };
    static constexpr std::array kKeys{Sequence{"\x1b[A", Key::up},
                                      Sequence{"\x1bOA", Key::up},
                                      Sequence{"\x1b[B", Key::down},
                                      Sequence{"\x1bOB", Key::down},
                                      Sequence{"\x1b[5~", Key::page_up},
                                      Sequence{"\x1b[6~", Key::page_down},
                                      Sequence{"\x1b", Key::back},
                                      Sequence{"\x7f", Key::back},
                                      Sequence{"k", Key::up},
                                      Sequence{"j", Key::down},
                                      Sequence{"\r", Key::enter},
                                      Sequence{"\n", Key::enter},
                                      Sequence{"\t", Key::tab},
                                      Sequence{" ", Key::hold},
                                      Sequence{"q", Key::quit}};
    for (const Sequence& one : kKeys) {
      if (!typed_.starts_with(one.bytes)) continue;
      // Of other keys that begin so, nothing is meant.
      const bool is_other = one.bytes == "\x1b" && typed_.size() > 1;
      typed_.erase(0, is_other ? std::string::npos : one.bytes.size());
      return is_other ? Key::none : one.key;
    }
    typed_.erase(0, 1);
    return Key::none;
  }

  static void restore() {
    put(kLeave);
    if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  static void leave_at_once(int) {
    restore();
    ::_exit(kInterrupted);
  }

  // For the signal handler.
  inline static termios before_{};
  inline static bool has_keys_ = false;
  std::string typed_;
};

/// A long line on several, as wide as the terminal.
std::vector<std::string> wrapped(const std::string& line, std::size_t width) {
  constexpr std::size_t kIndent = 12;
  std::vector<std::string> lines;
  std::string rest = line;
  while (width > 2 * kIndent && rest.size() > width) {
    std::size_t end = rest.rfind(' ', width);
    if (end == std::string::npos || end <= kIndent) break;
    lines.push_back(rest.substr(0, end));
    rest = std::string(kIndent, ' ') + rest.substr(end + 1);
  }
  lines.push_back(cut(rest, width));
  return lines;
}

/// What the daemon says at one moment.
struct Snapshot {
  Node status;
  Node pools;
  Node list;  // Jobs or instances.
  std::vector<Node> events;
  std::optional<Node> explanation;
};

class Top {
 public:
  int run() {
    Result<Snapshot> first = ask();
    if (!first) return report(first.error());
    now_ = std::move(*first);
    Screen screen;
    while (true) {
      draw();
      const auto until = std::chrono::steady_clock::now() + kRefresh;
      bool must_ask = false;
      while (!must_ask) {
        const Duration rest = until - std::chrono::steady_clock::now();
        if (rest <= 0s) break;
        const Key key = screen.key_within(rest);
        if (key == Key::quit) return kDone;
        must_ask = obey(key);
        draw();
      }
      if (is_held_ && !must_ask) continue;
      Result<Snapshot> next = ask();
      // It may be on its way up again.
      trouble_ = next ? "" : next.error().message;
      if (next) now_ = std::move(*next);
    }
  }

 private:
  [[nodiscard]] const char* list_name() const { return has_instances_ ? "instances" : "jobs"; }

  Result<Snapshot> ask() {
    Snapshot out;
    const std::string list =
        has_instances_ ? "/instances" : fmt::format("/jobs?state=open&limit={}", kJobsMax);
    for (const auto& [path, to] : {std::pair<std::string, Node*>{"/status", &out.status},
                                   {"/pools", &out.pools},
                                   {list, &out.list}}) {
      Result<Node> answer = client_.get(path, kAnswerTime);
      if (!answer) return tl::unexpected<Error>(std::move(answer.error()));
      *to = std::move(*answer);
    }
    const Result<Node> present = client_.get("/events?limit=0", kAnswerTime);
    if (!present) return tl::unexpected<Error>(present.error());
    const long long last = parse_integer(present->text_at({"last"})).value_or(0);
    const Result<Node> events =
        client_.get(fmt::format("/events?after={}", std::max(0LL, last - kEventsMax)), kAnswerTime);
    if (!events) return tl::unexpected<Error>(events.error());
    out.events = items_of(*events, "events");
    if (!explained_.empty()) {
      const Result<Node> answer =
          client_.get("/jobs/" + path_segment(explained_) + "/explain", kAnswerTime);
      if (answer) out.explanation = *answer;
    }
    return out;
  }

  /// Whether the daemon is to be asked at once.
  bool obey(Key key) {
    const auto count = static_cast<long>(items_of(now_.list, list_name()).size());
    const auto move = [&](long by) {
      chosen_ = std::clamp(static_cast<long>(place()) + by, 0L, std::max(0L, count - 1));
      chosen_id_ = count == 0 ? "" : id_at(static_cast<std::size_t>(chosen_));
    };
    switch (key) {
      case Key::up: move(-1); return false;
      case Key::down: move(1); return false;
      case Key::page_up: move(-10); return false;
      case Key::page_down: move(10); return false;
      case Key::hold: is_held_ = !is_held_; return false;
      case Key::tab:
        has_instances_ = !has_instances_;
        chosen_ = 0;
        chosen_id_.clear();
        now_.list = Node();
        return true;
      case Key::enter: explained_ = job_at(place()); return true;
      case Key::back: explained_.clear(); return true;
      default: return false;
    }
  }

  [[nodiscard]] std::string id_at(std::size_t row) const {
    return items_of(now_.list, list_name())[row].text_at({"id"});
  }
  [[nodiscard]] std::string job_at(std::size_t row) const {
    const std::vector<Node>& items = items_of(now_.list, list_name());
    if (row >= items.size()) return "";
    return items[row].text_at({has_instances_ ? "job" : "id"});
  }
  /// Where what was chosen stands now; what has gone leaves its place to the next.
  [[nodiscard]] std::size_t place() const {
    const std::vector<Node>& items = items_of(now_.list, list_name());
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].text_at({"id"}) == chosen_id_) return i;
    }
    return std::min(static_cast<std::size_t>(chosen_), items.empty() ? 0 : items.size() - 1);
  }

  [[nodiscard]] std::string heading() const {
    std::string text =
        fmt::format("muster {} · {} · {} jobs open, {} waiting · {} instances · {} today",
                    now_.status.text_at({"cluster"}), now_.status.text_at({"region"}),
                    now_.status.text_at({"jobs_open"}), now_.status.text_at({"jobs_queued"}),
                    now_.status.text_at({"instances"}), usd_text(now_.status, "usd_today"));
    if (now_.status.text_at({"is_ready"}) != "true") text += " · starting";
    if (is_held_) text += " · held";
    return trouble_.empty() ? text : "! " + trouble_ + "; this is how it was:";
  }

  void draw() const {
    const winsize size = Screen::size();
    const std::size_t width = size.ws_col;
    const std::size_t height = size.ws_row;
    std::vector<std::string> lines{heading(), ""};
    if (now_.explanation && !explained_.empty()) {
      for (const std::string& line : explanation_lines(*now_.explanation)) {
        for (const std::string& part : wrapped(line, width)) lines.push_back(part);
      }
      add_footer(lines, "esc back   q quit", height);
      return finish(lines, width, height);
    }
    std::vector<std::string> pools = pools_table(now_.pools).lines(width);
    const std::size_t pools_max = std::max<std::size_t>(2, height / 3);
    if (pools.size() > pools_max) {
      const std::size_t left_out = pools.size() + 1 - pools_max;
      pools.resize(pools_max - 1);
      pools.push_back(fmt::format("… {} more (muster pools)", left_out));
    }
    lines.insert(lines.end(), pools.begin(), pools.end());
    lines.emplace_back();
    const std::size_t rest = height - std::min(height, lines.size() + 1);
    const std::size_t events = std::min(now_.events.size(), rest / 3);
    add_list(lines, width, rest - events - (events > 0 ? 1 : 0));
    if (events > 0) {
      lines.resize(height - 1 - events);
      for (std::size_t i = now_.events.size() - events; i < now_.events.size(); ++i) {
        lines.push_back(event_line(now_.events[i]));
      }
    }
    add_footer(lines,
               fmt::format("↑↓ choose   enter explain   tab {}   space {}   q quit",
                           has_instances_ ? "jobs" : "instances", is_held_ ? "go on" : "hold"),
               height);
    finish(lines, width, height);
  }

  void add_list(std::vector<std::string>& lines, std::size_t width, std::size_t room) const {
    constexpr std::size_t kMark = 2;
    const Table table = has_instances_ ? instances_table(now_.list) : jobs_table(now_.list);
    const std::vector<std::string> rows = table.lines(width - std::min(width, kMark));
    if (room == 0) return;
    lines.push_back("  " + rows.front());
    if (table.size() == 0) {
      lines.push_back(has_instances_ ? "  no instances" : "  no job is open");
      return;
    }
    const std::size_t chosen = place();
    const std::size_t shown = room - 1;
    const std::size_t first = chosen < shown ? 0 : chosen + 1 - shown;
    for (std::size_t i = first; i < std::min(table.size(), first + shown); ++i) {
      lines.push_back((i == chosen ? "› " : "  ") + rows[i + 1]);
    }
  }

  static void add_footer(std::vector<std::string>& lines, const std::string& text,
                         std::size_t height) {
    lines.resize(height - 1);
    lines.push_back(text);
  }

  static void finish(std::vector<std::string>& lines, std::size_t width, std::size_t height) {
    lines.resize(std::min(lines.size(), height));
    for (std::string& line : lines) line = cut(line, width);
    Screen::show(lines);
  }

  DaemonClient client_;
  Snapshot now_;
  std::string trouble_;
  std::string chosen_id_;
  std::string explained_;  // A job.
  long chosen_ = 0;
  bool has_instances_ = false;
  bool is_held_ = false;
};

int show_once(bool as_json) {
  DaemonClient client;
  const Result<Node> pools = client.get("/pools");
  const Result<Node> jobs = client.get("/jobs?state=open&limit=20");
  for (const auto* one : {&pools, &jobs}) {
    if (!*one) return report(one->error());
  }
  if (!as_json) {
    print_pools(*pools);
    fmt::print("\n");
    print_jobs(*jobs);
    return kDone;
  }
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.top/1"));
  for (const auto* one : {&*pools, &*jobs}) {
    for (const Member& member : one->members) {
      if (member.key != "schema") document.set(member.key, member.value);
    }
  }
  fmt::print("{}\n", wire::to_json(document, 2));
  return kDone;
}

}  // namespace

int show_top(bool as_json) {
  const char* terminal = std::getenv("TERM");
  const bool can_move =
      isatty(STDOUT_FILENO) != 0 && terminal != nullptr && std::string_view(terminal) != "dumb";
  return as_json || !can_move ? show_once(as_json) : Top().run();
}

}  // namespace muster::cli
