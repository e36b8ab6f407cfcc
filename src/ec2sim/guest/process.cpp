#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "ec2sim/guest/guest.hpp"
#include "ec2sim/guest/supervisor.hpp"

namespace ec2sim::guest {
namespace {

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "ec2sim-process: %s: %s\r\n", what, std::strerror(errno));
  _exit(70);
}

void must(bool is_fine, const char* what) {
  if (!is_fine) die(what);
}

void write_text(const char* path, const char* text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  must(file >= 0 && write(file, text, std::strlen(text)) >= 0, path);
  close(file);
}

/// Maps the own user and group onto themselves: more is not allowed without root.
void enter_user_namespace() {
  const unsigned uid = getuid();
  const unsigned gid = getgid();
  constexpr int kFlags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
  must(unshare(kFlags) == 0, "make namespaces (are unprivileged user namespaces allowed?)");
  write_text("/proc/self/setgroups", "deny");
  char map[64];
  std::snprintf(map, sizeof map, "%u %u 1\n", uid, uid);
  write_text("/proc/self/uid_map", map);
  std::snprintf(map, sizeof map, "%u %u 1\n", gid, gid);
  write_text("/proc/self/gid_map", map);
}

void bind(const char* source, const char* target) {
  must(mount(source, target, nullptr, MS_BIND | MS_REC, nullptr) == 0, target);
}

/// Devices of the host that anyone may use, and a console of the machine's own.
void make_devices() {
  must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=4m") == 0, "mount dev");
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    char from[64];
    char to[64];
    std::snprintf(from, sizeof from, "/dev/%s", name);
    std::snprintf(to, sizeof to, "dev/%s", name);
    const int file = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0) close(file);
    bind(from, to);
  }
  mkdir("dev/pts", 0755);
  if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
            "newinstance,ptmxmode=0666,mode=620") == 0) {
    if (symlink("pts/ptmx", "dev/ptmx") != 0) die("dev/ptmx");
  }
  mkdir("dev/shm", 01777);
  for (const auto& [target, path] :
       {std::pair{"/proc/self/fd", "dev/fd"}, std::pair{"/proc/self/fd/0", "dev/stdin"},
        std::pair{"/proc/self/fd/1", "dev/stdout"}, std::pair{"/proc/self/fd/2", "dev/stderr"}}) {
    if (symlink(target, path) != 0) die(path);
  }
  must(mkfifo("dev/console", 0622) == 0, "dev/console");
  bind("dev", "/dev");
}

void enter_root(const char* hostname) {
  must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
  make_devices();
  // A host that masks parts of /proc allows no new one; the old one shows the host's processes.
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) errno = 0;
  bind("etc/passwd", "/etc/passwd");
  bind("etc/group", "/etc/group");
  if (access("/etc/nsswitch.conf", F_OK) == 0) bind("etc/nsswitch.conf", "/etc/nsswitch.conf");
  bind("etc/ssh", "/etc/ssh");
  bind("home", "/home");
  bind(".", "/mnt");
  must(mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") == 0, "mount /run");
  must(mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0, "mount /tmp");
  must(mount("tmpfs", "/var/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0,
       "mount /var/tmp");
  must(chdir("/") == 0, "enter /");
  must(sethostname(hostname, std::strlen(hostname)) == 0, "set the host name");
}

/// The value of one line of machine.conf.
void read_setting(const char* name, char* to, std::size_t size) {
  FILE* file = std::fopen("machine.conf", "re");
  must(file != nullptr, "machine.conf");
  char line[512];
  const std::size_t length = std::strlen(name);
  while (std::fgets(line, sizeof line, file) != nullptr) {
    line[std::strcspn(line, "\n")] = '\0';
    if (std::strncmp(line, name, length) == 0 && line[length] == '=') {
      std::snprintf(to, size, "%s", line + length + 1);
    }
  }
  std::fclose(file);
}

[[noreturn]] void be_first_process(int console) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char hostname[128] = "";
  char home[256] = "";
  char endpoint[128] = "";
  read_setting("hostname", hostname, sizeof hostname);
  read_setting("home", home, sizeof home);
  read_setting("imds", endpoint, sizeof endpoint);
  enter_root(hostname);
  const char banner[] = "ec2sim: machine is up\r\n";
  append_console(console, banner, sizeof banner - 1);
  block_signals();
  setenv("PATH", "/mnt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", home, 1);
  setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint, 1);
  start("/mnt/sshd.log", {"/usr/sbin/sshd", "-D", "-e", "-f", "/mnt/sshd_config"});
  start("/dev/null", {"/bin/sh", "-c",
                      "sh /mnt/boot.sh 2>&1 | tee -a /mnt/cloud-init-output.log > /dev/console"});
  reap_for_ever(console);
}

}  // namespace

int process_main(int argc, char** argv) {
  if (argc != 2) return 64;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int console = std::atoi(argv[1]);
  fcntl(console, F_SETFD, FD_CLOEXEC);
  dup2(console, 2);
  umask(022);
  enter_user_namespace();
  const pid_t child = fork();
  must(child >= 0, "fork");
  if (child == 0) be_first_process(console);
  // SIGTERM and SIGINT are the simulator's wishes for the first process.
  static pid_t first = child;
  for (const int signal : {SIGTERM, SIGINT}) {
    std::signal(signal, [](int number) { kill(first, number); });
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  // reboot() in a process namespace ends its first process by a signal that tells which.
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) return 10;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) return 11;
  return 12;
}

}  // namespace ec2sim::guest
