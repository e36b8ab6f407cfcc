#include "cli/access_commands.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/connect_command.hpp"
#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/table.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

struct Flags {
  std::string id;
  std::string role = "viewer";
  std::string expires = "2160h";
  std::vector<std::string> command;
  bool as_json = false;
  bool is_quiet = false;
  bool is_yes = false;
};

std::string not_empty(const std::string& text) {
  return text.empty() ? std::string("its value is empty") : std::string();
}

void print_tokens(const Node& document) {
  Table table({{"TOKEN"}, {"ROLE"}, {"EXPIRES"}, {"CREATED"}, {"BY"}});
  if (const Node* tokens = document.find("tokens")) {
    for (const Node& one : tokens->items) {
      const std::string expires = one.text_at({"expires_at"});
      table.add({one.text_at({"name"}), one.text_at({"role"}),
                 expires.empty() ? "never" : expires.substr(0, 10),
                 one.text_at({"created_at"}).substr(0, 10), one.text_at({"created_by"})});
    }
  }
  table.print();
}

int show_tokens(const Result<Node>& answer, bool as_json) {
  if (!answer) return report(answer.error());
  if (as_json) {
    fmt::print("{}\n", wire::to_json(*answer, 2));
  } else {
    print_tokens(*answer);
  }
  return kDone;
}

int create_token(const Flags& flags) {
  DaemonClient client;
  const wire::Parameters query{{"role", flags.role}, {"expires", flags.expires}};
  const Result<Node> made =
      client.post("/tokens/" + path_segment(flags.id) + "?" + wire::form_encode(query));
  if (!made) return report(made.error());
  if (flags.as_json) {
    fmt::print("{}\n", wire::to_json(*made, 2));
    return kDone;
  }
  fmt::print("{}\n", made->text_at({"token"}));
  fmt::print(stderr, "It is shown this once: keep it in a file that only its user can read.\n");
  return kDone;
}

int interrupt(const Flags& flags) {
  if (flags.is_yes) return run_interrupt(flags.id, flags.is_quiet);
  return report(
      fail(ErrorKind::conflict,
           fmt::format("{} would end in two minutes, and with it a job that runs then", flags.id),
           "Say --yes if that is what you want.", "E0606")
          .value());
}

}  // namespace

void add_access_commands(CLI::App& app, std::function<int()>& chosen) {
  const auto flags = std::make_shared<Flags>();
  const auto add = [&](CLI::App& under, const char* name, const std::string& about,
                       std::function<int(const Flags&)> run) {
    CLI::App* command = under.add_subcommand(name, about);
    command->callback([&chosen, flags, run] { chosen = [flags, run] { return run(*flags); }; });
    return command;
  };
  const auto add_id = [flags](CLI::App* command, const char* name, const char* what) {
    command->add_option(name, flags->id, what)->required()->check(not_empty);
  };

  CLI::App* connect = add(app, "connect",
                          "Open a shell on the machine of a job, or run a command there.\n"
                          "Works on the daemon's machine, as its user; host keys are pinned.\n\n"
                          "Examples:\n"
                          "  muster connect job-4f1c\n"
                          "  muster connect i-0f3ad2c09b51e7a44 -- df -h\n",
                          [](const Flags& given) { return run_connect(given.id, given.command); });
  add_id(connect, "job", "A job that runs, by the beginning of its id, or an instance");
  connect->add_option("command", flags->command, "What to run there in place of a shell");

  CLI::App* drill =
      add(app, "interrupt",
          "Drill a spot interruption: an instance is treated as if EC2 took it back.\n"
          "It is noticed now and ended two minutes later, as EC2 does it.\n\n"
          "Examples:\n"
          "  muster interrupt i-0f3ad2c09b51e7a44 --yes\n",
          interrupt);
  add_id(drill, "instance", "Its id");
  drill->add_flag("--yes", flags->is_yes, "End it, and a job that runs there then");
  drill->add_flag("-q,--quiet", flags->is_quiet, "Only the answer");

  CLI::App* token = app.add_subcommand("token",
                                       "Say who may use the API over TCP (api.listen).\n\n"
                                       "Examples:\n"
                                       "  muster token create grafana --role viewer > token\n"
                                       "  muster token list\n"
                                       "  muster token revoke grafana\n");
  token->require_subcommand(1);
  CLI::App* created =
      add(*token, "create",
          "Make a token and print it, this once; the daemon keeps a hash.\n\n"
          "Examples:\n"
          "  (umask 077; muster token create ann --role operator > ~/.muster-token)\n"
          "  MUSTER_URL=https://muster.example MUSTER_TOKEN_FILE=~/.muster-token "
          "muster jobs\n",
          create_token);
  add_id(created, "name", "What it is for, or who uses it");
  created
      ->add_option("--role", flags->role,
                   "viewer: look; operator: and change; admin: and make tokens")
      ->check(CLI::IsMember({"viewer", "operator", "admin"}))
      ->capture_default_str();
  created->add_option("--expires", flags->expires, "After how long, or never")
      ->capture_default_str();
  created->add_flag("--json", flags->as_json, "As JSON (muster.token/1)");
  CLI::App* listed = add(*token, "list",
                         "List tokens, without themselves.\n\n"
                         "Examples:\n"
                         "  muster token list\n",
                         [](const Flags& given) {
                           DaemonClient client;
                           return show_tokens(client.get("/tokens"), given.as_json);
                         });
  listed->add_flag("--json", flags->as_json, "As JSON (muster.tokens/1)");
  CLI::App* revoked =
      add(*token, "revoke",
          "Let a token be worth nothing from now on.\n\n"
          "Examples:\n"
          "  muster token revoke grafana\n",
          [](const Flags& given) {
            DaemonClient client;
            return show_tokens(client.post("/tokens/" + path_segment(given.id) + "/revoke"),
                               given.as_json);
          });
  add_id(revoked, "name", "Its name");
  revoked->add_flag("--json", flags->as_json, "As JSON (muster.tokens/1)");
}

}  // namespace muster::cli
