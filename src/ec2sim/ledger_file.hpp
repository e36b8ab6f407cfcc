#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "ec2model/ledger.hpp"

namespace ec2sim {

/// The ledger on disk: one JSON object a line, appended as things happen, so that it can be read
/// while the simulator runs and after it was killed.
class LedgerFile {
 public:
  /// Opens `<state>/ledger.jsonl` for appending. Errors: unavailable.
  static muster::Result<LedgerFile> open(const std::string& state_dir);

  void add_call(muster::TimePoint at, const std::string& action, const std::string& error_code);
  void add_machine(const ec2model::MachineEntry& entry);
  /// The host's process that is the machine's init, and where its sshd listens.
  void add_process(const std::string& id, int pid, const std::string& ssh_address, int ssh_port);
  void add_state(muster::TimePoint at, const std::string& id, bool is_stopped);
  void add_fault(muster::TimePoint at, const std::string& fault);
  void add_end(const ec2model::MachineEntry& entry);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const std::string& line);

  std::unique_ptr<std::FILE, Close> file_;
};

/// What the file says.
struct StoredLedger {
  ec2model::Ledger ledger;
  struct Process {
    int pid = 0;
    std::string ssh_address;
    int ssh_port = 22;
  };
  std::map<std::string, Process> processes;  ///< By machine.
};

/// Errors: not_found, corrupt.
[[nodiscard]] muster::Result<StoredLedger> read_ledger(const std::string& state_dir);

/// Whether an alive machine is looked after: young, or with an open SSH connection.
[[nodiscard]] bool is_attended(const ec2model::MachineEntry& entry,
                               const StoredLedger::Process& process, muster::TimePoint now);

/// The verdict for people, and as JSON (`ec2sim.ledger/1`).
[[nodiscard]] std::string describe(const ec2model::Verdict& verdict);
[[nodiscard]] std::string to_json(const ec2model::Verdict& verdict);

}  // namespace ec2sim
