#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/result.hpp"

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

/// Where machines of one kind live.
class Machines {
 public:
  virtual ~Machines() = default;

  virtual muster::Status start(const MachineSpec& spec) = 0;
  /// Asks a machine to shut down, or to boot anew; the end is reported.
  virtual void stop(const std::string& id) = 0;
  virtual void reboot(const std::string& id) = 0;
  /// Ends a machine at once, which is reported; of one that does not run the disk goes.
  virtual void kill(const std::string& id) = 0;
  [[nodiscard]] virtual std::size_t count() const = 0;
  [[nodiscard]] virtual pid_t pid_of(const std::string& id) const = 0;
  /// The console so far, at most its last 64 KiB.
  [[nodiscard]] virtual std::string console(const std::string& id) const = 0;
  /// Removes what is left; every machine must have ended.
  virtual void tear_down() = 0;
};

/// The last 64 KiB of a machine's console file.
[[nodiscard]] std::string read_console(const std::string& dir);

/// An abstract socket of that name is a lock that ends with its holder; -1 if someone else has it.
[[nodiscard]] int lock_by_name(const std::string& text);

/// The bytes of the program that runs inside machines.
[[nodiscard]] std::string guest_program();
/// That program as a file that can be executed; -1 on failure.
[[nodiscard]] int open_guest_program();

}  // namespace ec2sim
