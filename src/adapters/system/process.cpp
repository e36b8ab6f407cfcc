#include "adapters/system/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace muster::system {
namespace {

struct Pipe {
  int read = -1;
  int write = -1;
  bool open() {
    std::array<int, 2> ends{-1, -1};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  void close_write() {
    if (write >= 0) close(write);
    write = -1;
  }
  ~Pipe() {
    if (read >= 0) close(read);
    close_write();
  }
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

void collect(Pipe& out, Pipe& err, ProcessResult& result) {
  std::array<pollfd, 2> watched{pollfd{out.read, POLLIN, 0}, pollfd{err.read, POLLIN, 0}};
  int open_count = 2;
  while (open_count > 0) {
    if (poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < watched.size(); ++i) {
      if (watched[i].fd < 0 || watched[i].revents == 0) continue;
      std::array<char, 65536> block{};
      const ssize_t size = read(watched[i].fd, block.data(), block.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) {
        watched[i].fd = -1;
        --open_count;
      } else {
        (i == 0 ? result.out : result.err).append(block.data(), static_cast<std::size_t>(size));
      }
    }
  }
}

}  // namespace

Result<ProcessResult> run_process(const ProcessRequest& request) {
  Pipe out;
  Pipe err;
  if (!out.open() || !err.open()) {
    return fail(ErrorKind::unavailable, fmt::format("no pipe: {}", std::strerror(errno)));
  }
  std::vector<std::string> arguments = request.arguments;
  std::vector<std::string> environment;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry(*at);
    bool is_replaced = false;
    for (const auto& [name, value] : request.environment) {
      is_replaced = is_replaced || entry.starts_with(name + "=");
    }
    if (!is_replaced) environment.emplace_back(entry);
  }
  for (const auto& [name, value] : request.environment) environment.push_back(name + "=" + value);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  if (!request.folder.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, request.folder.c_str());
  }
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, arguments.front().c_str(), &actions, nullptr,
                                 pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(error == ENOENT ? ErrorKind::not_found : ErrorKind::unavailable,
                fmt::format("cannot run {}: {}", request.arguments.front(), std::strerror(error)),
                fmt::format("Install {}.", request.arguments.front()));
  }
  out.close_write();
  err.close_write();
  ProcessResult result;
  collect(out, err, result);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace muster::system
