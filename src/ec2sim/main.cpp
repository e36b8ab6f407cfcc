#include <fmt/format.h>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "adapters/system/real_clock.hpp"
#include "base/task.hpp"
#include "ec2sim/faults.hpp"
#include "ec2sim/ledger_file.hpp"
#include "ec2sim/simulator.hpp"
#include "wire/digest.hpp"
#include "wire/encoding.hpp"

namespace {

namespace asio = boost::asio;

/// Exit codes as docs/errors.md lists them.
constexpr int kWrongUse = 2;
constexpr int kRefused = 3;

int complain(const muster::Error& error) {
  fmt::print(stderr, "ec2sim: {}.{}{}\n", error.describe(), error.remedy.empty() ? "" : " ",
             error.remedy);
  return error.kind == muster::ErrorKind::forbidden ? kRefused : kWrongUse;
}

muster::Task<> run(ec2sim::Simulator& simulator, int& exit_code) {
  const muster::Status started = simulator.start();
  if (!started) {
    exit_code = complain(started.error());
  } else {
    fmt::print("{}", simulator.variables());
    std::fflush(stdout);
    asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
    co_await signals.async_wait(muster::use_task);
  }
  co_await simulator.stop();
}

int serve(ec2sim::SimulatorOptions options, muster::LogLevel level) {
  if (options.name.empty()) {
    const std::string path = std::filesystem::absolute(options.state_dir).lexically_normal();
    options.name = muster::wire::hex_encode(muster::wire::sha256(path)).substr(0, 8);
  }
  if (options.name.size() > 8 || options.name.find_first_of("/ ") != std::string::npos) {
    fmt::print(stderr,
               "ec2sim: --name \"{}\" is longer than eight characters or holds / or space. "
               "Choose another.\n",
               options.name);
    return kWrongUse;
  }
  const muster::Log log(level);
  asio::io_context context(1);
  muster::system::RealClock clock(context.get_executor());
  muster::system::SystemRandom random;
  ec2sim::Simulator simulator(context.get_executor(), clock, random, log, std::move(options));
  int exit_code = 0;
  asio::co_spawn(context, run(simulator, exit_code), [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  context.run();
  return exit_code;
}

int judge(const std::string& state_dir, bool as_json) {
  const muster::Result<ec2sim::StoredLedger> stored = ec2sim::read_ledger(state_dir);
  if (!stored) return complain(stored.error());
  const muster::TimePoint now = std::chrono::system_clock::now();
  std::vector<std::string> leaks;
  for (const auto& [id, entry] : stored->ledger.machines()) {
    if (entry.end_reason == ec2model::kSimulatorStopped) {
      leaks.push_back(id + "  ended only because the simulator stopped");
    }
  }
  const ec2model::Verdict verdict =
      stored->ledger.verdict(now, [&](const ec2model::MachineEntry& entry) {
        const auto process = stored->processes.find(entry.id);
        const bool is_fine = ec2sim::is_attended(
            entry,
            process == stored->processes.end() ? ec2sim::StoredLedger::Process{} : process->second,
            now);
        if (!is_fine) leaks.push_back(entry.id + "  alive, and nobody is connected to it");
        return is_fine;
      });
  fmt::print("{}", as_json ? ec2sim::to_json(verdict) : ec2sim::describe(verdict));
  for (const std::string& leak : leaks) {
    if (!as_json) fmt::print("  leaked    {}\n", leak);
  }
  return verdict.leaked > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{
      "ec2sim plays Amazon EC2 on this machine, with real machines in namespaces (root), as\n"
      "processes (no root), or as records in which nothing runs.\n\n"
      "Examples:\n"
      "  sudo ec2sim --state /tmp/ec2 > /tmp/ec2.env    then: . /tmp/ec2.env with set -a\n"
      "  ec2sim --machines process --state /tmp/ec2 > /tmp/ec2.env\n"
      "  ec2sim --machines record --fault lost=0.05 --fault throttle=0.1 --state /tmp/ec2\n"
      "  ec2sim ledger --state /tmp/ec2                 what was launched, and did anything "
      "leak?\n"};
  app.set_version_flag("--version", "ec2sim " MUSTER_VERSION);
  ec2sim::SimulatorOptions options;
  std::string machines = "namespace";
  std::string boot_time;
  std::string log_level = "warn";
  bool has_no_default_vpc = false;
  bool has_no_throttling = false;
  app.add_option("--listen", options.listen, "Address and port of the API; port 0: a free one")
      ->capture_default_str();
  app.add_option("--machines", machines,
                 "Kind of machines, for images that name none: namespace (needs root), process, "
                 "record")
      ->check(CLI::IsMember({"namespace", "process", "record"}))
      ->capture_default_str();
  app.add_option("--world", options.world_file,
                 "File of accounts, regions, networks, images, durations and quotas");
  app.add_option("--ssh-port", options.ssh_port, "Port of the sshd of process machines")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_option("--boot-time", boot_time,
                 "How long machines stay pending: 2s, 1s-5s, or lognormal:MEDIAN,P99");
  app.add_option("--fault", options.faults,
                 "Something that goes wrong, NAME=VALUE: " + ec2sim::fault_names());
  app.add_option("--state", options.state_dir, "Folder for disks and the ledger");
  app.add_option("--name", options.name, "Names what is made on the host (default: from --state)");
  app.add_option("--image-root", options.image_root,
                 "Root file system of every image, for example made by debootstrap")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of all ids; 0: a random one")->capture_default_str();
  app.add_flag("--second-vpc", options.has_second_vpc, "Add a VPC with a tiny subnet");
  app.add_flag("--no-default-vpc", has_no_default_vpc, "The account has no default VPC");
  app.add_flag("--no-throttling", has_no_throttling, "Do not play EC2's token buckets");
  app.add_flag("--withhold-console", options.hides_console, "GetConsoleOutput stays empty");
  app.add_option("--vcpu-quota", options.vcpu_quota, "On-demand vCPU quota (default 1152)");
  app.add_option("--spot-quota", options.spot_vcpu_quota, "Spot vCPU quota (default 1152)");
  app.add_option("--deny", options.denied_actions,
                 "Action without permission, such as RunInstances");
  app.add_option("--no-capacity", options.full_offerings,
                 "Offering without room, such as spot/t3.large/us-east-1a; * matches");
  app.add_option("--log", log_level, "debug, info, warn or error, on standard error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  bool as_json = false;
  std::string ledger_state;
  CLI::App* ledger = app.add_subcommand(
      "ledger", "Say what was launched and whether anything leaked; exit code 1 if so");
  ledger->add_option("--state", ledger_state, "The simulator's folder")->required();
  ledger->add_flag("--json", as_json, "As JSON (ec2sim.ledger/1)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "ec2sim: {}. See ec2sim --help.\n", error.what());
    return kWrongUse;
  }
  if (ledger->parsed()) return judge(ledger_state, as_json);
  if (options.state_dir.empty()) {
    fmt::print(stderr, "ec2sim: --state is missing. Name a folder for disks and the ledger.\n");
    return kWrongUse;
  }
  const std::map<std::string, ec2model::MachineKind> kinds{
      {"namespace", ec2model::MachineKind::namespaces},
      {"process", ec2model::MachineKind::process},
      {"record", ec2model::MachineKind::record}};
  options.machines = kinds.at(machines);
  if (!boot_time.empty()) {
    options.boot_time = ec2model::parse_distribution(boot_time);
    if (!options.boot_time) {
      fmt::print(stderr,
                 "ec2sim: --boot-time \"{}\" is no distribution. Write 2s, 1s-5s or "
                 "lognormal:MEDIAN,P99.\n",
                 boot_time);
      return kWrongUse;
    }
  }
  if (machines == "namespace" && geteuid() != 0) {
    fmt::print(stderr,
               "ec2sim: machines of kind namespace need root. Run ec2sim with sudo, or with "
               "--machines process.\n");
    return kRefused;
  }
  options.has_default_vpc = !has_no_default_vpc;
  options.throttles = !has_no_throttling;
  const std::map<std::string, muster::LogLevel> levels{{"debug", muster::LogLevel::debug},
                                                       {"info", muster::LogLevel::info},
                                                       {"warn", muster::LogLevel::warn},
                                                       {"error", muster::LogLevel::error}};
  return serve(std::move(options), levels.at(log_level));
}
