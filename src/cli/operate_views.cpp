#include "cli/operate_views.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "base/time.hpp"
#include "cli/renderer.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;

std::string millis_text(const Node& of, std::string_view key) {
  return format_duration(std::chrono::milliseconds{parse_integer(of.text_at({key})).value_or(0)});
}

TimePoint now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

std::string day_of(const std::string& iso) { return iso.substr(0, 10); }
std::string today() { return day_of(format_iso8601(now())); }

/// `12:04:31` of a time in ISO 8601, after its day where that is not `day`.
std::string clock_time(const std::string& iso, const std::string& day) {
  if (iso.size() <= 19) return iso;
  const std::string clock = iso.substr(11, 8);
  return day_of(iso) == day ? clock : day_of(iso) + " " + clock;
}

/// `12:04:31 (in 9 s)`
std::string moment_text(const std::string& iso) {
  const auto at = parse_iso8601(iso);
  if (!at) return "";
  const std::string text = clock_time(iso, today());
  const Duration rest = *at - now();
  return rest > 0s ? fmt::format("{} (in {})", text, format_duration(rest)) : text;
}

/// What a job's state is called: an ended one's is its outcome.
std::string standing_of(const Node& job) {
  const std::string outcome = job.text_at({"outcome"});
  return outcome.empty() ? job.text_at({"state"}) : outcome;
}

std::string waits_text(const Node& pool) {
  if (pool.text_at({"wait_p50_ms"}).empty()) return "–";
  return millis_text(pool, "wait_p50_ms") + " / " + millis_text(pool, "wait_p95_ms");
}

}  // namespace

const std::vector<Node>& items_of(const Node& document, std::string_view key) {
  static const std::vector<Node> kNone;
  const Node* found = document.find(key);
  return found == nullptr ? kNone : found->items;
}

std::string ending_text(const std::string& outcome) {
  const bool is_its_own = outcome == "passed" || outcome == "failed" || outcome == "timed out";
  return is_its_own ? outcome : "was " + outcome;
}

std::string joined(const Node* texts) {
  std::string out;
  if (texts == nullptr) return out;
  for (const Node& one : texts->items) out += (out.empty() ? "" : ",") + one.text;
  return out;
}

std::string usd_text(const Node& of, std::string_view key) {
  return fmt::format("${:.2f}", std::strtod(of.text_at({key}).c_str(), nullptr));
}

Table jobs_table(const Node& document) {
  Table table({{"JOB"},
               {"STATE"},
               {"AGE", Table::kRight},
               {"TOOK", Table::kRight},
               {"LABELS", Table::kExtra},
               {"REPOSITORY", Table::kExtra},
               {"INSTANCE", Table::kExtra},
               {"REASON"}});
  for (const Node& job : items_of(document, "jobs")) {
    const bool has_started = !job.text_at({"took_ms"}).empty();
    table.add({job.text_at({"id"}), standing_of(job), millis_text(job, "age_ms"),
               has_started ? millis_text(job, "took_ms") : "", joined(job.find("labels")),
               job.text_at({"repository"}), job.text_at({"instance"}), job.text_at({"reason"})});
  }
  return table;
}

Table pools_table(const Node& document) {
  Table table({{"POOL"},
               {"STATE"},
               {"IDLE", Table::kRight},
               {"BOOT", Table::kRight},
               {"BUSY", Table::kRight},
               {"END", Table::kRight | Table::kExtra},
               {"STOPPED", Table::kRight | Table::kExtra},
               {"LIMIT", Table::kRight},
               {"QUEUED", Table::kRight},
               {"WAIT p50 / p95", Table::kRight},
               {"LABELS", Table::kExtra},
               {"NOTE"}});
  for (const Node& pool : items_of(document, "pools")) {
    table.add({pool.text_at({"name"}), pool.text_at({"state"}), pool.text_at({"idle"}),
               pool.text_at({"coming"}), pool.text_at({"busy"}), pool.text_at({"ending"}),
               pool.text_at({"stopped"}), pool.text_at({"limit"}), pool.text_at({"queued"}),
               waits_text(pool), joined(pool.find("labels")), pool.text_at({"note"})});
  }
  return table;
}

Table instances_table(const Node& document) {
  Table table({{"INSTANCE"},
               {"POOL"},
               {"PHASE"},
               {"AGE", Table::kRight},
               {"TYPE"},
               {"MARKET", Table::kExtra},
               {"ZONE", Table::kExtra},
               {"ADDRESS", Table::kExtra},
               {"JOB"},
               {"NOTE"}});
  for (const Node& one : items_of(document, "instances")) {
    std::string note = one.text_at({"reason"});
    const std::string phase = one.text_at({"phase"});
    const bool is_coming = phase == "pending" || phase == "booting";
    if (note.empty() && is_coming) note = one.text_at({"trouble"});
    if (note.empty() && one.text_at({"is_protected"}) == "true") note = "protected";
    table.add({one.text_at({"id"}), one.text_at({"pool"}), phase, millis_text(one, "age_ms"),
               one.text_at({"type"}), one.text_at({"capacity"}), one.text_at({"zone"}),
               one.text_at({"address"}), one.text_at({"job"}), note});
  }
  return table;
}

void print_jobs(const Node& document) {
  jobs_table(document).print();
  const std::string left_out = document.text_at({"left_out"});
  if (!left_out.empty() && left_out != "0")
    fmt::print(stderr, "{} older ones are left out (--limit).\n", left_out);
}

void print_pools(const Node& document) { pools_table(document).print(); }

void print_instances(const Node& document) { instances_table(document).print(); }

void print_job(const Node& document) {
  const Node* found = document.find("job");
  if (found == nullptr) return;
  const Node& job = *found;
  const std::string reason = job.text_at({"reason"});
  fmt::print("{} {}{}\n", neutralised(job.text_at({"id"}), false), standing_of(job),
             reason.empty() ? "" : ": " + neutralised(reason, false));
  const auto line = [](const char* name, const std::string& text) {
    if (!text.empty()) fmt::print("  {:<11} {}\n", name, neutralised(text, false));
  };
  line("labels", joined(job.find("labels")));
  line("repository", job.text_at({"repository"}));
  line("tenant", job.text_at({"tenant"}));
  line("priority", job.text_at({"priority"}));
  line("instance", job.text_at({"instance"}));
  line("queued at", job.text_at({"queued_at"}));
  line("started at", job.text_at({"started_at"}));
  line("ended at", job.text_at({"ended_at"}));
  line("waited", millis_text(job, "waited_ms"));
  if (!job.text_at({"took_ms"}).empty()) line("took", millis_text(job, "took_ms"));
  line("exit code", job.text_at({"exit_code"}));
}

std::string event_line(const Node& event) {
  const std::string detail = event.text_at({"detail"});
  const std::string at = event.text_at({"at"});
  const std::string clock =
      at.size() < 24 ? at : (day_of(at) == today() ? "" : day_of(at) + " ") + at.substr(11, 13);
  const std::string text =
      fmt::format("{}  {:<8} {}  {}{}", clock, event.text_at({"kind"}), event.text_at({"subject"}),
                  event.text_at({"what"}), detail.empty() ? "" : "  " + detail);
  return on_one_line(text);
}

std::vector<std::string> explanation_lines(const Node& document) {
  const Node* found = document.find("explanation");
  if (found == nullptr) return {};
  const Node& one = *found;
  std::vector<std::string> lines{neutralised(one.text_at({"headline"}), false)};
  const auto line = [&lines](const char* name, const std::string& text) {
    if (!text.empty()) lines.push_back(fmt::format("  {:<9} {}", name, neutralised(text, false)));
  };
  std::string next = one.text_at({"next"});
  const std::string at = moment_text(one.text_at({"next_at"}));
  if (!at.empty()) next += next.empty() ? "looks again at " + at : " at " + at;
  line("next", next);
  line("change", one.text_at({"change"}));
  line("queue", one.text_at({"queue"}));
  std::string times;
  std::string day = today();
  for (const Node& entry : items_of(one, "timeline")) {
    const std::string since = entry.text_at({"at"});
    times += fmt::format("{}{} {}", times.empty() ? "" : " · ", clock_time(since, day),
                         entry.text_at({"what"}));
    day = day_of(since);
  }
  line("time line", times);
  line("job", document.text_at({"job", "id"}));
  return lines;
}

void print_explanation(const Node& document) {
  for (const std::string& line : explanation_lines(document)) fmt::print("{}\n", line);
}

}  // namespace muster::cli
