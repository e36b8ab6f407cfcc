#include "cli/daemon_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>

#include "adapters/http/server.hpp"
#include "adapters/sqlite/sqlite_store.hpp"
#include "adapters/ssh/ssh_machine.hpp"
#include "adapters/system/files.hpp"
#include "base/task.hpp"
#include "cli/configuration.hpp"
#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/job_folder.hpp"
#include "service/api.hpp"
#include "service/control_loop.hpp"
#include "service/journal.hpp"
#include "service/submit_queue.hpp"

namespace muster::cli {

namespace asio = boost::asio;

namespace {

/// Held for as long as the daemon runs: two of them on one state folder would fight.
class DaemonLock {
 public:
  static Result<std::unique_ptr<DaemonLock>> take() {
    const std::string folder = state_folder();
    std::error_code ignored;
    std::filesystem::create_directories(folder, ignored);
    std::unique_ptr<DaemonLock> lock(new DaemonLock());
    lock->file_ = open((folder + "/daemon.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock->file_ < 0) {
      return fail(ErrorKind::unavailable,
                  fmt::format("cannot write {}: {}", folder, std::strerror(errno)),
                  "Set MUSTER_STATE to a folder that can be written.", "E0303");
    }
    if (flock(lock->file_, LOCK_EX | LOCK_NB) == 0) return lock;
    return fail(ErrorKind::conflict, fmt::format("a muster daemon runs on {} already", folder),
                "Stop it, or set MUSTER_STATE to another folder and cluster to another name.",
                "E0601");
  }
  ~DaemonLock() {
    if (file_ >= 0) close(file_);
  }
  DaemonLock(const DaemonLock&) = delete;
  DaemonLock& operator=(const DaemonLock&) = delete;

 private:
  DaemonLock() = default;
  int file_ = -1;
};

/// A damaged store is set aside: what runs is found again by its tags.
Result<std::unique_ptr<sqlite::SqliteStore>> open_store(Wiring& wiring, const Log& log) {
  const std::string path = state_folder() + "/muster.db";
  auto store = sqlite::SqliteStore::open(wiring.context.get_executor(), path);
  if (store || store.error().kind != ErrorKind::corrupt) return store;
  const std::string aside =
      fmt::format("{}.damaged-{}", path, format_iso8601_basic(wiring.clock.now()));
  log.error("store_damaged", {{"error", store.error().describe()}, {"moved_to", aside}});
  fmt::print(stderr,
             "muster: {}; it is kept as {}. A new one is begun: machines and the jobs of CI "
             "servers are found again, history and submitted jobs that had not begun are lost.\n",
             store.error().message, aside);
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (error) return store;
  for (const char* more : {"-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::rename(path + more, aside + more, ignored);
  }
  return sqlite::SqliteStore::open(wiring.context.get_executor(), path);
}

/// Errors: invalid_input. The daemon serves one region.
Status check_pools(const Config& config) {
  if (config.file.empty()) {
    return fail(ErrorKind::invalid_input, "there is no muster.yml here",
                "Write one with a pool (docs/daemon.md shows it), or name it with --config.",
                "E0602");
  }
  if (config.pools.empty()) {
    return fail(ErrorKind::invalid_input, "the configuration has no pools",
                "Add one to muster.yml: an image, types and labels.", "E0602");
  }
  for (const auto& [name, pool] : config.pools) {
    if (pool.region.empty() || pool.region == config.region) continue;
    return fail(ErrorKind::invalid_input,
                fmt::format("pools.{}.region is {}, and the daemon serves {}", name, pool.region,
                            config.region.empty() ? "the default one" : config.region),
                "Run one daemon for each region, with a state folder and cluster of its own.",
                "E0602");
  }
  return {};
}

/// Errors: those of muster.yml; the configuration stays as it is then.
Result<Config> read_again(const ControlLoop& loop, const CommonFlags& common, const Log& log) {
  constexpr std::size_t kShown = 10;
  std::vector<std::string> problems;
  Result<Config> config = load_config(common.config, &problems);
  Status fine = config ? check_pools(*config) : Status(tl::unexpected<Error>(config.error()));
  const Config& before = loop.controller().config();
  if (fine && (config->cluster != before.cluster || config->region != before.region)) {
    fine = fail(ErrorKind::conflict, "cluster and region cannot be changed while the daemon runs",
                "Stop it first: what runs in the old ones has to end.");
  }
  const bool moves = fine && (config->api.listen != before.api.listen);
  if (moves) {
    fine = fail(ErrorKind::conflict, "api.listen cannot be changed while the daemon runs",
                "Put it back, or restart the daemon: jobs and machines go on meanwhile.");
  }
  if (!fine) {
    log.error("config_not_reloaded", {{"error", fine.error().describe()}});
    if (!config) {
      fine.error().code = "E0301";
      fine.error().message += "; nothing was changed";
      for (std::size_t i = 0; i < std::min(problems.size(), kShown); ++i) {
        fine.error().message += "\n" + problems[i];
      }
      if (problems.size() > kShown) {
        fine.error().message += fmt::format("\nand {} more", problems.size() - kShown);
      }
      fine.error().remedy = "Correct that, and reload again.";
    }
    return tl::unexpected<Error>(fine.error());
  }
  log.info("config_reloaded", {{"pools", config->pools.size()}});
  return config;
}

/// The local socket is the daemon's own user's, and root's; over TCP tokens count.
Result<ApiCaller> authenticate(ApiTokens& tokens, const HttpServerRequest& request) {
  if (!request.peer_user) {
    return tokens.find(header_value(request.headers, "Authorization"), request.peer_address);
  }
  const std::uint32_t user = *request.peer_user;
  if (user != 0 && user != geteuid()) {
    return fail(ErrorKind::forbidden, "who asks may not use this daemon",
                "Ask as the user that runs the daemon, or as root.");
  }
  // Whoever keeps the names may be slow: each is asked for once.
  static std::map<std::uint32_t, std::string> names;
  const auto [place, is_new] = names.try_emplace(user);
  if (is_new) {
    std::array<char, 4096> room{};
    passwd entry{};
    passwd* found = nullptr;
    getpwuid_r(user, &entry, room.data(), room.size(), &found);
    place->second = found == nullptr ? fmt::format("user {}", user) : std::string(entry.pw_name);
  }
  return ApiCaller{place->second, ApiRole::admin};
}

/// The first SIGTERM or SIGINT stops it in order, a second one at once; SIGHUP reads the
/// configuration again.
Task<> watch_signals(ControlLoop* loop, const CommonFlags* common, Duration stop_time, Log log) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM, SIGHUP);
  bool is_stopping = false;
  while (true) {
    const int number = co_await signals.async_wait(use_task);
    if (number == SIGHUP) {
      Result<Config> config = read_again(*loop, *common, log);
      if (config) loop->post(ConfigReplaced{std::move(*config)});
      continue;
    }
    if (is_stopping) std::_Exit(kInterrupted);
    is_stopping = true;
    log.info("stop_requested", {{"signal", number}});
    loop->stop(stop_time);
  }
}

Task<> say_when_ready(ControlLoop* loop, Clock* clock, const Config* config, std::string region) {
  while (!loop->has_listed_sources()) co_await clock->sleep(std::chrono::milliseconds{20});
  if (loop->is_rebuilt()) {
    fmt::print(stderr,
               "muster: the store was empty although machines of this cluster run: rebuilt from "
               "tags, machines and CI servers. Lost: history, and submitted jobs that had not "
               "begun.\n");
  }
  fmt::print(stderr, "muster daemon  cluster {} · {} · {} pool{} · ready\n", config->cluster,
             region, config->pools.size(), config->pools.size() == 1 ? "" : "s");
}

/// Where the API listens beside the local socket; nothing if nowhere. Errors: conflict.
Result<std::optional<asio::ip::tcp::acceptor>> listen_remote(const Executor& executor,
                                                             const Config& config) {
  const auto endpoint = parse_endpoint(config.api.listen);
  if (!endpoint) return std::nullopt;
  auto listening = http::listen(executor, endpoint->first, endpoint->second);
  if (!listening) {
    if (listening.error().kind == ErrorKind::conflict)
      listening.error().remedy = "Set api.listen to a free one.";
    return tl::unexpected<Error>(listening.error());
  }
  return std::optional<asio::ip::tcp::acceptor>(std::move(*listening));
}

Task<> serve(Wiring* wiring, const CommonFlags* common, const Config* config,
             const MakeSource* more, Duration stop_time, int* exit_code) {
  const Log log(common->level());
  const Result<Secret> secret = cluster_secret(wiring->random);
  const auto store = open_store(*wiring, log);
  for (const Error* error :
       {secret ? nullptr : &secret.error(), store ? nullptr : &store.error()}) {
    if (error == nullptr) continue;
    *exit_code = report(*error);
    co_return;
  }
  Task<Result<std::unique_ptr<CloudWiring>>> connecting =
      connect_cloud(wiring, &log, config->aws_profile, config->region);
  const Result<std::unique_ptr<CloudWiring>> connected = co_await std::move(connecting);
  if (!connected) {
    *exit_code = report(connected.error());
    co_return;
  }
  CloudWiring& around = **connected;
  const auto executor = wiring->context.get_executor();
  ssh::SshConnector connector(executor, wiring->clock);
  SubmitQueue queue(**store, wiring->clock, *secret, &JobFolder::read_bundle);
  const std::unique_ptr<CiServer> added = *more ? (*more)(*wiring) : nullptr;
  std::vector<CiServer*> sources{&queue};
  if (added) sources.push_back(added.get());
  JobLogs output;
  ControlLoop::Options options;
  options.cluster = config->cluster;
  options.region = around.region().value;
  options.secret = *secret;
  Journal journal(executor, log, wiring->clock.now());
  Metrics metrics;
  const ControlLoop* noted = nullptr;
  options.on_restored = [&](const Fleet& fleet) { journal.know(fleet); };
  options.on_committed = [&, clock = &wiring->clock](const FleetChanges& changes) {
    journal.note(changes, clock->now());
    metrics.note(changes, noted->fleet(), clock->now());
  };
  ControlLoop loop(executor,
                   {around.cloud(), around.cloud(), around.cloud(), around.resources(),
                    around.budget(), connector, wiring->docker, **store, **store, sources, output,
                    wiring->clock, wiring->random, log},
                   options, *config);
  noted = &loop;
  ApiTokens tokens(**store, wiring->clock, wiring->random);
  Api api({loop, **store, output, journal, metrics, tokens,
           [&tokens](const HttpServerRequest& request) { return authenticate(tokens, request); },
           [&loop, common, &log] { return read_again(loop, *common, log); }});
  http::Server server(executor, api, {}, log);
  // Whoever can reach the port gets little of this process before a token is seen.
  http::ServerLimits remote_limits;
  remote_limits.header_bytes_max = 16 << 10;
  remote_limits.body_bytes_max = 4 << 10;
  remote_limits.connections_max = 200;
  remote_limits.read_time_max = std::chrono::seconds{10};
  http::Server remote_server(executor, api, remote_limits, log);
  Task<Status> loading = tokens.load();
  const Status loaded = co_await std::move(loading);
  auto listening = http::listen_local(executor, daemon_socket());
  auto remote = listen_remote(executor, *config);
  const std::array<const Error*, 3> errors{loaded ? nullptr : &loaded.error(),
                                           listening ? nullptr : &listening.error(),
                                           remote ? nullptr : &remote.error()};
  for (const Error* error : errors) {
    if (error == nullptr) continue;
    *exit_code = report(*error);
    co_return;
  }
  TaskScope beside(executor);
  if (*remote) beside.spawn(remote_server.serve(std::move(**remote)));
  beside.spawn(server.serve(std::move(*listening)));
  beside.spawn(watch_signals(&loop, common, stop_time, log));
  beside.spawn(say_when_ready(&loop, &wiring->clock, config, options.region));
  Task<Status> running = loop.run();
  const Status ended = co_await std::move(running);
  ::unlink(daemon_socket().c_str());
  for (http::Server* one : {&server, &remote_server}) {
    Task<> leaving = one->stop(std::chrono::seconds{1});
    co_await std::move(leaving);
  }
  beside.cancel();
  Task<> joining = beside.join();
  co_await std::move(joining);
  *exit_code = ended ? kDone : report(ended.error());
}

}  // namespace

int run_daemon(const CommonFlags& common, const DaemonFlags& flags, const MakeSource& more) {
  const auto stop_time = parse_duration(flags.stop_time);
  if (!stop_time) {
    return report(fail(ErrorKind::invalid_input,
                       fmt::format("--stop-time \"{}\" is no duration", flags.stop_time),
                       "Write a number with s, m or h, such as 30s.", "E0101")
                      .value());
  }
  const Result<Config> config = load_config(common.config);
  if (!config) return report(config.error());
  if (const Status fine = check_pools(*config); !fine) return report(fine.error());
  const Result<std::unique_ptr<DaemonLock>> lock = DaemonLock::take();
  if (!lock) return report(lock.error());
  Wiring wiring;
  int exit_code = kBug;
  asio::co_spawn(wiring.context, serve(&wiring, &common, &*config, &more, *stop_time, &exit_code),
                 [](const std::exception_ptr& failure) {
                   if (failure) std::rethrow_exception(failure);
                 });
  wiring.context.run();
  return exit_code;
}

}  // namespace muster::cli
