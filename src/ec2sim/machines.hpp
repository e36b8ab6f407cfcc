#pragma once

#include <sys/types.h>
#include <sys/wait.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/time.hpp"

namespace ec2sim {

/// One machine to boot.
struct MachineSpec {
  std::string id;
  std::string hostname;
  std::string private_address;
  std::string public_address;
  std::string default_user;
  std::string public_key;  ///< Of the launch's key pair; empty without one.
  std::string user_data;
  bool has_docker = false;
  bool is_restart = false;  ///< Its disk is there from before.
};

/// How a machine ended.
enum class MachineEnd { shut_down, killed };

/// Whether the disk of an ended machine is kept: it may start again.
using OnMachineEnd =
    std::function<bool(const std::string& id, MachineEnd how, const std::string& console)>;

/// Where machines of one kind live: each is a process that is watched to its end. Use it from one
/// thread that lives to the end.
class Machines {
 public:
  /// `folder` has a folder for each machine.
  Machines(muster::Executor executor, std::string folder, const muster::Log& log,
           OnMachineEnd on_end);
  virtual ~Machines();
  Machines(const Machines&) = delete;
  Machines& operator=(const Machines&) = delete;

  muster::Status start(const MachineSpec& spec);
  /// Asks a machine to shut down, or to boot anew; the end is reported.
  void stop(const std::string& id);
  void reboot(const std::string& id);
  /// Ends a machine at once, which is reported; of one that does not run the disk goes.
  void kill(const std::string& id);
  [[nodiscard]] std::size_t count() const { return machines_.size(); }
  [[nodiscard]] pid_t pid_of(const std::string& id) const;
  /// The console so far, at most its last 64 KiB.
  [[nodiscard]] std::string console(const std::string& id) const;
  /// Lets a user of the machine log in with this key for that long. What is no user there, or no
  /// machine, is left alone.
  void admit_key(const std::string& id, const std::string& user, const std::string& key,
                 muster::TimePoint now, muster::Duration life);
  /// Removes what is left; every machine must have ended.
  virtual void tear_down() = 0;

 protected:
  struct Machine {
    explicit Machine(const muster::Executor& executor) : ended(executor) {}
    boost::asio::posix::stream_descriptor ended;  // The pidfd: readable when the machine is gone.
    MachineSpec spec;
    pid_t pid = -1;
    unsigned port = 0;
  };
  enum class Exit { shut_down, restart, killed, failed };

  /// Starts the machine's first process. After an error the process may be there all the same.
  virtual muster::Status boot(Machine& machine) = 0;
  [[nodiscard]] virtual Exit exit_of(const siginfo_t& info) const = 0;
  /// What the machine had beside its process and its disk.
  virtual void release(const Machine&) {}
  /// The root of its file system as a descriptor; -1 if there is none.
  [[nodiscard]] virtual int open_root(const Machine& machine) const = 0;

  [[nodiscard]] std::string dir_of(const std::string& id) const { return folder_ + "/" + id; }
  [[nodiscard]] const muster::Executor& executor() const { return executor_; }
  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  void watch(const std::string& id);
  void ended(const std::string& id);
  void send_signal(const std::string& id, int signal);

  muster::Executor executor_;
  std::string folder_;
  const muster::Log& log_;
  OnMachineEnd on_end_;
  std::map<std::string, std::unique_ptr<Machine>> machines_;
};

/// An abstract socket of that name is a lock that ends with its holder; -1 if someone else has it.
[[nodiscard]] int lock_by_name(const std::string& text);

/// The bytes of the program that runs inside machines.
[[nodiscard]] std::string guest_program();
/// What clients find as `systemctl` in machines that have no systemd.
[[nodiscard]] std::string systemctl_script();
/// The guest program as a file that can be executed; -1 on failure.
[[nodiscard]] int open_guest_program();

}  // namespace ec2sim
