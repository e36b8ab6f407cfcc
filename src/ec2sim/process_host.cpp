#include "ec2sim/process_host.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/sched.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/task.hpp"
#include "ec2sim/disk.hpp"
#include "ec2sim/user_data.hpp"
#include "wire/openssh_key.hpp"

namespace ec2sim {

namespace fs = std::filesystem;
using muster::ErrorKind;
using muster::fail;
using muster::Status;

namespace {

constexpr uid_t kNobody = 65534;
constexpr int kPoweredOff = 10;  // Exit codes of the guest program.
constexpr int kRestarts = 11;

uid_t machine_user() { return geteuid() == 0 ? kNobody : geteuid(); }
gid_t machine_group() { return geteuid() == 0 ? kNobody : getegid(); }

/// The folder is the machine's: a link that it left in the file's place must not lead out.
void write_file(const std::string& path, std::string_view text, mode_t mode) {
  unlink(path.c_str());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return;
  static_cast<void>(write(file, text.data(), text.size()));
  fchmod(file, mode);
  close(file);
}

/// Everything in the folder becomes the machine's user's.
void give_away(const std::string& dir) {
  if (geteuid() != 0) return;
  std::error_code ignored;
  static_cast<void>(lchown(dir.c_str(), machine_user(), machine_group()));
  for (const auto& entry : fs::recursive_directory_iterator(dir, ignored)) {
    static_cast<void>(lchown(entry.path().c_str(), machine_user(), machine_group()));
  }
}

}  // namespace

ProcessHost::ProcessHost(muster::Executor executor, ProcessOptions options, const muster::Log& log,
                         OnMachineEnd on_end)
    : Machines(std::move(executor), options.state_dir + "/processes", log, std::move(on_end)),
      options_(std::move(options)) {}

ProcessHost::~ProcessHost() {
  if (guest_ >= 0) close(guest_);
}

Status ProcessHost::set_up() {
  if (access("/usr/sbin/sshd", X_OK) != 0) {
    return fail(ErrorKind::invalid_input, "/usr/sbin/sshd is missing", "Install openssh-server.");
  }
  std::error_code ignored;
  fs::remove_all(folder(), ignored);
  fs::create_directories(folder(), ignored);
  guest_ = open_guest_program();
  if (guest_ >= 0) return {};
  return fail(ErrorKind::unavailable,
              fmt::format("cannot keep the guest program: {}", std::strerror(errno)));
}

Status ProcessHost::make_folder(const MachineSpec& spec) const {
  const std::string dir = dir_of(spec.id);
  const std::string home = dir + "/home/" + spec.default_user;
  std::error_code error;
  for (const std::string& folder :
       {home + "/.ssh", dir + "/etc/ssh", dir + "/bin", dir + "/dev", dir + "/cloud"}) {
    fs::create_directories(folder, error);
    if (error)
      return fail(ErrorKind::unavailable,
                  fmt::format("cannot make {}: {}", folder, error.message()));
  }
  chmod((home + "/.ssh").c_str(), 0700);
  const std::string account = fmt::format("{}:x:{}:{}::/home/{}:/bin/bash\n", spec.default_user,
                                          machine_user(), machine_group(), spec.default_user);
  write_file(dir + "/etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n" + account, 0644);
  write_file(dir + "/etc/group",
             fmt::format("root:x:0:\n{}:x:{}:\n", spec.default_user, machine_group()), 0644);
  write_file(dir + "/etc/nsswitch.conf",
             "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n", 0644);
  std::string seed(32, '\0');
  if (getrandom(seed.data(), seed.size(), 0) != 32) std::abort();
  const auto key = muster::wire::ssh_key_of_seed(seed, "root@" + spec.hostname);
  write_file(dir + "/etc/ssh/ssh_host_ed25519_key", key.private_text.reveal(), 0600);
  write_file(dir + "/etc/ssh/ssh_host_ed25519_key.pub", key.public_line + "\n", 0644);
  const std::string imds =
      fmt::format("http://{}:{}", spec.private_address, options_.metadata_port);
  write_file(
      dir + "/sshd_config",
      fmt::format("Port {}\nListenAddress {}\nHostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\n"
                  "StrictModes no\nPidFile none\nPasswordAuthentication no\n"
                  "KbdInteractiveAuthentication no\nAuthorizedKeysFile .ssh/authorized_keys "
                  ".ssh/authorized_keys2\n"
                  "PrintMotd no\nSubsystem sftp internal-sftp\nAcceptEnv LANG LC_*\n"
                  "SetEnv PATH=/mnt/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "
                  "AWS_EC2_METADATA_SERVICE_ENDPOINT={} AWS_ENDPOINT_URL={}\n",
                  options_.ssh_port, spec.private_address, imds, options_.endpoint),
      0644);
  const std::string program = guest_program();
  for (const char* name : {"shutdown", "poweroff", "halt", "reboot"}) {
    write_file(dir + "/bin/" + name, program, 0755);
  }
  // There is one user, who may do what can be done here at all.
  write_file(
      dir + "/bin/sudo",
      "#!/bin/sh\nwhile :; do case \"$1\" in -*) shift ;; *) break ;; esac; done\nexec \"$@\"\n",
      0755);
  write_file(
      dir + "/machine.conf",
      fmt::format("hostname={}\nhome=/home/{}\nimds={}\n", spec.hostname, spec.default_user, imds),
      0644);
  return {};
}

Status ProcessHost::boot(Machine& machine) {
  const MachineSpec& spec = machine.spec;
  const std::string dir = dir_of(spec.id);
  if (!spec.is_restart) {
    if (Status made = make_folder(spec); !made) return made;
  }
  write_file(dir + "/boot.sh",
             boot_script({spec.user_data, spec.default_user, spec.public_key, "/mnt/cloud"}), 0700);
  const int console = open((dir + "/console").c_str(),
                           O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (console < 0)
    return fail(ErrorKind::unavailable,
                fmt::format("cannot open the console: {}", std::strerror(errno)));
  give_away(dir);
  const std::string console_text = std::to_string(console);
  std::array<char*, 3> arguments{const_cast<char*>("ec2sim-process"),
                                 const_cast<char*>(console_text.c_str()), nullptr};
  std::array<char*, 1> environment{nullptr};
  int pidfd = -1;
  clone_args clone{};
  clone.flags = CLONE_PIDFD;
  clone.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  clone.exit_signal = SIGCHLD;
  const bool is_root = geteuid() == 0;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &clone, sizeof clone));
  if (pid == 0) {
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);  // No connection outlives its closing in a machine.
    fcntl(console, F_SETFD, 0);
    setsid();
    if (chdir(dir.c_str()) != 0) _exit(72);
    if (is_root && (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
                    setresuid(kNobody, kNobody, kNobody) != 0)) {
      _exit(73);
    }
    syscall(SYS_execveat, guest_, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
    _exit(71);
  }
  const int clone_error = errno;
  close(console);
  if (pid < 0) {
    return fail(ErrorKind::unavailable,
                fmt::format("cannot start a machine: {}", std::strerror(clone_error)));
  }
  machine.pid = pid;
  machine.ended.assign(pidfd);
  return {};
}

Machines::Exit ProcessHost::exit_of(const siginfo_t& info) const {
  if (info.si_code != CLD_EXITED) return Exit::killed;
  if (info.si_status == kPoweredOff) return Exit::shut_down;
  return info.si_status == kRestarts ? Exit::restart : Exit::failed;
}

int ProcessHost::open_root(const Machine& machine) const {
  return open(dir_of(machine.spec.id).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void ProcessHost::tear_down() {
  std::error_code ignored;
  fs::remove_all(folder(), ignored);
}

}  // namespace ec2sim
