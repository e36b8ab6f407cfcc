#include "cli/top_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/operate_views.hpp"
#include "cli/renderer.hpp"
#include "cli/terminal.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;
using Watch = std::chrono::steady_clock;

constexpr Duration kRefresh = 1s;
constexpr Duration kAnswerTime = 3s;  // Of all that is asked at once.
constexpr int kJobsMax = 1000;
constexpr std::size_t kEventsMax = 50;
constexpr std::size_t kPage = 10;
constexpr std::size_t kListLeast = 5;  // Rows; with fewer there is nothing but the list.

/// What the daemon says at one moment.
struct Snapshot {
  Node status;
  Node pools;
  Node list;  // Jobs or instances.
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
      const auto until = Watch::now() + kRefresh;
      bool must_ask = false;
      while (!must_ask && Watch::now() < until) {
        const Key key = screen.key_within(until - Watch::now());
        if (key == Key::quit) return kDone;
        must_ask = obey(key);
        draw();
      }
      if (is_held_ && !must_ask) continue;
      Result<Snapshot> next = ask();
      // The daemon may be on its way up again.
      trouble_ = next ? "" : next.error().describe();
      if (!next) continue;
      now_ = std::move(*next);
      choose(place());
    }
  }

 private:
  [[nodiscard]] const char* list_name() const { return has_instances_ ? "instances" : "jobs"; }
  [[nodiscard]] const std::vector<Node>& items() const { return items_of(now_.list, list_name()); }

  Result<Snapshot> ask() {
    const auto until = Watch::now() + kAnswerTime;
    const auto get = [&](const std::string& path) {
      return client_.get(path, std::max<Duration>(until - Watch::now(), 100ms));
    };
    Snapshot out;
    const std::string list =
        has_instances_ ? "/instances" : fmt::format("/jobs?state=open&limit={}", kJobsMax);
    for (const auto& [path, to] : {std::pair<std::string, Node*>{"/status", &out.status},
                                   {"/pools", &out.pools},
                                   {list, &out.list}}) {
      Result<Node> answer = get(path);
      if (!answer) return tl::unexpected<Error>(std::move(answer.error()));
      *to = std::move(*answer);
    }
    const Result<Node> news =
        get(last_event_ ? fmt::format("/events?after={}", *last_event_) : "/events?limit=0");
    if (!news) return tl::unexpected<Error>(news.error());
    take_events(*news);
    if (explained_.empty()) return out;
    Result<Node> answer = get("/jobs/" + path_segment(explained_) + "/explain");
    const bool is_gone = !answer && answer.error().kind == ErrorKind::not_found;
    if (!answer && !is_gone) return tl::unexpected<Error>(std::move(answer.error()));
    // It has been kept for as long as ended jobs are.
    out.explanation = is_gone ? now_.explanation : std::move(*answer);
    return out;
  }

  void take_events(const Node& news) {
    const std::string began_at = news.text_at({"began_at"});
    // Another process counts from one again.
    if (began_at != began_at_ || !last_event_) {
      const long long last = parse_integer(news.text_at({"last"})).value_or(0);
      last_event_ =
          began_at_.empty() ? std::max(0LL, last - static_cast<long long>(kEventsMax)) : 0;
      began_at_ = began_at;
      return;
    }
    for (const Node& one : items_of(news, "events")) {
      events_.push_back(event_line(one));
      last_event_ = parse_integer(one.text_at({"number"})).value_or(*last_event_);
    }
    while (events_.size() > kEventsMax) events_.pop_front();
  }

  /// Whether the daemon is to be asked at once.
  bool obey(Key key) {
    const bool is_explaining = !explained_.empty();
    const auto move = [&](std::size_t back, std::size_t on) {
      std::size_t& at = is_explaining ? scrolled_ : chosen_;
      at = at - std::min(at, back) + on;
      if (!is_explaining) choose(at);
    };
    switch (key) {
      case Key::up: move(1, 0); return false;
      case Key::down: move(0, 1); return false;
      case Key::page_up: move(kPage, 0); return false;
      case Key::page_down: move(0, kPage); return false;
      case Key::hold: is_held_ = !is_held_; return false;
      case Key::back: explained_.clear(); return false;
      case Key::tab:
        if (is_explaining) return false;
        has_instances_ = !has_instances_;
        chosen_ = 0;
        chosen_id_.clear();
        now_.list = Node();
        return true;
      case Key::enter:
        if (is_explaining || chosen_ >= items().size()) return false;
        // Of an instance, its job is; one without has none.
        explained_ = items()[chosen_].text_at({has_instances_ ? "job" : "id"});
        scrolled_ = 0;
        now_.explanation.reset();
        return !explained_.empty();
      default: return false;
    }
  }

  void choose(std::size_t row) {
    chosen_ = items().empty() ? 0 : std::min(row, items().size() - 1);
    chosen_id_ = items().empty() ? "" : items()[chosen_].text_at({"id"});
  }
  /// Where what was chosen stands now; what has gone leaves its place to the next.
  [[nodiscard]] std::size_t place() const {
    for (std::size_t i = 0; i < items().size(); ++i) {
      if (items()[i].text_at({"id"}) == chosen_id_) return i;
    }
    return chosen_;
  }

  [[nodiscard]] std::string heading() const {
    const Node& status = now_.status;
    std::string text = "muster " + status.text_at({"cluster"});
    if (is_held_) text += " · held";
    if (status.text_at({"is_ready"}) != "true") text += " · starting";
    return text + fmt::format(" · {} · open jobs {}, waiting {} · instances {} · {} today",
                              status.text_at({"region"}), status.text_at({"jobs_open"}),
                              status.text_at({"jobs_queued"}), status.text_at({"instances"}),
                              usd_text(status, "usd_today"));
  }
  [[nodiscard]] std::string warning() const {
    if (!trouble_.empty()) return "! as it was before: " + trouble_;
    const std::string error = now_.status.text_at({"store_error"});
    return error.empty() ? "" : "! the store cannot be written: " + error;
  }

  void draw() {
    const Screen::Size size = Screen::size();
    std::vector<std::string> lines{heading()};
    const std::string warned = warning();
    if (!warned.empty() || size.rows > 2 + kListLeast) lines.push_back(warned);
    const std::size_t used = lines.size() + 1;  // With the line of keys.
    const std::size_t rest = size.rows - std::min(size.rows, used);
    if (explained_.empty()) {
      add_overview(lines, size.columns, rest);
    } else {
      add_explanation(lines, size.columns, rest);
    }
    lines.resize(size.rows > 0 ? size.rows - 1 : 0);
    lines.push_back(keys());
    for (std::string& line : lines) line = cut(on_one_line(line), size.columns);
    Screen::show(lines);
  }

  [[nodiscard]] std::string keys() const {
    if (!explained_.empty()) return "esc back   ↑↓ scroll   q quit";
    std::string text = "q quit   ";
    const std::string left_out = now_.list.text_at({"left_out"});
    if (!items().empty()) text += fmt::format("{} of {}", chosen_ + 1, items().size());
    if (!left_out.empty() && left_out != "0") text += fmt::format(", and {} older", left_out);
    if (!items().empty()) text += "   ↑↓ choose   enter explain   ";
    text += fmt::format("tab {}   space {}", has_instances_ ? "jobs" : "instances",
                        is_held_ ? "go on" : "hold");
    return text;
  }

  void add_explanation(std::vector<std::string>& lines, std::size_t width, std::size_t rest) {
    constexpr std::size_t kIndent = 12;
    if (!now_.explanation) return lines.push_back("…");
    std::vector<std::string> told;
    for (const std::string& line : explanation_lines(*now_.explanation)) {
      for (std::string& part : wrap(line, width, kIndent)) told.push_back(std::move(part));
    }
    scrolled_ = std::min(scrolled_, told.size() - std::min(told.size(), rest));
    for (std::size_t i = scrolled_; i < told.size() && i < scrolled_ + rest; ++i) {
      const bool goes_on = i + 1 == scrolled_ + rest && i + 1 < told.size();
      lines.push_back(goes_on ? "…" : told[i]);
    }
  }

  /// Pools, the list, and what has happened: each as far as there is room, the list above all.
  void add_overview(std::vector<std::string>& lines, std::size_t width, std::size_t rest) const {
    std::size_t room = rest;
    if (room > 2 * kListLeast) {
      std::vector<std::string> pools = pools_table(now_.pools).lines(width);
      const std::size_t most = std::max<std::size_t>(3, rest / 3);
      if (pools.size() > most) {
        const std::size_t left_out = pools.size() + 1 - most;
        pools.resize(most - 1);
        pools.push_back(fmt::format("… {} more (muster pools)", left_out));
      }
      pools.emplace_back();
      room -= pools.size();
      lines.insert(lines.end(), pools.begin(), pools.end());
    }
    std::size_t events = 0;
    if (room > kListLeast + 2) events = std::min(events_.size(), (room - kListLeast) / 2);
    const std::size_t begin = lines.size();
    const std::size_t list = room - (events > 0 ? events + 1 : 0);
    add_list(lines, width, list);
    if (events == 0) return;
    lines.resize(begin + list + 1);
    lines.insert(lines.end(), events_.end() - static_cast<std::ptrdiff_t>(events), events_.end());
  }

  void add_list(std::vector<std::string>& lines, std::size_t width, std::size_t room) const {
    constexpr std::size_t kMark = 2;
    if (now_.list.find(list_name()) == nullptr) return lines.push_back("  …");
    const Table table = has_instances_ ? instances_table(now_.list) : jobs_table(now_.list);
    const std::vector<std::string> rows = table.lines(width - std::min(width, kMark));
    const bool has_heading = room > 2;
    if (has_heading) lines.push_back("  " + rows.front());
    if (items().empty()) {
      return lines.push_back(has_instances_ ? "  there is no instance" : "  no job is open");
    }
    const std::size_t shown = room - (has_heading ? 1 : 0);
    const std::size_t first = chosen_ < shown ? 0 : chosen_ + 1 - shown;
    for (std::size_t i = first; i < std::min(table.size(), first + shown); ++i) {
      lines.push_back((i == chosen_ ? "› " : "  ") + rows[i + 1]);
    }
  }

  DaemonClient client_;
  Snapshot now_;
  std::deque<std::string> events_;
  std::optional<long long> last_event_;  // That was asked for.
  std::string began_at_;                 // The process that numbers them.
  std::string trouble_;
  std::string explained_;  // A job.
  std::size_t scrolled_ = 0;
  std::string chosen_id_;
  std::size_t chosen_ = 0;
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
  if (as_json || !can_move) return show_once(as_json);
  try {
    return Top().run();
  } catch (...) {
    throw;  // Caught, so that the terminal is put right on the way.
  }
}

}  // namespace muster::cli
