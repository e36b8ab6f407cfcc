#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ec2model/world.hpp"

namespace ec2model {

/// One machine as the ledger keeps it.
struct MachineEntry {
  std::string id;
  std::string reservation;
  std::string instance_type;
  std::string zone;
  std::string intent;  ///< The value of the launch's intent tag; empty without one.
  std::string client_token;
  bool is_spot = false;
  bool has_tags = false;  ///< Was tagged by its launch call.
  long usd_micros_per_hour = 0;
  muster::TimePoint launched_at{};
  muster::TimePoint ended_at{};     ///< The epoch while it is alive.
  std::string end_reason;           ///< EC2's state reason code.
  muster::TimePoint stopped_at{};   ///< The epoch while it is not stopped.
  muster::Duration stopped_for{0};  ///< In earlier stops; not billed.

  [[nodiscard]] bool is_alive() const { return ended_at == muster::TimePoint{}; }
};

/// What the referee says.
struct Verdict {
  int machines = 0;
  int alive = 0;
  int leaked =
      0;  ///< Nobody ended them: alive without an owner, or ended only by the simulator's own stop.
  int duplicated = 0;  ///< Machines beyond the first reservation of an intent.
  int untagged = 0;    ///< Launched without a tag.
  double seconds = 0;  ///< Of all machines, as billed.
  double usd = 0;
  std::map<std::string, int> calls;   ///< By action.
  std::map<std::string, int> errors;  ///< By code.
  std::map<std::string, int> faults;  ///< How often each fault struck.
};

/// The reason code of machines that ended because the simulator did.
inline constexpr const char* kSimulatorStopped = "Simulator.Stopped";

/// The tag whose value must not stand on two reservations.
inline constexpr const char* kIntentTag = "muster:intent";

/// Keeps every call and machine.
class Ledger {
 public:
  void add_call(const std::string& action, const std::string& error_code);
  void add_fault(const std::string& fault) { ++faults_[fault]; }
  void add_machine(MachineEntry entry);
  void stop_machine(const std::string& id, muster::TimePoint at);
  void start_machine(const std::string& id, muster::TimePoint at);
  void end_machine(const std::string& id, muster::TimePoint at, const std::string& reason);

  [[nodiscard]] const std::map<std::string, MachineEntry>& machines() const { return machines_; }
  [[nodiscard]] const std::map<std::string, int>& faults() const { return faults_; }

  /// `owned` says of an alive machine whether someone still looks after it.
  template <class Owned>
  [[nodiscard]] Verdict verdict(muster::TimePoint now, const Owned& owned) const {
    Verdict verdict = count(now);
    for (const auto& [id, entry] : machines_) {
      if (entry.is_alive() && !owned(entry)) ++verdict.leaked;
    }
    return verdict;
  }

 private:
  [[nodiscard]] Verdict count(muster::TimePoint now) const;

  std::map<std::string, MachineEntry> machines_;
  std::map<std::string, int> calls_;
  std::map<std::string, int> errors_;
  std::map<std::string, int> faults_;
};

}  // namespace ec2model
