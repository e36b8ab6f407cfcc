#include "ec2model/ledger.hpp"

#include <algorithm>
#include <set>

namespace ec2model {

void Ledger::add_call(const std::string& action, const std::string& error_code) {
  ++calls_[action];
  if (!error_code.empty()) ++errors_[error_code];
}

void Ledger::add_machine(MachineEntry entry) {
  const std::string id = entry.id;
  machines_[id] = std::move(entry);
}

void Ledger::stop_machine(const std::string& id, muster::TimePoint at) {
  const auto found = machines_.find(id);
  if (found != machines_.end()) found->second.stopped_at = at;
}

void Ledger::start_machine(const std::string& id, muster::TimePoint at) {
  const auto found = machines_.find(id);
  if (found == machines_.end() || found->second.stopped_at == muster::TimePoint{}) return;
  found->second.stopped_for += at - found->second.stopped_at;
  found->second.stopped_at = {};
}

void Ledger::end_machine(const std::string& id, muster::TimePoint at, const std::string& reason) {
  const auto found = machines_.find(id);
  if (found == machines_.end() || !found->second.is_alive()) return;
  start_machine(id, at);
  found->second.ended_at = at;
  found->second.end_reason = reason;
}

Verdict Ledger::count(muster::TimePoint now) const {
  Verdict verdict;
  verdict.calls = calls_;
  verdict.errors = errors_;
  verdict.faults = faults_;
  std::map<std::string, std::string> first_reservation;
  for (const auto& [id, entry] : machines_) {
    ++verdict.machines;
    if (entry.is_alive()) ++verdict.alive;
    if (entry.end_reason == kSimulatorStopped) ++verdict.leaked;
    if (!entry.has_tags) ++verdict.untagged;
    if (!entry.intent.empty()) {
      const auto [place, is_first] = first_reservation.emplace(entry.intent, entry.reservation);
      if (!is_first && place->second != entry.reservation) ++verdict.duplicated;
    }
    const bool is_stopped = entry.stopped_at != muster::TimePoint{};
    const auto end = !entry.is_alive() ? entry.ended_at : is_stopped ? entry.stopped_at : now;
    // Linux instances are billed by the second, at least sixty (EC2 on-demand pricing page).
    const double seconds = std::max(
        60.0, std::chrono::duration<double>(end - entry.launched_at - entry.stopped_for).count());
    verdict.seconds += seconds;
    verdict.usd += seconds / 3600 * static_cast<double>(entry.usd_micros_per_hour) / 1e6;
  }
  return verdict;
}

}  // namespace ec2model
