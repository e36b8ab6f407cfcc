#include "ec2sim/guest/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ec2sim/guest/guest.hpp"

namespace ec2sim::guest {

void start(const char* log, std::initializer_list<const char*> words) {
  if (fork() != 0) return;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();
  const int null = open("/dev/null", O_RDWR);
  const int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0640);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
  for (int fd = 3; fd < 64; ++fd) close(fd);
  char* arguments[24] = {};
  std::size_t count = 0;
  for (const char* word : words) {
    if (count < 23) arguments[count++] = const_cast<char*>(word);
  }
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
  setenv("HOME", "/root", 0);
  execv(arguments[0], arguments);
  std::fprintf(stderr, "ec2sim-init: %s: %s\n", arguments[0], std::strerror(errno));
  _exit(127);
}

namespace {

/// Asks everything to end, waits up to a grace, kills the rest and powers off.
[[noreturn]] void power_down(int how) {
  kill(-1, SIGTERM);
  for (int waited = 0; waited < 100; ++waited) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
    if (kill(-1, 0) != 0 && errno == ESRCH) break;
    usleep(20'000);
  }
  kill(-1, SIGKILL);
  sync();
  reboot(how);
  _exit(0);
}

}  // namespace

void append_console(int console, const char* bytes, std::size_t size) {
  constexpr off_t kBytesMax = 1 << 20;
  if (write(console, bytes, size) < 0) return;
  const off_t end = lseek(console, 0, SEEK_END);
  if (end <= kBytesMax) return;
  static char tail[64 << 10];
  const ssize_t kept = pread(console, tail, sizeof tail, end - static_cast<off_t>(sizeof tail));
  if (kept <= 0 || ftruncate(console, 0) != 0) return;
  if (write(console, tail, static_cast<std::size_t>(kept)) < 0) return;
}

void block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

[[noreturn]] void reap_for_ever(int console) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int told = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  mkfifo("/run/initctl", 0600);
  const int control = open("/run/initctl", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  const int terminal = open("/dev/console", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  pollfd watched[] = {{told, POLLIN, 0}, {control, POLLIN, 0}, {terminal, POLLIN, 0}};
  while (true) {
    if (poll(watched, 3, -1) < 0 && errno != EINTR) _exit(70);
    signalfd_siginfo info{};
    while (read(told, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGTERM) power_down(RB_POWER_OFF);
      if (info.ssi_signo == SIGINT) power_down(RB_AUTOBOOT);
    }
    while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
    char bytes[4096];
    for (ssize_t size = 0; (size = read(terminal, bytes, sizeof bytes)) > 0;) {
      append_console(console, bytes, static_cast<std::size_t>(size));
    }
    InitRequest request;
    while (read(control, &request, sizeof request) == sizeof request) {
      if (request.magic != InitRequest().magic || request.command != 1) continue;
      if (request.runlevel == '6') power_down(RB_AUTOBOOT);
      if (request.runlevel == '0') power_down(RB_POWER_OFF);
    }
  }
}

}  // namespace ec2sim::guest
