#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "ec2sim/guest/guest.hpp"
#include "ec2sim/guest/netlink.hpp"
#include "ec2sim/guest/supervisor.hpp"

namespace ec2sim::guest {
namespace {

/// What DIR/machine.conf says, one `key=value` a line.
struct Config {
  char lower[PATH_MAX] = "/";
  char hostname[128] = "";
  std::uint32_t address = 0;
  std::uint32_t public_address = 0;
  std::uint32_t router = 0;
  bool has_docker = false;
  bool has_boot_script = false;
};

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "ec2sim-init: %s: %s\n", what, std::strerror(errno));
  _exit(70);
}

void must(bool is_fine, const char* what) {
  if (!is_fine) die(what);
}

Config read_config(const char* path) {
  Config config;
  FILE* file = std::fopen(path, "re");
  must(file != nullptr, path);
  char line[PATH_MAX + 64];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    line[std::strcspn(line, "\n")] = '\0';
    char* value = std::strchr(line, '=');
    if (value == nullptr) continue;
    *value++ = '\0';
    const auto number = static_cast<std::uint32_t>(std::strtoul(value, nullptr, 10));
    if (std::strcmp(line, "lower") == 0)
      std::snprintf(config.lower, sizeof config.lower, "%s", value);
    if (std::strcmp(line, "hostname") == 0) {
      std::snprintf(config.hostname, sizeof config.hostname, "%s", value);
    }
    if (std::strcmp(line, "address") == 0) config.address = number;
    if (std::strcmp(line, "public_address") == 0) config.public_address = number;
    if (std::strcmp(line, "router") == 0) config.router = number;
    if (std::strcmp(line, "docker") == 0) config.has_docker = number != 0;
    if (std::strcmp(line, "boot_script") == 0) config.has_boot_script = number != 0;
  }
  std::fclose(file);
  return config;
}

void make_mount(const char* type, const char* target, unsigned long flags, const char* data) {
  mkdir(target, 0755);
  if (mount(type, target, type, flags, data) != 0) {
    std::fprintf(stderr, "ec2sim-init: mount %s on %s: %s\n", type, target, std::strerror(errno));
  }
}

void make_link(const char* target, const char* path) { must(symlink(target, path) == 0, path); }

void make_devices() {
  struct Device {
    const char* path;
    unsigned major;
    unsigned minor;
  };
  constexpr Device kDevices[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
                                 {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
                                 {"dev/fuse", 10, 229}};
  for (const Device& device : kDevices) {
    mknod(device.path, S_IFCHR | 0666, makedev(device.major, device.minor));
    chmod(device.path, 0666);
  }
  mkdir("dev/net", 0755);
  mknod("dev/net/tun", S_IFCHR | 0666, makedev(10, 200));
  make_link("pts/ptmx", "dev/ptmx");
  make_link("/proc/self/fd", "dev/fd");
  make_link("/proc/self/fd/0", "dev/stdin");
  make_link("/proc/self/fd/1", "dev/stdout");
  make_link("/proc/self/fd/2", "dev/stderr");
  mkfifo("dev/console", 0622);
  chmod("dev/console", 0622);
}

/// Leaves the simulator's view of the file system for the machine's own. Works inside a chroot,
/// where `/` is no mount point: joining the own mount namespace resets the root directory to the
/// real one, and all paths get the chroot's in front (docs/protocols/machines.md).
void enter_root(const char* dir, const Config& config) {
  const int root = open("/", O_PATH | O_CLOEXEC);
  const int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  must(root >= 0 && own >= 0, "open the mount namespace");
  must(setns(own, CLONE_NEWNS) == 0, "join the own mount namespace");
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", root);
  char prefix[PATH_MAX] = "";
  // The real root has no /proc where it is an empty host; then there was no chroot either.
  const ssize_t length = readlink(link, prefix, sizeof prefix - 1);
  prefix[length > 0 ? length : 0] = '\0';
  if (std::strcmp(prefix, "/") == 0) prefix[0] = '\0';
  close(root);
  close(own);
  must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");

  char base[PATH_MAX];
  std::snprintf(base, sizeof base, "%s%s", prefix, dir);
  must(chdir(base) == 0, base);
  char options[3 * PATH_MAX];
  const bool is_whole = std::strcmp(config.lower, "/") == 0 && prefix[0] != '\0';
  std::snprintf(options, sizeof options, "lowerdir=%s%s,upperdir=upper,workdir=work", prefix,
                is_whole ? "" : config.lower);
  must(mount("overlay", "root", "overlay", 0, options) == 0, "mount the overlay");
  if (config.has_docker) {
    mkdir("root/var", 0755);
    mkdir("root/var/lib", 0755);
    mkdir("root/var/lib/docker", 0711);
    must(mount("docker", "root/var/lib/docker", nullptr, MS_BIND, nullptr) == 0,
         "bind /var/lib/docker");
  }
  must(chdir("root") == 0, "enter the root");
  make_mount("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  make_mount("tmpfs", "dev", MS_NOSUID, "mode=755,size=4m");
  make_devices();
  make_mount("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC,
             "newinstance,ptmxmode=0666,mode=620,gid=5");
  make_mount("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV, nullptr);
  make_mount("mqueue", "dev/mqueue", MS_NOSUID | MS_NODEV, nullptr);
  make_mount("sysfs", "sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  make_mount("cgroup2", "sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  make_mount("tmpfs", "run", MS_NOSUID | MS_NODEV, "mode=755");
  mkdir("run/sshd", 0755);
  mkdir("run/lock", 01777);
  must(syscall(SYS_pivot_root, ".", ".") == 0, "pivot the root");
  must(umount2(".", MNT_DETACH) == 0, "leave the old root");
  must(chdir("/") == 0, "enter /");
  mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr);
  for (const char* secret : {"/proc/kcore", "/proc/sysrq-trigger"}) {
    mount("/dev/null", secret, nullptr, MS_BIND, nullptr);
  }
  must(sethostname(config.hostname, std::strlen(config.hostname)) == 0, "set the host name");
}

/// A machine must not set the host's clock, load modules or touch its ports.
void drop_capabilities() {
  for (const int capability : {CAP_SYS_TIME, CAP_SYS_MODULE, CAP_SYS_RAWIO}) {
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

bool is_link_up(const char* name) {
  char path[128];
  std::snprintf(path, sizeof path, "/sys/class/net/%s/operstate", name);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char state[16] = "";
  const ssize_t size = read(fd, state, sizeof state - 1);
  close(fd);
  return size >= 2 && std::strncmp(state, "up", 2) == 0;
}

void write_file(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, text, std::strlen(text)) < 0) { /* Not there on this kernel. */
  }
  close(fd);
}

void configure_network(const Config& config) {
  write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
  write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
  Netlink kernel;
  must(kernel.is_open(), "open netlink");
  kernel.set_up("lo");
  errno = -kernel.add_address("eth0", config.address, 16);
  must(errno == 0, "set the address");
  if (config.public_address != 0) kernel.add_address("eth0", config.public_address, 32);
  errno = -kernel.set_up("eth0");
  must(errno == 0, "bring eth0 up");
  constexpr std::uint32_t kLinkLocalServices = 169U << 24 | 254U << 16 | 169U << 8 | 252U;
  kernel.add_route(0, 0, config.router, "eth0");
  kernel.add_route(kLinkLocalServices, 30, 0, "eth0");
  // Before the link is up, a first packet is lost and waits for its repetition.
  for (int i = 0; i < 2000 && !is_link_up("eth0"); ++i) usleep(200);
}

void delegate_cgroups() {
  mkdir("/sys/fs/cgroup/init", 0755);
  write_file("/sys/fs/cgroup/init/cgroup.procs", "0");
  char controllers[512] = "";
  const int fd = open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t size = read(fd, controllers, sizeof controllers - 1);
  close(fd);
  if (size <= 0) return;
  char* rest = controllers;
  while (const char* name = strtok_r(rest, " \n", &rest)) {
    char enable[80];
    std::snprintf(enable, sizeof enable, "+%s", name);
    write_file("/sys/fs/cgroup/cgroup.subtree_control", enable);
  }
}

void start_services(const Config& config) {
  start("/var/log/sshd.log",
        {"/usr/sbin/sshd", "-D", "-e", "-o", "UsePAM=no", "-h", "/etc/ssh/ssh_host_ed25519_key"});
  if (config.has_docker) {
    start("/var/log/docker.log",
          {"/usr/sbin/dockerd", "--storage-driver", "overlay2", "--add-runtime",
           "filtered=/usr/local/lib/ec2sim/ec2sim-runc", "--default-runtime", "filtered"});
  }
  if (config.has_boot_script) {
    start("/dev/null", {"/bin/sh", "-c",
                        "sh /var/lib/cloud/instance/boot.sh 2>&1 | "
                        "tee -a /var/log/cloud-init-output.log > /dev/console"});
  }
}

}  // namespace

int init_main(int argc, char** argv) {
  // Outside a process namespace it would end everything.
  if (argc != 4 || getpid() != 1) return 64;
  const char* dir = argv[1];
  const int go = std::atoi(argv[2]);
  const int console = std::atoi(argv[3]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  fcntl(go, F_SETFD, FD_CLOEXEC);
  fcntl(console, F_SETFD, FD_CLOEXEC);
  dup2(console, 2);
  umask(022);
  char path[PATH_MAX];
  std::snprintf(path, sizeof path, "%s/machine.conf", dir);
  const Config config = read_config(path);
  unshare(CLONE_NEWCGROUP);
  enter_root(dir, config);
  drop_capabilities();
  // No byte but the end of the file: the simulator died before the network was made.
  char word = 0;
  if (read(go, &word, 1) != 1) return 0;
  close(go);
  configure_network(config);
  if (config.has_docker) delegate_cgroups();
  // Before the first child, so that no signal is lost.
  const char banner[] = "ec2sim: machine is up\r\n";
  append_console(console, banner, sizeof banner - 1);
  block_signals();
  start_services(config);
  reap_for_ever(console);
}

}  // namespace ec2sim::guest
