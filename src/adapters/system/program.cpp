#include "adapters/system/program.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <cstring>

namespace muster::system {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kOutputMax = 1 << 20;
constexpr std::size_t kErrorShown = 400;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// A child that does not outlive its owner.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Its exit code, or 128 and the number of its signal.
  int wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

Task<Result<std::string>> read_all(asio::posix::stream_descriptor* from) {
  std::string all;
  std::array<char, 16384> block{};
  while (all.size() < kOutputMax) {
    auto [error, size] =
        co_await from->async_read_some(asio::buffer(block), asio::as_tuple(use_task));
    if (error) co_return all;
    all.append(block.data(), size);
  }
  co_return fail(ErrorKind::unavailable, fmt::format("it printed over {} bytes", kOutputMax));
}

Task<Result<std::string>> run(Executor executor, std::vector<std::string> arguments) {
  std::array<int, 2> out{-1, -1};
  // A file for its complaints: nobody has to read it while the program runs.
  const Descriptor complaints(memfd_create("stderr", MFD_CLOEXEC));
  if (complaints.get() < 0 || pipe2(out.data(), O_CLOEXEC) != 0) {
    co_return fail(ErrorKind::unavailable, fmt::format("no pipe: {}", std::strerror(errno)));
  }
  asio::posix::stream_descriptor from_out(executor, out[0]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, complaints.get(), 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, words.front(), &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  if (error != 0) {
    co_return fail(error == ENOENT ? ErrorKind::not_found : ErrorKind::unavailable,
                   fmt::format("cannot run {}: {}", arguments.front(), std::strerror(error)),
                   fmt::format("Install {}, or correct its path.", arguments.front()));
  }
  Child child(pid);
  Task<Result<std::string>> reading = read_all(&from_out);
  Result<std::string> text = co_await std::move(reading);
  if (!text) co_return text;
  // It may have closed its output and live on: its end is awaited, not blocked on.
  asio::posix::stream_descriptor end(executor);
  const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd >= 0) {
    end.assign(pidfd);
    co_await end.async_wait(asio::posix::stream_descriptor::wait_read, asio::as_tuple(use_task));
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return fail(ErrorKind::cancelled, "interrupted");
    }
  }
  const int code = child.wait();
  if (code == 0) co_return text;
  std::string complaint(kErrorShown, '\0');
  const ssize_t size = pread(complaints.get(), complaint.data(), complaint.size(), 0);
  complaint.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!complaint.empty() && (complaint.back() == '\n' || complaint.back() == ' ')) {
    complaint.pop_back();
  }
  co_return fail(ErrorKind::unavailable, fmt::format("exit code {}: {}", code, complaint));
}

}  // namespace

Task<Result<std::string>> run_program(Executor executor, Clock& clock,
                                      std::vector<std::string> arguments, Duration limit) {
  Task<Result<std::string>> running = run(std::move(executor), std::move(arguments));
  Task<Result<std::string>> bounded = with_deadline(clock, limit, std::move(running));
  co_return co_await std::move(bounded);
}

}  // namespace muster::system
