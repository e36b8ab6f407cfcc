#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "ec2sim/guest/guest.hpp"

namespace ec2sim::guest {
namespace {

constexpr const char* kScheduled = "/run/shutdown.pid";

int ask_init(char runlevel) {
  const int control = open("/run/initctl", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (control < 0) {
    std::fprintf(stderr, "shutdown: cannot reach init: %s\n", std::strerror(errno));
    return 1;
  }
  InitRequest request;
  request.runlevel = static_cast<unsigned char>(runlevel);
  return write(control, &request, sizeof request) == sizeof request ? 0 : 1;
}

void cancel_scheduled() {
  FILE* file = std::fopen(kScheduled, "re");
  if (file == nullptr) return;
  int pid = 0;
  if (std::fscanf(file, "%d", &pid) == 1 && pid > 1) kill(pid, SIGTERM);
  std::fclose(file);
  unlink(kScheduled);
}

/// Seconds until the time that `text` names, negative if it names none.
long seconds_until(const char* text) {
  if (std::strcmp(text, "now") == 0) return 0;
  char* end = nullptr;
  if (text[0] == '+') {
    const long minutes = std::strtol(text + 1, &end, 10);
    return end == text + 1 || *end != '\0' || minutes < 0 ? -1 : minutes * 60;
  }
  int hour = 0;
  int minute = 0;
  char rest = 0;
  if (std::sscanf(text, "%d:%d%c", &hour, &minute, &rest) != 2) return -1;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return -1;
  const std::time_t now = std::time(nullptr);
  std::tm then{};
  localtime_r(&now, &then);
  then.tm_hour = hour;
  then.tm_min = minute;
  then.tm_sec = 0;
  std::time_t at = std::mktime(&then);
  if (at <= now) at += 24L * 3600;
  return at - now;
}

int schedule(long seconds, char runlevel) {
  cancel_scheduled();
  const pid_t pid = fork();
  if (pid < 0) return 1;
  if (pid > 0) {
    FILE* file = std::fopen(kScheduled, "we");
    if (file != nullptr) {
      std::fprintf(file, "%d\n", pid);
      std::fclose(file);
    }
    std::fprintf(stderr, "Shutdown scheduled in %ld s, use 'shutdown -c' to cancel.\n", seconds);
    return 0;
  }
  setsid();
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  for (int fd = 3; fd < 64; ++fd) close(fd);
  timespec at{};
  clock_gettime(CLOCK_BOOTTIME, &at);
  at.tv_sec += seconds;
  while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, nullptr) == EINTR) continue;
  _exit(ask_init(runlevel));
}

}  // namespace

int shutdown_main(const char* name, int argc, char** argv) {
  char runlevel = std::strcmp(name, "reboot") == 0 ? '6' : '0';
  const bool is_shutdown = std::strcmp(name, "shutdown") == 0;
  const char* when = is_shutdown ? "+1" : "now";
  for (int i = 1; i < argc; ++i) {
    const char* word = argv[i];
    if (std::strcmp(word, "-c") == 0) {
      cancel_scheduled();
      return 0;
    }
    if (std::strcmp(word, "-r") == 0 || std::strcmp(word, "--reboot") == 0) {
      runlevel = '6';
    } else if (word[0] == '-') {
      const bool is_known = std::strcmp(word, "-h") == 0 || std::strcmp(word, "-P") == 0 ||
                            std::strcmp(word, "-H") == 0 || std::strcmp(word, "-f") == 0 ||
                            std::strcmp(word, "-p") == 0 || std::strcmp(word, "--poweroff") == 0 ||
                            std::strcmp(word, "--no-wall") == 0;
      if (!is_known) {
        std::fprintf(stderr, "%s: unrecognized option '%s'\n", name, word);
        return 1;
      }
    } else {
      when = word;
      break;  // The rest is the message.
    }
  }
  // Who may tell the first process may end the machine: root, or the one user of a process machine.
  if (access("/run/initctl", W_OK) != 0) {
    std::fprintf(stderr, "%s: must be root\n", name);
    return 1;
  }
  const long seconds = seconds_until(when);
  if (seconds < 0) {
    std::fprintf(stderr, "%s: cannot read the time '%s'\n", name, when);
    return 1;
  }
  return seconds == 0 ? ask_init(runlevel) : schedule(seconds, runlevel);
}

}  // namespace ec2sim::guest
