#include "ec2sim/machines.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <sstream>
#include <vector>

#include "base/document.hpp"
#include "base/task.hpp"
#include "ec2sim/disk.hpp"

namespace ec2sim {

namespace asio = boost::asio;
using muster::Status;

namespace {

/// Opens a file of a machine. Whoever is root there may have put links anywhere: none leads out.
int open_inside(int root, const std::string& path, int flags, mode_t mode = 0) {
  open_how how{};
  // A pipe in the place of a file must not hold the simulator.
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT;
  const auto file = static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
  struct stat info{};
  const bool is_fine =
      file >= 0 && fstat(file, &info) == 0 && (S_ISREG(info.st_mode) || (flags & O_DIRECTORY) != 0);
  if (is_fine || file < 0) return file;
  close(file);
  return -1;
}

std::string read_all(int file) {
  constexpr std::size_t kBytesMax = 1 << 20;
  std::string text;
  char bytes[4096];
  for (ssize_t size = 0; text.size() < kBytesMax && (size = read(file, bytes, sizeof bytes)) > 0;) {
    text.append(bytes, static_cast<std::size_t>(size));
  }
  return text;
}

struct UserOfMachine {
  uid_t id = 0;
  gid_t group = 0;
  std::string home;
};

std::optional<UserOfMachine> find_user(int root, const std::string& name) {
  const int file = open_inside(root, "etc/passwd", O_RDONLY);
  if (file < 0) return std::nullopt;
  std::istringstream lines(read_all(file));
  close(file);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> fields;
    std::istringstream parts(line);
    for (std::string field; std::getline(parts, field, ':');) fields.push_back(field);
    if (fields.size() < 6 || fields[0] != name) continue;
    const auto id = muster::parse_integer(fields[2]);
    const auto group = muster::parse_integer(fields[3]);
    if (!id || !group || *id < 0 || *group < 0) return std::nullopt;
    return UserOfMachine{static_cast<uid_t>(*id), static_cast<gid_t>(*group), fields[5]};
  }
  return std::nullopt;
}

/// Lines of ours that have expired, and the same key's, are left out.
std::string without_old_keys(const std::string& text, const std::string& key,
                             const std::string& now) {
  constexpr std::string_view kOurs = "expiry-time=\"";
  std::string kept;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool is_ours = line.starts_with(kOurs);
    const bool is_old = is_ours && (line.substr(kOurs.size(), now.size()) < now ||
                                    line.find(key) != std::string::npos);
    if (!is_old) kept += line + "\n";
  }
  return kept;
}

void add_key(int root, const UserOfMachine& user, const std::string& key, const std::string& now,
             const std::string& until) {
  const int home = open_inside(root, user.home, O_RDONLY | O_DIRECTORY);
  if (home < 0) return;
  if (mkdirat(home, ".ssh", 0700) == 0) {
    static_cast<void>(fchownat(home, ".ssh", user.id, user.group, AT_SYMLINK_NOFOLLOW));
  }
  close(home);
  const std::string path = user.home + "/.ssh/authorized_keys2";
  int file = open_inside(root, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (file >= 0) static_cast<void>(fchown(file, user.id, user.group));
  if (file < 0) file = open_inside(root, path, O_RDWR | O_NOFOLLOW);
  if (file < 0) return;
  const std::string text = without_old_keys(read_all(file), key, now) +
                           fmt::format("expiry-time=\"{}\" {}\n", until, key);
  static_cast<void>(ftruncate(file, 0));
  static_cast<void>(pwrite(file, text.data(), text.size(), 0));
  close(file);
}

/// As sshd reads it: `20260102030405Z`.
std::string expiry_of(muster::TimePoint at) {
  std::string text;
  for (const char c : muster::format_iso8601(at)) {
    if ((c >= '0' && c <= '9') || c == 'Z') text += c;
  }
  return text;
}

}  // namespace

Machines::Machines(muster::Executor executor, std::string folder, const muster::Log& log,
                   OnMachineEnd on_end)
    : executor_(std::move(executor)),
      folder_(std::move(folder)),
      log_(log),
      on_end_(std::move(on_end)) {}

Machines::~Machines() = default;

Status Machines::start(const MachineSpec& spec) {
  auto machine = std::make_unique<Machine>(executor_);
  machine->spec = spec;
  Status booted = boot(*machine);
  log_.info("machine_started", {{"instance_id", spec.id}, {"ok", booted.has_value()}});
  // A process that failed half-way is reported by its end.
  if (machine->pid > 0) {
    machines_[spec.id] = std::move(machine);
    watch(spec.id);
    return {};
  }
  // A stopped machine's disk outlives a start that failed.
  if (!spec.is_restart) remove_disk(dir_of(spec.id));
  return booted;
}

void Machines::watch(const std::string& id) {
  machines_.at(id)->ended.async_wait(asio::posix::stream_descriptor::wait_read,
                                     [this, id](const boost::system::error_code& error) {
                                       if (!error) ended(id);
                                     });
}

void Machines::ended(const std::string& id) {
  const auto found = machines_.find(id);
  if (found == machines_.end()) return;
  const std::unique_ptr<Machine> machine = std::move(found->second);
  machines_.erase(found);
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(machine->pid), &info, WEXITED | WNOHANG);
  const Exit how = exit_of(info);
  release(*machine);
  const std::string text = console(id);
  const bool is_off = how == Exit::shut_down;
  log_.info("machine_ended",
            {{"instance_id", id}, {"status", info.si_status}, {"shut_down", is_off}});
  if (how == Exit::failed) log_.warn("machine_failed", {{"instance_id", id}, {"console", text}});
  if (how == Exit::restart) {
    MachineSpec again = machine->spec;
    again.is_restart = true;
    if (start(again)) return;
  }
  const bool keeps = on_end_(id, is_off ? MachineEnd::shut_down : MachineEnd::killed, text);
  if (!keeps) remove_disk(dir_of(id));
}

void Machines::send_signal(const std::string& id, int signal) {
  const auto found = machines_.find(id);
  if (found == machines_.end()) return;
  syscall(SYS_pidfd_send_signal, found->second->ended.native_handle(), signal, nullptr, 0);
}

void Machines::stop(const std::string& id) { send_signal(id, SIGTERM); }

void Machines::reboot(const std::string& id) { send_signal(id, SIGINT); }

void Machines::kill(const std::string& id) {
  if (!machines_.contains(id)) return remove_disk(dir_of(id));
  send_signal(id, SIGKILL);
}

pid_t Machines::pid_of(const std::string& id) const {
  const auto found = machines_.find(id);
  return found == machines_.end() ? -1 : found->second->pid;
}

std::string Machines::console(const std::string& id) const {
  constexpr std::size_t kConsoleBytes = 64 << 10;
  const int file =
      open((dir_of(id) + "/console").c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct stat info{};
  const bool is_file = file >= 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode);
  std::string text;
  if (is_file) {
    lseek(file, std::max<off_t>(0, info.st_size - static_cast<off_t>(kConsoleBytes)), SEEK_SET);
    text = read_all(file);
  }
  if (file >= 0) close(file);
  return text.size() > kConsoleBytes ? text.substr(text.size() - kConsoleBytes) : text;
}

void Machines::admit_key(const std::string& id, const std::string& user, const std::string& key,
                         muster::TimePoint now, muster::Duration life) {
  const auto found = machines_.find(id);
  const int root = found == machines_.end() ? -1 : open_root(*found->second);
  if (root < 0) return;
  if (const auto account = find_user(root, user)) {
    add_key(root, *account, key, expiry_of(now), expiry_of(now + life));
  }
  close(root);
}

int lock_by_name(const std::string& text) {
  const int lock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  text.copy(name.sun_path + 1, text.size());
  const auto size = static_cast<socklen_t>(sizeof(sa_family_t) + 1 + text.size());
  if (bind(lock, reinterpret_cast<sockaddr*>(&name), size) == 0) return lock;
  close(lock);
  return -1;
}

int open_guest_program() {
  const int file = memfd_create("ec2sim-guest", MFD_CLOEXEC);
  const std::string program = guest_program();
  if (file < 0) return -1;
  if (write(file, program.data(), program.size()) == static_cast<ssize_t>(program.size()))
    return file;
  close(file);
  return -1;
}

}  // namespace ec2sim
