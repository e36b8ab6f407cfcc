#include "cli/access_commands.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "cli/command_set.hpp"
#include "cli/connect_command.hpp"
#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/table.hpp"
#include "wire/encoding.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kEndTime = 30s;  // Beyond the notice, until its end is seen.
constexpr Duration kLookEvery = 500ms;

struct Flags {
  std::string id;
  std::string role = "viewer";
  std::string expires = "2160h";
  std::vector<std::string> command;
  bool as_json = false;
  bool is_quiet = false;
  bool is_yes = false;
  bool is_detached = false;
  std::string notice = "2m";
};

void print_tokens(const Node& document) {
  Table table({{"TOKEN"}, {"ROLE"}, {"EXPIRES"}, {"CREATED"}, {"BY"}});
  if (const Node* tokens = document.find("tokens")) {
    for (const Node& one : tokens->items) {
      const std::string expires = one.text_at({"expires_at"});
      const auto at = parse_iso8601(expires);
      const bool is_over =
          at && *at <= std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
      table.add({one.text_at({"name"}), one.text_at({"role"}),
                 is_over           ? "has expired"
                 : expires.empty() ? "never"
                                   : expires.substr(0, 10),
                 one.text_at({"created_at"}).substr(0, 10), one.text_at({"created_by"})});
    }
  }
  table.print();
}

int create_token(const Flags& flags) {
  DaemonClient client;
  const wire::Parameters query{{"role", flags.role}, {"expires", flags.expires}};
  const Result<Node> made =
      client.post("/tokens/" + path_segment(flags.id) + "?" + wire::form_encode(query));
  return show(made, flags.as_json, [](const Node& document) {
    fmt::print("{}\n", document.text_at({"token"}));
    fmt::print(stderr, "It is shown this once: keep it in a file that only its user can read.\n");
  });
}

/// Tells the daemon, and waits until it has ended the instance.
int interrupt(const Flags& flags) {
  if (!flags.is_yes) {
    return report(fail(ErrorKind::conflict,
                       fmt::format("{} would end after {}, and with it a job that runs then",
                                   flags.id, flags.notice),
                       "Say --yes if that is what you want.", "E0606")
                      .value());
  }
  DaemonClient client;
  const wire::Parameters query{{"force", "true"}, {"notice", flags.notice}};
  const Result<Node> noticed = client.post("/instances/" + path_segment(flags.id) + "/interrupt?" +
                                           wire::form_encode(query));
  if (!noticed) return report(noticed.error());
  const auto find_in = [&](const Node& document) {
    const Node* all = document.find("instances");
    const Node* found = nullptr;
    if (all == nullptr) return found;
    for (const Node& one : all->items) {
      const bool has_ended = one.text_at({"phase"}) == "terminating";
      if (one.text_at({"id"}) == flags.id && !has_ended) found = &one;
    }
    return found;
  };
  const Node* told = find_in(*noticed);
  if (told == nullptr) {
    fmt::print("{} had no job, and ends now\n", flags.id);
    return kDone;
  }
  const std::string at = told->text_at({"taken_back_at"});
  const std::string job = told->text_at({"job"});
  fmt::print("{} takes no further job; {} has until {} (UTC), then it ends\n", flags.id,
             job.empty() ? "what runs there" : job, at.size() > 19 ? at.substr(11, 8) : at);
  std::fflush(stdout);
  if (flags.is_detached) return kDone;
  const Duration most = parse_duration(flags.notice).value_or(Duration{}) + kEndTime;
  Duration waited{};
  while (true) {
    const Result<Node> all = client.get("/instances");
    if (!all && !is_retryable(all.error().kind)) return report(all.error());
    if (all && find_in(*all) == nullptr) break;
    if (waited > most) {
      return report(fail(ErrorKind::timeout,
                         fmt::format("{} has not ended; a drill ends with its daemon", flags.id),
                         "muster instances shows it; muster instance terminate ends it.")
                        .value());
    }
    client.sleep(kLookEvery);
    waited += kLookEvery;
  }
  if (!flags.is_quiet) {
    fmt::print(
        "{} is ended{}\n", flags.id,
        job.empty() ? "" : fmt::format("; muster explain {} says what became of the job", job));
  }
  return kDone;
}

}  // namespace

void add_access_commands(CLI::App& app, std::function<int()>& chosen) {
  CommandSet<Flags> set(chosen);
  Flags& flags = set.flags();

  CLI::App* connect =
      set.add(app, "connect",
              "Open a shell on the machine of a job, or run a command there.\n"
              "Works on the daemon's machine, as its user; host keys are pinned. The shell there\n"
              "reads the command's words joined by spaces, as with ssh.\n\n"
              "Examples:\n"
              "  muster connect job-4f1c\n"
              "  muster connect i-0f3ad2c09b51e7a44 -- df -h\n",
              [](const Flags& given) { return run_connect(given.id, given.command); });
  set.add_id(connect, "job", "A job that runs, by the beginning of its id, or an instance");
  connect->add_option("command", flags.command, "What to run there in place of a shell");

  CLI::App* drill =
      set.add(app, "interrupt",
              "Drill a spot interruption: an instance is treated as if EC2 took it back.\n"
              "It is noticed now: one without a job ends, another after the notice at the latest.\n"
              "A drill does not outlive its daemon; the machine ends with its job then.\n\n"
              "Examples:\n"
              "  muster interrupt i-0f3ad2c09b51e7a44 --yes\n"
              "  muster interrupt i-0f3ad2c09b51e7a44 --yes --notice 10s\n",
              interrupt);
  set.add_id(drill, "instance", "Its id");
  drill->add_flag("--yes", flags.is_yes,
                  "End it, and a job that runs there then; also when it is protected");
  drill->add_option("--notice", flags.notice, "How long before its end it is told (1s to 10m)")
      ->capture_default_str();
  drill->add_flag("--detach", flags.is_detached, "Do not wait for its end");
  drill->add_flag("-q,--quiet", flags.is_quiet, "Only the answer");

  CLI::App* token = app.add_subcommand("token",
                                       "Say who may use the API over TCP (api.listen).\n\n"
                                       "Examples:\n"
                                       "  muster token create grafana --role viewer > token\n"
                                       "  muster token list\n"
                                       "  muster token revoke grafana\n");
  token->require_subcommand(1);
  CLI::App* created =
      set.add(*token, "create",
              "Make a token and print it, this once; the daemon keeps a hash.\n\n"
              "Examples:\n"
              "  (umask 077; muster token create ann --role operator > ~/.muster-token)\n"
              "  MUSTER_URL=https://muster.example MUSTER_TOKEN_FILE=~/.muster-token "
              "muster jobs\n",
              create_token);
  set.add_id(created, "name", "What it is for, or who uses it");
  created
      ->add_option("--role", flags.role,
                   "viewer: look; operator: and change; admin: and make tokens")
      ->check(CLI::IsMember({"viewer", "operator", "admin"}))
      ->capture_default_str();
  created->add_option("--expires", flags.expires, "After how long, or never")
      ->capture_default_str();
  set.add_json(created, "muster.token/1");
  CLI::App* listed = set.add(*token, "list",
                             "List tokens, without themselves.\n\n"
                             "Examples:\n"
                             "  muster token list\n",
                             [](const Flags& given) {
                               DaemonClient client;
                               return show(client.get("/tokens"), given.as_json, print_tokens);
                             });
  set.add_json(listed, "muster.tokens/1");
  CLI::App* revoked =
      set.add(*token, "revoke",
              "Let a token be worth nothing from now on.\n\n"
              "Examples:\n"
              "  muster token revoke grafana\n",
              [](const Flags& given) {
                DaemonClient client;
                return show(client.post("/tokens/" + path_segment(given.id) + "/revoke"),
                            given.as_json, print_tokens);
              });
  set.add_id(revoked, "name", "Its name");
  set.add_json(revoked, "muster.tokens/1");
}

}  // namespace muster::cli
