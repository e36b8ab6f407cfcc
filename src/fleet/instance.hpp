#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/strong.hpp"
#include "base/time.hpp"
#include "fleet/pool.hpp"
#include "fleet/states.hpp"

namespace muster {

/// A launch that is about to be made, or was: one call for `count` instances.
struct Intent {
  IntentId id;
  PoolName pool;
  std::string size;                 ///< The instance type that a `size:` label asked for.
  Offering offering;                ///< Of a fleet: only its capacity type counts.
  std::vector<Offering> offerings;  ///< Of a fleet: what the cloud may choose from.
  int count = 1;
  IntentState state = IntentState::open;
  TimePoint created_at{};
  std::string reason;       ///< Why it was launched, for people.
  bool is_hedge = false;    ///< Beside one that takes too long.
  double usd_per_hour = 0;  ///< Of one instance; 0: not known.
  int vcpus = 0;            ///< Of one instance; 0: not known.
  // What only this process needs to know.
  std::string trouble;         ///< Why the cloud has not answered it yet, for people.
  bool is_throttled = false;   ///< Whether that is its rate limit.
  TimePoint made_by{};         ///< By then it had made all that it makes, answered or not.
  std::set<InstanceId> found;  ///< Taken up as instances, though it was not answered.
  bool is_refused = false;     ///< Only listings tell what it has made.

  /// What it may still bring.
  [[nodiscard]] int rest() const { return count - static_cast<int>(found.size()); }
};

/// One EC2 instance.
struct Instance {
  InstanceId id;
  IntentId intent;
  PoolName pool;
  std::string size;  ///< The instance type that a `size:` label asked for; empty: the pool's.
  Offering offering;
  InstancePhase phase = InstancePhase::pending;
  TimePoint launched_at{};
  TimePoint phase_since{};
  TimePoint contact_at{};  ///< When its machine last answered this process; not stored.
  LeaseId lease;
  int job_count = 0;  ///< Jobs that have touched it.
  int start_count = 0;
  std::string address;
  std::string host_keys;  ///< Pinned at the first contact.
  std::string settings;   ///< Of its pool, as it was launched: a digest.
  std::string reason;     ///< Why it is to end, for people.
  double usd_per_hour = 0;
  int vcpus = 0;
  bool is_adopted = false;    ///< Found by its tags; nothing of ours knew it.
  bool is_protected = false;  ///< By a tag: never ended for want of jobs.
  bool is_hedge = false;
  // What only this process needs to know.
  std::string trouble;            ///< Why there is no way in yet, for people.
  TimePoint protection_set_at{};  ///< By an order to this process.
  Duration stalled_for{};         ///< So long nobody could look after it, and it was coming up.
  TimePoint taken_back_at{};      ///< When the cloud ends it, as it has said.
  int absence_count = 0;          ///< Complete listings in a row without it.
  TimePoint absent_since{};
  TimePoint terminated_at{};  ///< When it was last asked for.
};

/// Whether it is on its way to its first job.
[[nodiscard]] inline bool is_coming(InstancePhase phase) {
  return phase == InstancePhase::pending || phase == InstancePhase::booting ||
         phase == InstancePhase::starting;
}

}  // namespace muster
