#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/event.hpp"
#include "ports/ci_server.hpp"
#include "ports/machine.hpp"
#include "service/control_loop.hpp"
#include "service/machine_identity.hpp"

namespace muster {

/// Looks after one machine for as long as it is of use: reaches it and makes it fit, keeps its
/// timer wound, runs the jobs it is leased for. What to do it takes from the core's state; what
/// happens it tells the core.
class MachineKeeper {
 public:
  /// `changed` is told when the instance or its lease is not as it was.
  MachineKeeper(ControlLoop& loop, InstanceId id, Event& changed);

  /// Whether an instance in that phase needs one.
  [[nodiscard]] static bool is_needed(InstancePhase phase);

  /// Ends when the instance needs it no more.
  Task<> run();

 private:
  [[nodiscard]] const Instance* instance() const { return loop_.fleet().find(id_); }
  [[nodiscard]] bool is_needed() const;
  [[nodiscard]] const Pool* pool() const;
  /// Waits for a change, at most so long.
  Task<> pause(Duration time_max);

  Task<> bring_up();
  Task<Status> connect();
  Task<Result<bool>> make_fit();
  Task<> rest();
  Task<Status> wind(Duration dead_man);
  Task<> watch_leftover();

  // machine_lease.cpp
  Task<> work();
  Task<bool> has_begun(LeaseId lease);
  Task<std::optional<WorkOrder>> obtain(LeaseId lease);
  Task<> hear_claims(LeaseId lease);
  Task<Result<WorkOrder>> claim(LeaseId lease);
  Task<Result<JobResult>> carry_out(LeaseId lease, WorkOrder order);
  Task<Result<JobResult>> run_script(LeaseId lease, WorkOrder order);
  Task<Result<JobResult>> run_stage(LeaseId lease, WorkOrder order);
  Task<> watch_end(LeaseId lease, Duration time_max, std::optional<JobResult>* end);
  /// Why the machine is no more; nothing while it is of use.
  Task<std::optional<Error>> find_end();
  [[nodiscard]] Duration time_limit(const Lease& lease) const;
  [[nodiscard]] Duration lease_patience(const LeaseId& lease) const;

  ControlLoop& loop_;
  InstanceId id_;
  Event& changed_;
  std::unique_ptr<Machine> machine_;
  std::optional<DerivedKey> own_key_;
  std::string host_keys_;  ///< By which it was recognised.
  TimePoint wound_at_{};
  std::string trouble_;  // As last told.
  int failures_ = 0;     ///< In a row, of talking to it.
};

/// Where a job's own files are on its machine.
[[nodiscard]] std::string job_folder(const LeaseId& lease);

}  // namespace muster
