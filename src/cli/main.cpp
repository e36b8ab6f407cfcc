#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <system_error>

#include "base/nearest.hpp"
#include "cli/access_commands.hpp"
#include "cli/commands.hpp"
#include "cli/daemon_command.hpp"
#include "cli/errors.hpp"
#include "cli/operate_commands.hpp"
#include "cli/shell_files.hpp"

namespace muster::cli {

namespace {

/// An empty variable in a script is not the same as leaving the option out.
CLI::Validator not_empty() {
  return {[](const std::string& text) {
            return text.empty() ? std::string("its value is empty") : std::string();
          },
          ""};
}

void add_config(CLI::App& command, CommonFlags& flags) {
  command.add_option("--config", flags.config,
                     "Configuration file (default: muster.yml, or MUSTER_CONFIG)");
}

/// Flags of commands that do something over time.
void add_display(CLI::App& command, CommonFlags& flags) {
  command
      .add_option("--log", flags.log_level,
                  "Log records on standard error: debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  command.add_flag("-q,--quiet", flags.is_quiet, "Only the answer");
  command.add_flag("-v,--verbose", flags.is_verbose, "Say where values came from");
  command.add_flag("--no-color", flags.has_no_colour, "No colour (also NO_COLOR)");
}

void add_build(CLI::App& command, BuildFlags& flags) {
  command.add_option("file", flags.file, "The pipeline's file")->capture_default_str();
  command.add_option("--pipeline", flags.pipeline, "Which pipeline of the file (default: default)");
  command.add_option("--repo", flags.repo, "Clone this URL instead of the local repository");
  command.add_option("--branch", flags.branch, "Branch to clone with --repo (default: main)");
  command.add_option("--commit", flags.commit,
                     "Commit to check out with --repo (default: the branch's)");
  command
      .add_option("--event", flags.event, "The build's event, for when: push, pull_request, tag, …")
      ->capture_default_str();
  command.add_option("--ref", flags.ref,
                     "The build's full ref, such as refs/tags/v1.2.3 or refs/pull/7/head");
  command.add_option("--deploy-to", flags.deploy_to, "The build's target, for when");
  command
      .add_option("--secret-file", flags.secret_files,
                  "File of KEY=value lines for from_secret; - is standard input (repeatable)")
      ->allow_extra_args(false);
  command
      .add_option("--env-file", flags.environment_files,
                  "File of KEY=value lines that every step gets (repeatable)")
      ->allow_extra_args(false);
  command.add_flag("--untrusted", flags.is_untrusted,
                   "Refuse what Drone refuses an untrusted repository");
  command.add_option("--include", flags.include, "Run only this step (repeatable)")
      ->allow_extra_args(false);
  command.add_option("--exclude", flags.exclude, "Leave this step out (repeatable)")
      ->allow_extra_args(false);
}

/// What can stand where the unknown word stands.
std::vector<std::string> known_words(const CLI::App& app) {
  std::vector<std::string> words;
  const CLI::App* at = &app;
  for (const CLI::App* next = at; next != nullptr;) {
    at = next;
    next = nullptr;
    for (const CLI::App* sub : at->get_subcommands()) {
      if (sub->parsed()) next = sub;
    }
  }
  for (const CLI::App* sub : at->get_subcommands({})) {
    if (!sub->get_group().empty()) words.push_back(sub->get_name());
  }
  for (const CLI::Option* option : at->get_options()) {
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
  }
  return words;
}

int wrong_use(const CLI::App& app, const CLI::ParseError& error) {
  std::string text = error.what();
  std::string command;
  const CLI::App* last = &app;
  while (!last->get_subcommands().empty()) {
    last = last->get_subcommands().back();
    command += " " + last->get_name();
  }
  std::string remedy =
      command.empty() ? "See muster --help." : fmt::format("See muster help{}.", command);
  if (text.find("required TEXT missing") != std::string::npos)
    text = "an option lacks its value: " + text;
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    std::vector<std::string> words = app.remaining(true);
    std::erase(words, "--");
    const auto option = std::find_if(
        words.begin(), words.end(), [](const std::string& word) { return word.starts_with("--"); });
    // In a command, of several an option is what was misspelled; its value came along.
    const bool is_option = !command.empty() && option != words.end();
    const std::string word = is_option ? *option : words.empty() ? "" : words.front();
    const std::string first = word.substr(0, word.find('='));
    text = fmt::format("\"{}\" is not known here", first);
    if (const auto near = nearest_name(first, known_words(app))) {
      remedy = fmt::format("Did you mean {}?", *near);
    }
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !command.empty()) {
    // A group of commands: which of them is not said, or no such one.
    std::vector<std::string> names;
    for (const CLI::App* sub : last->get_subcommands({})) names.push_back(sub->get_name());
    const std::vector<std::string> words = last->remaining();
    if (!names.empty()) {
      text = words.empty() ? fmt::format("\"{}\" wants one more word", command.substr(1))
                           : fmt::format("\"{}\" is not known here", words.front());
      const auto near = words.empty() ? std::nullopt : nearest_name(words.front(), names);
      remedy = near ? fmt::format("Did you mean {}?", *near)
                    : fmt::format("Say one of: {}.", fmt::join(names, ", "));
    }
  }
  fmt::print(stderr, "muster: {} (E0101)\n{}\n", text, remedy);
  return kWrongUse;
}

/// A run goes on as it was begun; whatever else is said of it would be ignored.
int refuse_beside_resume(const CLI::App& exec) {
  static const std::vector<std::string> kAllowed{"resume",  "log",      "quiet",
                                                 "verbose", "no-color", "help"};
  for (const CLI::Option* option : exec.get_options()) {
    const std::string name = option->get_lnames().empty() ? "" : option->get_lnames().front();
    const bool is_allowed = std::find(kAllowed.begin(), kAllowed.end(), name) != kAllowed.end();
    if (option->count() == 0 || is_allowed) continue;
    fmt::print(stderr,
               "muster: --resume goes on with a run as it was begun, and {} would change it "
               "(E0101)\nLeave it out, or start a new run.\n",
               name.empty() ? option->get_name() : "--" + name);
    return kWrongUse;
  }
  return kDone;
}

/// The help of just this command; CLI11's own passes on to the command that was parsed.
std::string help_of(const CLI::App& command, const std::string& name) {
  return command.get_formatter()->make_help(&command, name, CLI::AppFormatMode::Normal);
}

int show_help(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty()) {
    fmt::print("{}", help_of(app, "muster"));
    return kDone;
  }
  if (words.front() == "man") {
    fmt::print("{}", man_page(app));
    return kDone;
  }
  if (words.front() == "errors") {
    fmt::print("{}", pages_as_markdown());
    return kDone;
  }
  std::string code = words.front();
  if (code.starts_with('e')) code.front() = 'E';
  if (const ErrorPage* page = find_page(code)) {
    fmt::print("{}  {}\n  cause   {}\n  check   {}\n  remedy  {}\n", page->code, page->title,
               page->cause, page->check, page->remedy);
    return kDone;
  }
  const CLI::App* at = &app;
  std::string name = "muster";
  for (const std::string& word : words) {
    name += " " + word;
    const CLI::App* next = nullptr;
    std::vector<std::string> names;
    for (const CLI::App* sub : at->get_subcommands({})) {
      names.push_back(sub->get_name());
      if (sub->get_name() == word) next = sub;
    }
    if (next == nullptr) {
      const auto near = nearest_name(word, names);
      fmt::print(stderr, "muster: there is no help on \"{}\" (E0101)\n{}\n", word,
                 near ? fmt::format("Did you mean {}?", *near) : "See muster --help.");
      return kWrongUse;
    }
    at = next;
  }
  fmt::print("{}", help_of(*at, name));
  return kDone;
}

int run(int argc, char** argv);

/// What was asked for and cannot be shown is a failure.
int run_and_flush(int argc, char** argv) {
  int code = kDone;
  try {
    code = run(argc, argv);
  } catch (const std::system_error& error) {
    code = kBug;
    if (std::ferror(stdout) == 0) {
      fmt::print(stderr, "muster: {} (E0501)\n", error.what());
      return code;
    }
    code = kDone;
  }
  const bool is_whole = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (is_whole || code != kDone) return code;
  return report(fail(ErrorKind::unavailable, "standard output cannot be written",
                     "Is its disk full?", "E0303")
                    .value());
}

int run(int argc, char** argv) {
  CLI::App app{
      "muster runs CI jobs on fresh EC2 machines.\n\n"
      "Examples:\n"
      "  muster exec                      run .drone.yml of this folder on a machine of its own\n"
      "  muster daemon                    keep the pools of muster.yml and run jobs on them\n"
      "  muster submit --wait             queue .drone.yml of this folder for the daemon\n"
      "  muster top                       pools and jobs, live\n"
      "  muster explain JOB               why a job waits or failed, and what would change it\n"
      "  muster compile                   show what would be run, as JSON\n"
      "  muster config check              check muster.yml\n"
      "  muster help E0412                what an error means\n"};
  app.name("muster");
  app.set_version_flag("--version", "muster " MUSTER_VERSION);
  app.require_subcommand(0, 1);
  CommonFlags common;
  ExecFlags exec_flags;
  BuildFlags compile_flags;
  bool as_json = false;
  std::vector<std::string> help_words;

  CLI::App* exec = app.add_subcommand(
      "exec",
      "Run one pipeline on one fresh machine, and end the machine.\n\n"
      "Examples:\n"
      "  muster exec                        the pipeline of .drone.yml here\n"
      "  muster exec --pool linux ci.yml    another file, on a machine of that pool\n"
      "  muster exec --include test         only some steps\n"
      "  muster exec --secret-file .env     secrets for from_secret, masked in the output\n"
      "  muster exec --resume run-1f…       after a crash of muster: go on where it was\n");
  add_build(*exec, exec_flags.build);
  add_config(*exec, common);
  add_display(*exec, common);
  exec->add_option("--pool", exec_flags.pool,
                   "Pool of muster.yml (default: the pipeline's, or the only one)")
      ->check(not_empty());
  exec->add_option("--timeout", exec_flags.timeout, "End the run after this long")
      ->capture_default_str();
  const CLI::Option* resume =
      exec->add_option("--resume", exec_flags.resume,
                       "Go on with a run whose muster was killed; its name was shown at its start")
          ->check(not_empty());

  CLI::App* compile = app.add_subcommand(
      "compile",
      "Print the compiled pipeline as JSON (muster.stage/1); nothing is launched.\n\n"
      "Examples:\n"
      "  muster compile | jq '.steps[].name'\n");
  add_build(*compile, compile_flags);
  bool shows_secrets = false;
  compile->add_flag("--show-secrets", shows_secrets, "Print secrets in clear");

  DaemonFlags daemon_flags;
  CLI::App* daemon = app.add_subcommand(
      "daemon",
      "Keep the pools of muster.yml and run queued jobs on them, until SIGTERM or SIGINT.\n"
      "Machines and running jobs stay as they are, and the next start goes on with them.\n"
      "SIGHUP reads muster.yml again; one with mistakes changes nothing.\n\n"
      "Examples:\n"
      "  muster daemon\n"
      "  muster daemon --config /etc/muster/muster.yml --log info\n");
  add_config(*daemon, common);
  add_display(*daemon, common);
  daemon
      ->add_option("--stop-time", daemon_flags.stop_time,
                   "How long launches that are under way are waited for when it stops")
      ->capture_default_str();

  SubmitFlags submit_flags;
  CLI::App* submit = app.add_subcommand(
      "submit",
      "Queue a pipeline for the daemon with the same state folder.\n\n"
      "Examples:\n"
      "  muster submit                      the pipeline of .drone.yml here\n"
      "  muster submit --wait && echo fine  wait for its end; exit code 1 if it failed\n"
      "  muster submit --label linux,arm64  on a machine of any pool with these labels\n");
  add_build(*submit, submit_flags.build);
  add_config(*submit, common);
  submit->add_flag("-q,--quiet", common.is_quiet, "Only the answer");
  submit
      ->add_option("--pool", submit_flags.pool,
                   "Pool of muster.yml (default: the pipeline's, or the only one)")
      ->check(not_empty());
  submit
      ->add_option("--label", submit_flags.labels,
                   "Labels that the pool must have, in place of its name (repeatable)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(not_empty())
      ->excludes("--pool");
  submit->add_option("--priority", submit_flags.priority, "Higher goes first")
      ->check(CLI::Range(-1000, 1000))
      ->capture_default_str();
  submit->add_option("--timeout", submit_flags.timeout, "End the job after this long")
      ->capture_default_str();
  submit->add_flag("--wait", submit_flags.waits,
                   "Wait for its end: exit code 0 passed, 1 failed or cancelled, 4 its machine "
                   "was lost, or it took too long");
  submit->add_flag("--json", submit_flags.as_json, "As JSON (muster.submit/1)");

  std::string backup_path;
  CLI::App* backup = app.add_subcommand("backup",
                                        "Copy the store into a new file, while the daemon runs.\n\n"
                                        "Examples:\n"
                                        "  muster backup /var/backups/muster.db\n");
  backup->add_option("file", backup_path, "A file that does not exist")
      ->required()
      ->check(not_empty());

  CLI::App* config = app.add_subcommand("config",
                                        "Work with muster.yml.\n\n"
                                        "Examples:\n"
                                        "  muster config check\n"
                                        "  muster config schema > muster.schema.json\n");
  config->require_subcommand(0, 1);
  CLI::App* check = config->add_subcommand("check",
                                           "Check muster.yml and show every problem at once.\n\n"
                                           "Examples:\n"
                                           "  muster config check --config ci/muster.yml\n");
  add_config(*check, common);
  check->add_flag("--json", as_json, "As JSON (muster.config/1)");

  const CLI::App* schema =
      config->add_subcommand("schema",
                             "Print the JSON Schema of muster.yml, for editors.\n\n"
                             "Examples:\n"
                             "  muster config schema > muster.schema.json\n");
  const CLI::App* reference =
      config->add_subcommand("reference",
                             "Explain every key of muster.yml, as Markdown.\n\n"
                             "Examples:\n"
                             "  muster config reference | less\n");

  std::function<int()> chosen;
  add_operate_commands(app, chosen);
  add_access_commands(app, chosen);

  std::string shell;
  const CLI::App* completion =
      app.add_subcommand("completion",
                         "Print a script that lets a shell complete commands and options.\n\n"
                         "Examples:\n"
                         "  source <(muster completion bash)      in ~/.bashrc; so for zsh\n"
                         "  muster completion fish > ~/.config/fish/completions/muster.fish\n");
  app.get_subcommand("completion")
      ->add_option("shell", shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));

  CLI::App* help = app.add_subcommand("help",
                                      "Explain a command or an error code.\n\n"
                                      "Examples:\n"
                                      "  muster help exec\n"
                                      "  muster help E0412\n"
                                      "  muster help errors    all of them\n"
                                      "  muster help man > muster.1    a page for man\n");
  help->add_option("topic", help_words, "A command, an error code, errors or man");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return wrong_use(app, error);
  }
  if (exec->parsed() && resume->count() > 0) {
    if (const int refused = refuse_beside_resume(*exec); refused != kDone) return refused;
  }
  if (chosen) return chosen();
  if (completion->parsed()) {
    fmt::print("{}", completion_script(app, shell).value_or(""));
    return kDone;
  }
  // What works over time does not end because nobody reads on; what only tells does.
  const bool works = exec->parsed() || daemon->parsed() || submit->parsed() || backup->parsed();
  if (works) std::signal(SIGPIPE, SIG_IGN);
  if (exec->parsed()) return run_exec(common, exec_flags);
  if (daemon->parsed()) return run_daemon(common, daemon_flags);
  if (submit->parsed()) return run_submit(common, submit_flags);
  if (backup->parsed()) return run_backup(backup_path);
  if (compile->parsed()) return run_compile(compile_flags, shows_secrets);
  if (check->parsed()) return run_config_check(common, as_json);
  if (schema->parsed()) return run_config_schema();
  if (reference->parsed()) return run_config_reference();
  if (config->parsed()) {
    fmt::print(
        stderr,
        "muster: config needs a command, such as check (E0101)\nSee muster config --help.\n");
    return kWrongUse;
  }
  return show_help(app, help_words);
}

}  // namespace
}  // namespace muster::cli

int main(int argc, char** argv) { return muster::cli::run_and_flush(argc, argv); }
