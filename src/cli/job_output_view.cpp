#include "cli/job_output_view.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/operate_views.hpp"
#include "cli/renderer.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::size_t kLineBytesMax = 64 << 10;
constexpr int kMissedMax = 60;  // Seconds.

/// How much of one step has been shown.
struct Shown {
  std::size_t offset = 0;
  std::string partial;
};

class View {
 public:
  explicit View(const LogsQuestion& question)
      : job_(question.job),
        step_(question.step),
        search_(question.search),
        as_json_(question.as_json) {
    is_terminal_ = isatty(STDOUT_FILENO) != 0;
    // Whatever a job prints: a terminal would obey it.
    is_raw_ = !step_.empty() && search_.empty() && !as_json_ && !is_terminal_;
  }

  /// Everything that there is more of. Errors: those of the daemon.
  Result<bool> show_more(DaemonClient& client, bool is_last) {
    const std::string path = "/jobs/" + path_segment(job_) + "/steps";
    const Result<Node> listed = client.get(path);
    if (!listed) return tl::unexpected<Error>(listed.error());
    has_begun_ = true;
    const Node* steps = listed->find("steps");
    bool is_there = step_.empty();
    std::size_t width = 0;
    if (steps != nullptr) {
      for (const Node& one : steps->items) width = std::max(width, one.text_at({"step"}).size());
      for (const Node& one : steps->items) {
        const std::string name = one.text_at({"step"});
        if (!step_.empty() && name != step_) continue;
        is_there = true;
        const auto bytes =
            static_cast<std::size_t>(parse_integer(one.text_at({"bytes"})).value_or(0));
        while (shown_[name].offset < bytes) {
          const Result<Node> piece =
              client.get(fmt::format("{}/{}/log?offset={}&limit={}", path, path_segment(name),
                                     shown_[name].offset, kPieceBytes));
          if (!piece) return tl::unexpected<Error>(piece.error());
          const auto text = wire::base64_decode(piece->text_at({"base64"}));
          if (!text || text->empty()) break;
          shown_[name].offset += text->size();
          write(name, *text, width);
        }
        // A step that has ended prints no more of its last line.
        const bool has_step_ended = one.text_at({"outcome"}) != "running";
        Shown& shown = shown_[name];
        if (has_step_ended && !is_raw_ && shown.offset >= bytes && !shown.partial.empty()) {
          line(name, shown.partial, width);
          shown.partial.clear();
        }
      }
    }
    const std::string state = listed->text_at({"job", "state"});
    const bool has_ended = state == "finished" || state == "dropped";
    if (has_ended || is_last) finish(width);
    if ((has_ended || is_last) && !is_there) {
      return fail(ErrorKind::not_found, fmt::format("the job has begun no step \"{}\"", step_),
                  "muster logs JOB shows its steps.", "E0605");
    }
    const std::string outcome = listed->text_at({"job", "outcome"});
    if (shown_.empty() && step_.empty() && !has_hinted_) {
      fmt::print(stderr, "The job {}, and has printed nothing. See: muster explain {}\n",
                 has_ended ? ending_text(outcome) : "is " + state, job_);
      has_hinted_ = true;
    } else if (has_ended && outcome != "passed" && !as_json_) {
      const std::string reason = listed->text_at({"job", "reason"});
      fmt::print(stderr, "The job {}{}\n", ending_text(outcome),
                 reason.empty() ? "." : ": " + neutralised(reason, false));
    }
    return has_ended;
  }

  /// Whether the daemon has known the job.
  [[nodiscard]] bool has_begun() const { return has_begun_; }

 private:
  void line(const std::string& step, std::string_view text, std::size_t width) const {
    if (!search_.empty() && text.find(search_) == std::string_view::npos) return;
    if (as_json_) {
      Node one = Node::mapping();
      one.set("schema", Node::string("muster.log_line/1")).set("step", Node::string(step));
      one.set("line", Node::string(std::string(text)));
      fmt::print("{}\n", wire::to_json(one));
      return;
    }
    fmt::print("{:<{}} │ {}\n", neutralised(step, false), width,
               is_terminal_ ? neutralised(text) : std::string(text));
  }

  void write(const std::string& step, std::string_view bytes, std::size_t width) {
    if (is_raw_) {
      std::fwrite(bytes.data(), 1, bytes.size(), stdout);
      return;
    }
    std::string& partial = shown_[step].partial;
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      partial += bytes.substr(0, end);
      bytes = end == std::string_view::npos ? std::string_view{} : bytes.substr(end + 1);
      if (end == std::string_view::npos && partial.size() < kLineBytesMax) break;
      line(step, partial, width);
      partial.clear();
    }
  }

  void finish(std::size_t width) {
    for (auto& [step, shown] : shown_) {
      if (!shown.partial.empty()) line(step, shown.partial, width);
      shown.partial.clear();
    }
  }

  std::string job_;
  std::string step_;
  std::string search_;
  bool as_json_ = false;
  bool is_raw_ = false;
  bool is_terminal_ = false;
  bool has_begun_ = false;
  bool has_hinted_ = false;
  std::map<std::string, Shown> shown_;
};

}  // namespace

int show_logs(const LogsQuestion& question) {
  DaemonClient client;
  View view(question);
  const bool follows = question.follows;
  int missed = 0;
  while (true) {
    const Result<bool> has_ended = view.show_more(client, !follows);
    // A daemon that is started again goes on with the job, and so does this.
    const bool is_away = !has_ended && has_ended.error().kind == ErrorKind::unavailable;
    if (follows && is_away && missed < kMissedMax && view.has_begun()) {
      if (++missed == 1) fmt::print(stderr, "muster: the daemon does not answer; waiting for it\n");
      client.sleep(1s);
      continue;
    }
    if (!has_ended) return report(has_ended.error());
    if (missed > 0) fmt::print(stderr, "muster: the daemon answers again\n");
    missed = 0;
    std::fflush(stdout);
    if (*has_ended || !follows) return kDone;
    client.sleep(200ms);
  }
}

}  // namespace muster::cli
