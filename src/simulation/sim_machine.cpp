#include <fmt/format.h>

#include <algorithm>

#include "base/document.hpp"
#include "simulation/sim_ports.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view kFolder = "/tmp/muster-lea-";

/// `lea-…` of the first folder that a command names; empty for a pattern.
std::string folder_in(const std::string& command) {
  const std::size_t at = command.find(kFolder);
  if (at == std::string::npos) return {};
  std::size_t end = at + kFolder.size();
  while (end < command.size() &&
         std::string_view("0123456789abcdef").find(command[end]) != std::string_view::npos) {
    ++end;
  }
  return end == at + kFolder.size() ? std::string() : command.substr(at, end - at);
}

Error broken(const char* text) { return {ErrorKind::unavailable, "", text, ""}; }

/// A step that is followed: quiet until it ends.
class SimProcess : public RemoteProcess {
 public:
  SimProcess(SimWorld& world, InstanceId id, std::string folder, std::shared_ptr<bool> is_connected)
      : world_(world),
        link_(world, Link::To::machine),
        id_(std::move(id)),
        folder_(std::move(folder)),
        is_connected_(std::move(is_connected)) {}

  Task<Result<std::optional<ProcessOutput>>> read() override {
    while (true) {
      const auto host = world_.hosts.find(id_);
      const bool is_there = host != world_.hosts.end() && !host->second.is_broken;
      if (!is_there) {
        co_await world_.clock.sleep(5s);
        co_return tl::unexpected<Error>(broken("the connection broke off"));
      }
      const auto run = host->second.runs.find(folder_);
      if (run == host->second.runs.end()) {
        co_return std::optional(ProcessOutput{true, "muster-lost\n"});
      }
      const Duration rest = run->second.ends_at - world_.now();
      if (rest <= Duration{}) {
        Task<std::optional<Error>> receiving = link_.receive("ssh follow", 5ms);
        const std::optional<Error> lost = co_await std::move(receiving);
        if (lost) co_return tl::unexpected<Error>(*lost);
        co_return std::optional(
            ProcessOutput{true, fmt::format("muster-exit {} 0 \n", run->second.exit_code)});
      }
      // Looked at again now and then: the machine may break.
      co_await world_.clock.sleep(std::min<Duration>(rest, 60s));
      if (world_.strikes(46, 0.05)) {
        *is_connected_ = false;
        co_return tl::unexpected<Error>(broken("the connection was dropped"));
      }
    }
  }
  Task<Status> write(std::string) override { co_return Status(); }
  Task<Status> close_input() override { co_return Status(); }
  Task<Status> signal(std::string) override { co_return Status(); }
  Task<Result<ExitStatus>> wait() override { co_return ExitStatus{}; }

 private:
  SimWorld& world_;
  Link link_;
  InstanceId id_;
  std::string folder_;
  std::shared_ptr<bool> is_connected_;
};

class SimMachine : public Machine {
 public:
  SimMachine(SimWorld& world, InstanceId id, std::vector<Secret> keys)
      : world_(world),
        link_(world, Link::To::machine),
        id_(std::move(id)),
        keys_(std::move(keys)) {}

  Task<Result<ExecResult>> run(ExecRequest request) override {
    const char* what = request.input.empty() ? "ssh run" : "ssh start";
    Task<std::optional<Error>> sending = link_.send(what, 5ms);
    const std::optional<Error> unsent = co_await std::move(sending);
    if (unsent) co_return tl::unexpected<Error>(*unsent);
    world_.settle();
    const auto host = world_.hosts.find(id_);
    if (host == world_.hosts.end() || host->second.is_broken || world_.strikes(46, 0.1)) {
      *is_connected_ = false;
      co_await world_.clock.sleep(3s);
      co_return tl::unexpected<Error>(broken("the connection broke off"));
    }
    const Status connected = connect_again();
    if (!connected) co_return tl::unexpected<Error>(connected.error());
    const ExecResult result = execute(host->second, request);
    Task<std::optional<Error>> receiving = link_.receive(what, 5ms);
    const std::optional<Error> lost = co_await std::move(receiving);
    if (lost) co_return tl::unexpected<Error>(*lost);
    co_return result;
  }

  Task<Result<std::unique_ptr<RemoteProcess>>> start(ExecRequest request) override {
    Task<std::optional<Error>> sending = link_.send("ssh follow", 5ms);
    const std::optional<Error> unsent = co_await std::move(sending);
    if (unsent) co_return tl::unexpected<Error>(*unsent);
    if (!world_.hosts.contains(id_)) {
      *is_connected_ = false;
      co_await world_.clock.sleep(3s);
      co_return tl::unexpected<Error>(broken("the connection broke off"));
    }
    const Status connected = connect_again();
    if (!connected) co_return tl::unexpected<Error>(connected.error());
    std::unique_ptr<RemoteProcess> process =
        std::make_unique<SimProcess>(world_, id_, folder_in(request.command), is_connected_);
    co_return process;
  }

  Task<Status> copy_to(std::string, std::string, int) override { co_return Status(); }
  Task<Result<std::string>> copy_from(std::string, std::size_t) override {
    co_return fail(ErrorKind::not_found, "no files here");
  }
  Task<Result<std::unique_ptr<ByteStream>>> open_tcp(std::string, int) override {
    co_return fail(ErrorKind::unavailable, "no streams here");
  }
  Task<Result<std::unique_ptr<ByteStream>>> open_unix(std::string) override {
    co_return fail(ErrorKind::unavailable, "no streams here");
  }
  Task<> close() override { co_return; }

 private:
  /// A connection that broke off is made again with the keys that the first was made with.
  Status connect_again() {
    if (!*is_connected_ && !world_.lets_in(id_, keys_)) {
      return fail(ErrorKind::unauthenticated, "the key is refused (simulated)", "", "KeyRefused");
    }
    *is_connected_ = true;
    return {};
  }

  /// What muster's own code has the machine do, recognised by its words.
  ExecResult execute(SimHost& host, const ExecRequest& request) {
    ExecResult result;
    constexpr std::string_view kTimer = "shutdown -h +";
    const std::string folder = folder_in(request.command);
    const auto is_running = [&] {
      return std::any_of(host.runs.begin(), host.runs.end(),
                         [&](const auto& run) { return run.second.ends_at > world_.now(); });
    };
    if (request.command.find("authorized_keys") != std::string::npos) {
      change_keys(request.command);
      result.exit.code = host.runs.empty() ? 0 : 7;
    } else if (const std::size_t at = request.command.find(kTimer); at != std::string::npos) {
      const std::size_t end = request.command.find(' ', at + kTimer.size());
      const auto minutes =
          parse_integer(request.command.substr(at + kTimer.size(), end - at - kTimer.size()));
      world_.wind(host, std::chrono::minutes{minutes.value_or(1)});
    } else if (!folder.empty() && !request.input.empty()) {
      // What was started is not written again, so a full disk does not matter to it.
      if (!host.runs.contains(folder) && world_.strikes(50, 0.1)) {
        result.exit.code = 9;
        result.err = "No space left on device";
        return result;
      }
      const std::size_t line = request.input.find('\n');
      world_.start_run(id_, folder, request.input.substr(line + 1));
    } else if (request.command.find("/started ]") != std::string::npos) {
      result.exit.code = host.runs.contains(folder) ? 7 : 0;
    } else if (request.command.find("kill -0") != std::string::npos) {
      result.exit.code = is_running() ? 7 : 0;
    }
    return result;
  }

  /// `k='KEY'; … grep -v 'OLD$'`: one key comes, the others of that ending go.
  void change_keys(const std::string& command) {
    const auto quoted_after = [&](std::string_view mark) {
      const std::size_t at = command.find(mark) + mark.size() + 1;
      return command.substr(at, command.find('\'', at) - at);
    };
    const std::string added = quoted_after("k=");
    std::string ending = quoted_after("grep -v ");
    ending.pop_back();  // Its `$`.
    std::set<std::string>& keys = world_.authorized_keys[id_];
    std::erase_if(keys, [&](const std::string& line) { return line.ends_with(ending); });
    keys.insert(added);
  }

  SimWorld& world_;
  Link link_;
  InstanceId id_;
  std::vector<Secret> keys_;
  std::shared_ptr<bool> is_connected_ = std::make_shared<bool>(true);
};

/// Jobs of the simulation have no containers.
class NoContainers : public Containers {
 public:
  Task<Status> ping() override { co_return fail(ErrorKind::unavailable, "no engine"); }
  Task<Status> pull(std::string) override { co_return fail(ErrorKind::unavailable, "no engine"); }
  Task<Result<bool>> has_image(std::string) override { co_return false; }
  Task<Status> create_network(std::string) override { co_return Status(); }
  Task<Status> create_volume(VolumeSpec) override { co_return Status(); }
  Task<Result<std::string>> create_container(ContainerSpec) override {
    co_return fail(ErrorKind::unavailable, "no engine");
  }
  Task<Result<ContainerState>> inspect(std::string) override { co_return ContainerState{}; }
  Task<Status> kill(std::string) override { co_return Status(); }
};

class SilentObserver : public RunObserver {
 public:
  void phase_done(std::string_view, std::string_view, Duration) override {}
  void note(std::string_view) override {}
  void step_started(const std::string&) override {}
  void step_output(const std::string&, std::string_view) override {}
  void step_finished(const std::string&, const StepResult&) override {}
};

}  // namespace

Task<Result<std::unique_ptr<Machine>>> SimConnector::connect(MachineTarget target,
                                                             Duration time_max) {
  Task<std::optional<Error>> sending = link_.send("ssh connect", 20ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  world_.settle();
  const ec2model::Instance* instance = world_.model.find_by_address(target.address);
  const auto host =
      instance == nullptr ? world_.hosts.end() : world_.hosts.find(InstanceId(instance->id));
  const bool is_up = host != world_.hosts.end() && host->second.is_up && !host->second.is_broken;
  if (!is_up) {
    co_await world_.clock.sleep(time_max);
    co_return fail(ErrorKind::timeout, "no answer of SSH (simulated)");
  }
  if (!world_.lets_in(host->first, target.private_keys)) {
    co_return fail(ErrorKind::unauthenticated, "the key is refused (simulated)", "", "KeyRefused");
  }
  if (world_.strikes(46, 0.2)) {
    if (world_.dice().hits(0.05)) {
      co_return fail(ErrorKind::unauthenticated, "another machine answers", "", "HostKeyMismatch");
    }
    co_await world_.clock.sleep(world_.dice().between(Duration{1ms}, time_max));
    co_return fail(ErrorKind::unavailable, "SSH refused (simulated)");
  }
  Task<std::optional<Error>> receiving = link_.receive("ssh connect", 20ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  std::unique_ptr<Machine> machine = std::make_unique<SimMachine>(world_, InstanceId(instance->id),
                                                                  std::move(target.private_keys));
  co_return machine;
}

Task<Status> SimConnector::knock(std::string address, int port, Duration time_max) {
  static_cast<void>(port);
  Task<std::optional<Error>> sending = link_.send("ssh knock", 5ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  const auto find_host = [&] {
    world_.settle();
    const ec2model::Instance* instance = world_.model.find_by_address(address);
    return instance == nullptr ? world_.hosts.end() : world_.hosts.find(InstanceId(instance->id));
  };
  const Duration until = world_.now() + time_max;
  auto host = find_host();
  const bool is_booting = host != world_.hosts.end() && !host->second.is_up;
  if (is_booting) {
    const Duration boots_in = host->second.boots_at - world_.now();
    co_await world_.clock.sleep(std::clamp<Duration>(boots_in, 1ms, time_max));
    host = find_host();
  }
  const bool answers = host != world_.hosts.end() && host->second.is_up && !host->second.is_broken;
  if (!answers) co_await world_.clock.sleep(until - world_.now());
  Task<std::optional<Error>> receiving = link_.receive("ssh knock", 1ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  if (answers) co_return Status();
  co_return fail(ErrorKind::timeout, "nothing listens there (simulated)");
}

std::unique_ptr<Containers> SimConnector::containers_of(Machine& machine) {
  static_cast<void>(machine);
  return std::make_unique<NoContainers>();
}

std::unique_ptr<RunObserver> NoOutput::open(const Job& job, const LeaseId& lease) {
  static_cast<void>(job);
  static_cast<void>(lease);
  return std::make_unique<SilentObserver>();
}

}  // namespace muster::simulation
