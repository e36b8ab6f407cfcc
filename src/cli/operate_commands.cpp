#include "cli/operate_commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "cli/command_set.hpp"
#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/job_output_view.hpp"
#include "cli/operate_views.hpp"
#include "cli/renderer.hpp"
#include "cli/top_command.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;

struct Flags {
  bool as_json = false;
  bool follows = false;
  bool is_yes = false;
  std::string id;
  std::string state;
  std::string label;
  std::string repository;
  std::string pool;
  std::string phase;
  std::string step;
  std::string reason;
  std::string search;
  int limit = 50;
};

std::string query_of(const std::vector<std::pair<std::string, std::string>>& parameters) {
  wire::Parameters given;
  for (const auto& one : parameters) {
    if (!one.second.empty()) given.push_back(one);
  }
  return given.empty() ? "" : "?" + wire::form_encode(given);
}

int run_explain(const Flags& flags) {
  DaemonClient client;
  return show(client.get("/jobs/" + path_segment(flags.id) + "/explain"), flags.as_json,
              print_explanation);
}

int run_jobs(const Flags& flags) {
  DaemonClient client;
  return show(client.get("/jobs" + query_of({{"state", flags.state},
                                             {"label", flags.label},
                                             {"repository", flags.repository},
                                             {"limit", std::to_string(flags.limit)}})),
              flags.as_json, print_jobs);
}

int run_order(const Flags& flags, const std::string& path,
              const std::function<void(const Node&)>& print) {
  DaemonClient client;
  return show(client.post(path, flags.reason), flags.as_json, print);
}

int run_instance_order(const Flags& flags, const std::string& order) {
  const std::string force = flags.is_yes ? "?force=true" : "";
  return run_order(flags, "/instances/" + path_segment(flags.id) + "/" + order + force,
                   print_instances);
}

void print_event(const Node& one, bool as_json) {
  if (!as_json) return fmt::print("{}\n", event_line(one));
  Node line = Node::mapping();
  line.set("schema", Node::string("muster.event/1"));
  for (const Member& member : one.members) line.set(member.key, member.value);
  fmt::print("{}\n", wire::to_json(line));
}

int run_events(const Flags& flags) {
  DaemonClient client;
  const Result<Node> present = client.get("/events?limit=0");
  if (!present) return report(present.error());
  long long after =
      std::max(0LL, parse_integer(present->text_at({"last"})).value_or(0) - flags.limit);
  std::string began_at = present->text_at({"began_at"});
  bool was_away = false;
  while (true) {
    const Result<Node> answer =
        client.get(fmt::format("/events?after={}&wait={}", after, flags.follows ? 20 : 0), 40s);
    const bool is_away = !answer && answer.error().kind == ErrorKind::unavailable;
    if (flags.follows && is_away) {
      if (!was_away) fmt::print(stderr, "muster: the daemon does not answer; waiting for it\n");
      was_away = true;
      client.sleep(1s);
      continue;
    }
    if (!answer) return report(answer.error());
    was_away = false;
    // Another process counts from one again.
    if (answer->text_at({"began_at"}) != began_at) {
      fmt::print(stderr, "muster: the daemon was started again; what follows are its events\n");
      began_at = answer->text_at({"began_at"});
      after = 0;
      continue;
    }
    const std::vector<Node>& events = items_of(*answer, "events");
    for (const Node& one : events) print_event(one, flags.as_json);
    std::fflush(stdout);
    if (!events.empty()) after = parse_integer(events.back().text_at({"number"})).value_or(after);
    if (!flags.follows && events.empty()) return kDone;
  }
}

int run_reload(const Flags& flags) {
  DaemonClient client;
  return show(client.post("/config/reload"), flags.as_json, [](const Node& document) {
    fmt::print("reloaded; cluster {}, region {}\n", document.text_at({"cluster"}),
               document.text_at({"region"}));
    bool is_same = true;
    for (const char* what : {"added", "changed", "removed"}) {
      const std::string names = joined(document.find(std::string("pools_") + what));
      if (names.empty()) continue;
      is_same = false;
      fmt::print("  {:<8} {}\n", what, neutralised(names, false));
    }
    if (is_same) fmt::print("  no pool has changed\n");
    const bool has_new = !joined(document.find("pools_added")).empty() ||
                         !joined(document.find("pools_changed")).empty();
    if (has_new) fmt::print("  whether AWS has what these pools name: muster pools\n");
    const auto note = [&](const char* key, const char* what, const char* command) {
      const std::string count = document.text_at({key});
      if (!count.empty() && count != "0") fmt::print("  {}: {} ({})\n", what, count, command);
    };
    note("busy_in_removed_pools", "machines of removed pools that still run a job", "muster pools");
    note("jobs_without_pool", "queued jobs that no pool takes", "muster jobs --state queued");
  });
}

void print_cancelled(const Node& document) {
  const std::string outcome = document.text_at({"job", "outcome"});
  const std::string id = neutralised(document.text_at({"job", "id"}), false);
  if (outcome.empty()) {
    fmt::print("{} is being ended\n", id);
  } else if (outcome == "cancelled") {
    fmt::print("{} {}\n", id, neutralised(document.text_at({"job", "reason"}), false));
  } else {
    fmt::print("{} had ended already: it {}\n", id, ending_text(outcome));
  }
}

int run_status(const Flags& flags) {
  DaemonClient client;
  return show(client.get("/status"), flags.as_json, [](const Node& one) {
    fmt::print("muster {}  cluster {} · {} · {}\n", one.text_at({"version"}),
               one.text_at({"cluster"}), one.text_at({"region"}),
               one.text_at({"is_ready"}) == "true" ? "ready" : "starting");
    fmt::print("  jobs       {} open, {} of them waiting\n", one.text_at({"jobs_open"}),
               one.text_at({"jobs_queued"}));
    std::string pools;
    if (const Node* states = one.find("pools"); states != nullptr) {
      for (const Member& state : states->members) {
        pools += fmt::format("{}{} {}", pools.empty() ? "" : ", ", state.value.text, state.key);
      }
    }
    fmt::print("  pools      {}\n", pools);
    fmt::print("  instances  {}\n", one.text_at({"instances"}));
    const std::string unpriced = one.text_at({"instances_without_price"});
    fmt::print("  today      {} for instances (UTC){}\n", usd_text(one, "usd_today"),
               unpriced.empty() || unpriced == "0"
                   ? ""
                   : fmt::format(", and {} whose price is not known", unpriced));
    if (!one.text_at({"store_error"}).empty())
      fmt::print("  store      {}\n", one.text_at({"store_error"}));
  });
}

/// For shells that complete words: one a line, and nothing at all where nobody answers.
int complete_ids(const Flags& flags) {
  DaemonClient client;
  const Result<Node> answer =
      client.get("/" + flags.id + (flags.id == "jobs" ? "?limit=200" : ""), 2s);
  if (!answer) return kDone;
  const auto print = [](const std::string& id) {
    // A shell must have nothing to expand.
    const bool is_plain = std::all_of(id.begin(), id.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 ||
             std::string_view("._/:-").find(static_cast<char>(c)) != std::string_view::npos;
    });
    if (is_plain && !id.empty()) fmt::print("{}\n", id);
  };
  for (const Node& one : items_of(*answer, flags.id)) {
    const std::string id = one.text_at({flags.id == "pools" ? "name" : "id"});
    print(id);
    // A job may be named by its CI server's id too.
    if (flags.id == "jobs") print(id.substr(id.find('/') + 1));
  }
  return kDone;
}

}  // namespace

void add_operate_commands(CLI::App& app, std::function<int()>& chosen) {
  CommandSet<Flags> set(chosen);
  Flags& flags = set.flags();
  const auto add_reason = [&flags](CLI::App* command) {
    command->add_option("--reason", flags.reason, "Why, for those who look");
  };

  CLI::App* status = set.add(app, "status",
                             "Say how the daemon on this state folder is.\n\n"
                             "Examples:\n"
                             "  muster status\n",
                             run_status);
  set.add_json(status, "muster.status/1");

  CLI::App* jobs = set.add(app, "jobs",
                           "List jobs, the youngest last; those that ended are kept for a day.\n\n"
                           "Examples:\n"
                           "  muster jobs\n"
                           "  muster jobs --state open        those that have not ended\n"
                           "  muster jobs --state failed      those that failed\n"
                           "  muster jobs --label arm64 --json\n",
                           run_jobs);
  jobs->add_option(
      "--state", flags.state,
      "Only those that are open, queued, leased, running, finished or dropped, or that "
      "passed, failed, were cancelled, timed-out or lost");
  jobs->add_option("--label", flags.label, "Only those with this label");
  jobs->add_option("--repo", flags.repository, "Only those of this repository");
  jobs->add_option("--limit", flags.limit, "So many at most")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  set.add_json(jobs, "muster.jobs/1");

  constexpr const char* kJobHelp = "Its id, or the beginning of it";
  CLI::App* job = app.add_subcommand("job",
                                     "Work with one job.\n\n"
                                     "Examples:\n"
                                     "  muster job show job-4f1c\n"
                                     "  muster job cancel job-4f1c\n");
  job->require_subcommand(1);
  CLI::App* shown = set.add(*job, "show",
                            "Show everything that is known of a job.\n\n"
                            "Examples:\n"
                            "  muster job show job-4f1c\n",
                            [](const Flags& given) {
                              DaemonClient client;
                              return show(client.get("/jobs/" + path_segment(given.id)),
                                          given.as_json, print_job);
                            });
  set.add_id(shown, "job", kJobHelp);
  set.add_json(shown, "muster.job/1");
  CLI::App* cancelled = set.add(
      *job, "cancel",
      "End a submitted job, whether it waits or runs.\n\n"
      "Examples:\n"
      "  muster job cancel job-4f1c --reason \"wrong branch\"\n",
      [](const Flags& given) {
        return run_order(given, "/jobs/" + path_segment(given.id) + "/cancel", print_cancelled);
      });
  set.add_id(cancelled, "job", kJobHelp);
  add_reason(cancelled);
  set.add_json(cancelled, "muster.job/1");

  CLI::App* explain = set.add(app, "explain",
                              "Say why a job waits or failed, what happens next, and what would "
                              "change it.\n\n"
                              "Examples:\n"
                              "  muster explain job-4f1c\n",
                              run_explain);
  set.add_id(explain, "job", kJobHelp);
  set.add_json(explain, "muster.explanation/1");

  CLI::App* logs = set.add(
      app, "logs",
      "Show what a job's steps have printed.\n\n"
      "Examples:\n"
      "  muster logs job-4f1c\n"
      "  muster logs -f job-4f1c              as it comes, until the job ends\n"
      "  muster logs job-4f1c --step test     the bytes of one step alone\n"
      "  muster logs job-4f1c --search error  only lines that hold this text\n",
      [](const Flags& given) {
        return show_logs({given.id, given.step, given.search, given.follows, given.as_json});
      });
  set.add_id(logs, "job", kJobHelp);
  logs->add_flag("-f,--follow", flags.follows, "Go on until the job has ended");
  logs->add_option("--step", flags.step, "Only this step, exactly as it printed");
  logs->add_option("--search", flags.search, "Only lines that hold this text");
  logs->add_flag("--json", flags.as_json, "As JSON lines (muster.log_line/1)");

  CLI::App* pools = set.add(app, "pools",
                            "List pools: what they have, what waits for them, and how they are.\n\n"
                            "Examples:\n"
                            "  muster pools\n",
                            [](const Flags& given) {
                              DaemonClient client;
                              return show(client.get("/pools"), given.as_json, print_pools);
                            });
  set.add_json(pools, "muster.pools/1");
  CLI::App* pool = app.add_subcommand("pool",
                                      "Tell a pool what to do; it outlives restarts.\n\n"
                                      "Examples:\n"
                                      "  muster pool pause linux --reason \"image rebuild\"\n"
                                      "  muster pool resume linux\n");
  pool->require_subcommand(1);
  const auto add_pool_order = [&](const char* order, const char* about) {
    CLI::App* command = set.add(
        *pool, order, fmt::format("{}\n\nExamples:\n  muster pool {} linux\n", about, order),
        [order](const Flags& given) {
          return run_order(given, "/pools/" + path_segment(given.id) + "/" + order, print_pools);
        });
    set.add_id(command, "pool", "Its name in muster.yml");
    add_reason(command);
    set.add_json(command, "muster.pools/1");
  };
  add_pool_order("pause", "Start no job and launch nothing; what is idle ends after `idle.time`.");
  add_pool_order("drain",
                 "Start no job and launch nothing; what is idle or stopped ends, jobs go on.");
  add_pool_order("resume", "Let it work again.");

  CLI::App* instances = set.add(
      app, "instances",
      "List instances.\n\n"
      "Examples:\n"
      "  muster instances --pool linux --phase busy\n",
      [](const Flags& given) {
        DaemonClient client;
        return show(
            client.get("/instances" + query_of({{"pool", given.pool}, {"phase", given.phase}})),
            given.as_json, print_instances);
      });
  instances->add_option("--pool", flags.pool, "Only those of this pool");
  instances->add_option("--phase", flags.phase, "Only those that are idle, busy, …");
  set.add_json(instances, "muster.instances/1");
  CLI::App* instance = app.add_subcommand("instance",
                                          "Tell an instance what to do.\n\n"
                                          "Examples:\n"
                                          "  muster instance drain i-0f3ad2c09b51e7a44\n");
  instance->require_subcommand(1);
  const auto add_instance_order = [&](const char* order, const char* about) {
    CLI::App* command = set.add(
        *instance, order,
        fmt::format("{}\n\nExamples:\n  muster instance {} i-0f3ad2c09b51e7a44\n", about, order),
        [order](const Flags& given) { return run_instance_order(given, order); });
    set.add_id(command, "instance", "Its id");
    set.add_json(command, "muster.instances/1");
    return command;
  };
  add_instance_order("drain", "Give it no further job; it ends with the one that it has.")
      ->add_flag("--yes", flags.is_yes, "Also when it is protected");
  add_instance_order("terminate", "End it now; the job that runs there is lost.")
      ->add_flag("--yes", flags.is_yes, "Also when a job runs there, or it is protected");
  add_instance_order(
      "protect",
      "Never end it for want of jobs (tag muster:protect); one that gets a job ends as usual.");
  add_instance_order("unprotect", "Let it end again when it is not wanted.");

  CLI::App* events = set.add(app, "events",
                             "Show what has happened to jobs, instances, launches and pools.\n\n"
                             "Examples:\n"
                             "  muster events -f\n"
                             "  muster events --json | jq .subject\n",
                             run_events);
  events->add_flag("-f,--follow", flags.follows, "Go on with what comes");
  events->add_option("--limit", flags.limit, "So many of the past at most")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  events->add_flag("--json", flags.as_json, "As JSON lines");

  set.add(app, "metrics",
          "Print the daemon's figures in Prometheus' text format.\n\n"
          "Examples:\n"
          "  muster metrics > /var/lib/node_exporter/muster.prom\n",
          [](const Flags&) {
            DaemonClient client;
            const Result<std::string> text = client.get_text("/metrics");
            if (!text) return report(text.error());
            fmt::print("{}", *text);
            return static_cast<int>(kDone);
          });

  CLI::App* ids = set.add(app, "complete-ids", "What there is, for completion", complete_ids);
  ids->group("");  // It is not shown.
  ids->add_option("kind", flags.id)
      ->required()
      ->check(CLI::IsMember({"jobs", "pools", "instances"}));

  CLI::App* top = set.add(
      app, "top",
      "Show pools, open jobs or instances, and what happens, again every second; once "
      "where there is no terminal.\n\n"
      "Keys: arrows (or j, k) and the page keys choose, enter explains the job, escape goes "
      "back,\ntab changes between jobs and instances, space holds the screen, q quits.\n\n"
      "Examples:\n"
      "  muster top\n",
      [](const Flags& given) { return show_top(given.as_json); });
  top->add_flag("--json", flags.as_json, "Once, as JSON (muster.top/1)");

  CLI::App* reload =
      set.add(*app.get_subcommand("config"), "reload",
              "Let the daemon read its configuration again; one with mistakes changes "
              "nothing.\n\n"
              "Examples:\n"
              "  muster config reload\n",
              run_reload);
  set.add_json(reload, "muster.status/1");
}

}  // namespace muster::cli
