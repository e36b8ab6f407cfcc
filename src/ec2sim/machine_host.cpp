#include "ec2sim/machine_host.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/task.hpp"
#include "ec2model/world.hpp"
#include "ec2sim/disk.hpp"
#include "ec2sim/guest/netlink.hpp"
#include "ec2sim/user_data.hpp"

namespace ec2sim {

namespace asio = boost::asio;
using muster::ErrorKind;
using muster::fail;
using muster::Status;

namespace {

constexpr long kOverlayMagic = 0x794c7630;

Status failed(std::string_view what, int error) {
  return fail(ErrorKind::unavailable, fmt::format("{}: {}", what, std::strerror(error)));
}

/// Runs `act` with this thread in another network namespace.
template <class Act>
auto in_namespace(int inside, int outside, const Act& act) {
  setns(inside, CLONE_NEWNET);
  auto result = act();
  setns(outside, CLONE_NEWNET);
  return result;
}

void write_text(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

std::string random_seed() {
  std::string seed(32, '\0');
  if (getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) std::abort();
  return seed;
}

std::array<std::uint8_t, 6> mac_of(unsigned address) {
  return {2,
          0,
          static_cast<std::uint8_t>(address >> 24),
          static_cast<std::uint8_t>(address >> 16),
          static_cast<std::uint8_t>(address >> 8),
          static_cast<std::uint8_t>(address)};
}

/// Whether a route of this host reaches into 10.`second`.0.0/16.
bool is_routed(unsigned second) {
  const unsigned subnet = 10U << 24 | second << 16;
  std::ifstream file("/proc/net/route");
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string device;
    unsigned to = 0;
    unsigned mask = 0;
    std::string skip;
    words >> device >> std::hex >> to >> skip >> skip >> skip >> skip >> skip >> mask;
    const unsigned destination = __builtin_bswap32(to);
    const unsigned both = __builtin_bswap32(mask) & 0xffff0000U;
    if (mask != 0 && (destination & both) == (subnet & both)) return true;
  }
  return false;
}

/// The folders in a folder that may change or go while it is read.
std::vector<std::string> folders_in(const std::string& path) {
  std::vector<std::string> found;
  std::error_code error;
  std::filesystem::directory_iterator at(path, error);
  while (!error && at != std::filesystem::directory_iterator()) {
    if (at->is_directory(error)) found.push_back(at->path().string());
    at.increment(error);
  }
  return found;
}

/// Removes a cgroup and what is below it, from the bottom up.
void remove_cgroup(const std::string& path) {
  for (const std::string& child : folders_in(path)) remove_cgroup(child);
  rmdir(path.c_str());
}

}  // namespace

MachineHost::MachineHost(muster::Executor executor, HostOptions options, const muster::Log& log,
                         OnMachineEnd on_end)
    : Machines(std::move(executor), options.state_dir + "/machines", log, std::move(on_end)),
      options_(std::move(options)) {}

MachineHost::~MachineHost() {
  for (const int fd : {host_ns_, vpc_ns_, name_lock_, subnet_lock_, cgroup_, guest_}) {
    if (fd >= 0) close(fd);
  }
}

Status MachineHost::lock_name() {
  name_lock_ = lock_by_name(link_name());
  if (name_lock_ >= 0) return {};
  return fail(ErrorKind::conflict, fmt::format("another ec2sim is named {}", options_.name),
              "Choose another --name.");
}

Status MachineHost::pick_subnet() {
  for (unsigned second = 200; second < 208; ++second) {
    if (is_routed(second)) continue;
    subnet_lock_ = lock_by_name(fmt::format("ec2sim-10.{}", second));
    if (subnet_lock_ < 0) continue;
    second_octet_ = second;
    return {};
  }
  return fail(ErrorKind::conflict, "all of 10.200.0.0/13 is routed or used by other simulators",
              "Stop another ec2sim.");
}

Status MachineHost::check_disk() const {
  struct statfs info{};
  if (statfs(options_.state_dir.c_str(), &info) == 0 && info.f_type == kOverlayMagic) {
    return fail(ErrorKind::invalid_input,
                fmt::format("{} is on an overlay file system, which cannot carry another",
                            options_.state_dir),
                "Name a folder on a volume or tmpfs with --state.");
  }
  if (access((options_.image_root + "/usr/sbin/sshd").c_str(), X_OK) != 0) {
    return fail(ErrorKind::invalid_input,
                fmt::format("{}/usr/sbin/sshd is missing", options_.image_root),
                "Install openssh-server there.");
  }
  return {};
}

void MachineHost::open_cgroup() {
  const auto fsopen_cgroup = static_cast<int>(syscall(SYS_fsopen, "cgroup2", 1 /* CLOEXEC */));
  if (fsopen_cgroup < 0) return;
  constexpr int kCreate = 6;  // FSCONFIG_CMD_CREATE
  int tree = -1;
  if (syscall(SYS_fsconfig, fsopen_cgroup, kCreate, nullptr, nullptr, 0) == 0) {
    tree = static_cast<int>(syscall(SYS_fsmount, fsopen_cgroup, 1, 0));
  }
  close(fsopen_cgroup);
  if (tree < 0) return;
  const std::string base = fmt::format("/proc/self/fd/{}", tree);
  const std::string own = fmt::format("{}/{}", base, link_name());
  const auto enable = [](const std::string& at) {
    std::ifstream file(at + "/cgroup.controllers");
    for (std::string name; file >> name;) write_text(at + "/cgroup.subtree_control", "+" + name);
  };
  enable(base);
  // What a killed simulator left: nothing alive should be in it, and if so it goes.
  for (const std::string& child : folders_in(own)) {
    write_text(child + "/cgroup.kill", "1");
    remove_cgroup(child);
  }
  mkdir(own.c_str(), 0755);
  enable(own);
  cgroup_ = open(own.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  close(tree);
}

void MachineHost::sweep() {
  // Only what is surely ours: the folder may hold other things.
  for (const std::string& folder : folders_in(folder())) {
    const std::string name = std::filesystem::path(folder).filename();
    const bool is_ours =
        name.size() == 19 && name.starts_with("i-") && std::filesystem::exists(folder + "/upper");
    if (is_ours) remove_disk(folder);
  }
}

Status MachineHost::make_network() {
  host_ns_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (unshare(CLONE_NEWNET) != 0) return failed("cannot make a network namespace", errno);
  vpc_ns_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  vpc_net_ = std::make_unique<Netlink>();
  for (const char* path :
       {"/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/default/disable_ipv6",
        "/proc/sys/net/ipv4/ip_forward"}) {
    write_text(path, "1");
  }
  // Refusals are limited to one a second otherwise, and a name look-up waits for each.
  write_text("/proc/sys/net/ipv4/icmp_ratelimit", "0");
  const unsigned base = 10U << 24 | second_octet_ << 16;
  int error = vpc_net_->set_up("lo");
  if (error == 0) error = vpc_net_->add_bridge("br0");
  if (error == 0) error = vpc_net_->add_address("br0", base + 1, 16);
  if (error == 0) error = vpc_net_->add_address("br0", base + 2, 16);
  constexpr unsigned kServices = 169U << 24 | 254U << 16 | 169U << 8;
  if (error == 0) error = vpc_net_->add_address("br0", kServices + 252, 32);
  if (error == 0) error = vpc_net_->add_address("br0", kServices + 253, 32);
  if (error == 0) error = vpc_net_->add_address("br0", kServices + 254, 32);
  if (error == 0) error = vpc_net_->set_up("br0");
  setns(host_ns_, CLONE_NEWNET);
  if (error != 0) return failed("cannot make the VPC's network", -error);

  host_net_ = std::make_unique<Netlink>();
  host_net_->delete_link(link_name().c_str());
  error = host_net_->add_veth(link_name().c_str(), nullptr, "uplink", vpc_ns_, nullptr);
  if (error != 0) return failed("cannot make the link to the VPC", -error);
  write_text(fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", link_name()), "1");
  error = host_net_->add_address(link_name().c_str(), base + 3, 16);
  if (error == 0) {
    error = in_namespace(vpc_ns_, host_ns_, [&] {
      const int up = vpc_net_->set_up("uplink");
      return up != 0 ? up : vpc_net_->set_master("uplink", "br0");
    });
  }
  if (error != 0) return failed("cannot connect the VPC", -error);
  return {};
}

Status MachineHost::set_up() {
  if (geteuid() != 0) {
    return fail(ErrorKind::forbidden, "machines of kind namespace need root",
                "Run ec2sim with sudo.");
  }
  if (Status fine = check_disk(); !fine) return fine;
  if (Status fine = lock_name(); !fine) return fine;
  if (Status fine = pick_subnet(); !fine) return fine;
  std::error_code ignored;
  std::filesystem::create_directories(folder(), ignored);
  sweep();
  open_cgroup();
  guest_ = open_guest_program();
  if (guest_ < 0) return failed("cannot keep the guest program", errno);
  return make_network();
}

muster::Result<asio::ip::tcp::acceptor> MachineHost::listen_in_vpc(const std::string& address,
                                                                   int port) {
  asio::ip::tcp::acceptor acceptor(executor());
  const auto error = in_namespace(vpc_ns_, host_ns_, [&] {
    boost::system::error_code failure;
    const asio::ip::tcp::endpoint at(asio::ip::make_address(address),
                                     static_cast<unsigned short>(port));
    acceptor.open(at.protocol(), failure);
    if (!failure) acceptor.set_option(asio::socket_base::reuse_address(true), failure);
    if (!failure) acceptor.bind(at, failure);
    if (!failure) acceptor.listen(asio::socket_base::max_listen_connections, failure);
    return failure;
  });
  if (error)
    return fail(ErrorKind::unavailable,
                fmt::format("cannot listen in the VPC: {}", error.message()));
  return acceptor;
}

muster::Result<asio::ip::udp::socket> MachineHost::bind_in_vpc(const std::string& address,
                                                               int port) {
  asio::ip::udp::socket socket(executor());
  const auto error = in_namespace(vpc_ns_, host_ns_, [&] {
    boost::system::error_code failure;
    const asio::ip::udp::endpoint at(asio::ip::make_address(address),
                                     static_cast<unsigned short>(port));
    socket.open(at.protocol(), failure);
    if (!failure) socket.bind(at, failure);
    return failure;
  });
  if (error)
    return fail(ErrorKind::unavailable, fmt::format("cannot bind in the VPC: {}", error.message()));
  return socket;
}

Status MachineHost::boot(Machine& machine) {
  const MachineSpec& spec = machine.spec;
  const std::string dir = dir_of(spec.id);
  const unsigned address = ec2model::parse_address(spec.private_address).value_or(0);
  const unsigned public_address = ec2model::parse_address(spec.public_address).value_or(0);
  const unsigned base = 10U << 24 | second_octet_ << 16;

  DiskContents disk;
  disk.dir = dir;
  disk.image_root = options_.image_root;
  disk.hidden_dir = options_.image_root == "/" ? options_.state_dir : "";
  disk.hostname = spec.hostname;
  disk.default_user = spec.default_user;
  disk.dns_address = "169.254.169.253";
  disk.boot_script =
      boot_script({spec.user_data, spec.default_user, spec.public_key, "/var/lib/cloud/instance"});
  disk.is_restart = spec.is_restart;
  if (!spec.is_restart) {
    disk.host_key = muster::wire::ssh_key_of_seed(random_seed(), "root@" + spec.hostname);
  }
  disk.guest_program = guest_program();
  disk.systemctl = systemctl_script();
  disk.has_docker = spec.has_docker;
  if (Status made = make_disk(disk); !made) return made;
  write_text(dir + "/machine.conf",
             fmt::format("lower={}\nhostname={}\naddress={}\npublic_address={}\nrouter={}\n"
                         "docker={}\nboot_script=1\n",
                         options_.image_root, spec.hostname, address, public_address, base + 1,
                         spec.has_docker ? 1 : 0));

  const int console =
      open((dir + "/console").c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int go[2] = {-1, -1};
  if (console < 0 || pipe2(go, O_CLOEXEC) != 0) return failed("cannot open the console", errno);
  int group = -1;
  if (cgroup_ >= 0) {
    const std::string path = fmt::format("/proc/self/fd/{}/{}", cgroup_, spec.id);
    mkdir(path.c_str(), 0755);
    group = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  const std::string go_text = std::to_string(go[0]);
  const std::string console_text = std::to_string(console);
  std::array<char*, 5> arguments{const_cast<char*>("ec2sim-init"), const_cast<char*>(dir.c_str()),
                                 const_cast<char*>(go_text.c_str()),
                                 const_cast<char*>(console_text.c_str()), nullptr};
  std::array<char*, 1> environment{nullptr};
  int pidfd = -1;
  clone_args clone{};
  clone.flags =
      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_PIDFD;
  clone.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  clone.exit_signal = SIGCHLD;
  if (group >= 0) {
    clone.flags |= CLONE_INTO_CGROUP;
    clone.cgroup = static_cast<std::uint64_t>(group);
  }
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &clone, sizeof clone));
  if (pid == 0) {
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);  // No connection outlives its closing in a machine.
    fcntl(go[0], F_SETFD, 0);
    fcntl(console, F_SETFD, 0);
    setsid();
    syscall(SYS_execveat, guest_, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
    _exit(71);
  }
  const int clone_error = errno;
  close(go[0]);
  close(console);
  if (group >= 0) close(group);
  if (pid < 0) {
    close(go[1]);
    return failed("cannot start a machine", clone_error);
  }
  machine.pid = pid;
  machine.ended.assign(pidfd);
  machine.port = next_port_++;
  const std::string port = fmt::format("i{}", machine.port);
  const int ns = open(fmt::format("/proc/{}/ns/net", pid).c_str(), O_RDONLY | O_CLOEXEC);
  const auto mac = mac_of(address);
  const int error = in_namespace(vpc_ns_, host_ns_, [&] {
    return vpc_net_->add_veth(port.c_str(), "br0", "eth0", ns, mac.data());
  });
  close(ns);
  // Without it a connection tried before the link is up waits a second for its next ARP request.
  host_net_->add_permanent_neighbour(link_name().c_str(), address, mac.data());
  if (public_address != 0) {
    host_net_->add_permanent_neighbour(link_name().c_str(), public_address, mac.data());
  }
  const char word = 'g';
  const bool is_told = error == 0 && write(go[1], &word, 1) == 1;
  close(go[1]);
  if (is_told) return {};
  ::kill(pid, SIGKILL);
  return failed("cannot connect a machine", -error);
}

Machines::Exit MachineHost::exit_of(const siginfo_t& info) const {
  // reboot() in a process namespace ends its init: SIGINT for off and halt, SIGHUP for a restart.
  if (info.si_code == CLD_EXITED) return Exit::failed;
  if (info.si_status == SIGINT) return Exit::shut_down;
  return info.si_status == SIGHUP ? Exit::restart : Exit::killed;
}

void MachineHost::release(const Machine& machine) {
  in_namespace(vpc_ns_, host_ns_,
               [&] { return vpc_net_->delete_link(fmt::format("i{}", machine.port).c_str()); });
  if (cgroup_ >= 0) remove_cgroup(fmt::format("/proc/self/fd/{}/{}", cgroup_, machine.spec.id));
}

int MachineHost::open_root(const Machine& machine) const {
  const int root =
      open(fmt::format("/proc/{}/root", machine.pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  // Until it has entered its own root, a machine's is the host's.
  struct stat its{};
  if (root >= 0 && fstat(root, &its) == 0) {
    for (const char* host : {"/", "/proc/1/root"}) {
      struct stat own{};
      const bool is_own =
          stat(host, &own) == 0 && own.st_dev == its.st_dev && own.st_ino == its.st_ino;
      if (!is_own) continue;
      close(root);
      return -1;
    }
  }
  return root;
}

void MachineHost::tear_down() {
  if (host_net_) host_net_->delete_link(link_name().c_str());
  if (cgroup_ >= 0) {
    for (const std::string& child : folders_in(fmt::format("/proc/self/fd/{}", cgroup_))) {
      remove_cgroup(child);
    }
    const auto tree =
        static_cast<int>(syscall(SYS_openat, cgroup_, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (tree >= 0) {
      unlinkat(tree, link_name().c_str(), AT_REMOVEDIR);
      close(tree);
    }
  }
  sweep();
}

}  // namespace ec2sim
