#include "cli/connect_command.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "adapters/system/real_clock.hpp"
#include "cli/cloud_wiring.hpp"
#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "service/machine_identity.hpp"

namespace muster::cli {
namespace {

using namespace std::chrono_literals;

constexpr int kSshFailed = 255;
constexpr std::array kLeftToSsh{SIGINT, SIGQUIT, SIGHUP, SIGTERM};

/// A folder that nobody else can read, gone with this value.
class PrivateFolder {
 public:
  PrivateFolder() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    std::string name = std::string(runtime == nullptr ? "/tmp" : runtime) + "/muster-ssh-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~PrivateFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Whether it could be written.
  [[nodiscard]] bool add(const std::string& name, const std::string& text) const {
    const mode_t before = ::umask(0077);
    std::ofstream file(path_ + "/" + name);
    ::umask(before);
    return static_cast<bool>(file << text << std::flush);
  }

 private:
  std::string path_;
};

Error no_way(const std::string& why, const std::string& remedy) {
  return fail(ErrorKind::conflict, why, remedy, "E0609").value();
}

/// Errors: not_found, conflict (the job has no machine now).
Result<std::string> instance_of(DaemonClient& client, const std::string& id) {
  if (id.starts_with("i-")) return id;
  const Result<Node> shown = client.get("/jobs/" + path_segment(id));
  if (!shown) return tl::unexpected<Error>(shown.error());
  const std::string state = shown->text_at({"job", "state"});
  std::string instance = shown->text_at({"job", "instance"});
  const bool has_machine = !instance.empty() && (state == "leased" || state == "running");
  if (has_machine) return instance;
  return tl::unexpected<Error>(
      no_way(fmt::format("job {} is {}: it has no machine", id, state),
             "Connect while it runs; muster logs shows what it has printed."));
}

int run_ssh(const std::vector<std::string>& words) {
  std::vector<std::string> own = words;
  std::vector<char*> arguments;
  for (std::string& word : own) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t usual;
  sigemptyset(&usual);
  for (const int number : kLeftToSsh) sigaddset(&usual, number);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, arguments.front(), nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return report(no_way("ssh cannot be run", "Install openssh-client."));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code == kSshFailed ? static_cast<int>(kUnreachable) : code;
}

}  // namespace

int run_connect(const std::string& id, const std::vector<std::string>& command) {
  if (std::getenv("MUSTER_URL") != nullptr) {
    return report(no_way("MUSTER_URL names a daemon elsewhere, and the keys are on its machine",
                         "Connect there."));
  }
  // They reach ssh too, and end it; then the key is removed.
  for (const int number : kLeftToSsh) std::signal(number, SIG_IGN);
  std::string port;
  std::string login;
  const PrivateFolder folder;
  {
    DaemonClient client;
    const Result<std::string> instance = instance_of(client, id);
    if (!instance) return report(instance.error());
    const Result<Node> way = client.get("/instances/" + path_segment(*instance) + "/ssh");
    if (!way) return report(way.error());
    system::SystemRandom random;
    const Result<Secret> secret = cluster_secret(random);
    if (!secret) return report(secret.error());
    const DerivedKey key = machine_key(keys_of(*secret), IntentId(way->text_at({"intent"})),
                                       InstanceId(way->text_at({"instance"})));
    port = way->text_at({"port"});
    login = way->text_at({"user"}) + "@" + way->text_at({"address"});
    std::string known;
    const std::string keys = way->text_at({"host_keys"});
    for (std::size_t begin = 0; begin < keys.size();) {
      const std::size_t end = std::min(keys.find('\n', begin), keys.size());
      known += fmt::format("muster-machine {}\n", keys.substr(begin, end - begin));
      begin = end + 1;
    }
    const bool is_written = !folder.path().empty() && folder.add("known_hosts", known) &&
                            folder.add("key", key.private_key.reveal());
    if (!is_written) {
      return report(no_way("the key cannot be written to a private file",
                           "Is there room in XDG_RUNTIME_DIR, or in /tmp?"));
    }
  }
  std::vector<std::string> words{"ssh",
                                 "-F",
                                 "none",
                                 "-i",
                                 folder.path() + "/key",
                                 "-o",
                                 "UserKnownHostsFile=" + folder.path() + "/known_hosts",
                                 "-o",
                                 "GlobalKnownHostsFile=/dev/null",
                                 "-o",
                                 "HostKeyAlias=muster-machine",
                                 "-o",
                                 "StrictHostKeyChecking=yes",
                                 "-o",
                                 "IdentitiesOnly=yes",
                                 "-o",
                                 "BatchMode=yes",
                                 "-o",
                                 "ConnectTimeout=10",
                                 "-o",
                                 "LogLevel=ERROR",
                                 "-p",
                                 port,
                                 "--",
                                 login};
  words.insert(words.end(), command.begin(), command.end());
  return run_ssh(words);
}

}  // namespace muster::cli
