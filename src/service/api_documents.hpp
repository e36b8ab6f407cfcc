#pragma once

#include <map>

#include "base/document.hpp"
#include "fleet/explain.hpp"
#include "service/api_tokens.hpp"
#include "service/job_logs.hpp"
#include "service/journal.hpp"
#include "service/metrics.hpp"

// What the API shows, as documents.

namespace muster {

/// Why queued jobs wait, in a line each; empty before a job was planned for. `explain` says more.
class WaitTexts {
 public:
  explicit WaitTexts(const Fleet& fleet) : fleet_(fleet) {}
  [[nodiscard]] std::string of(const Job& job);

 private:
  const Fleet& fleet_;
  /// Of each group the first that counts on no instance.
  std::map<const Demand*, std::pair<TimePoint, JobId>> blocked_;
};

[[nodiscard]] Node document_of(const Job& job, const Fleet& fleet, WaitTexts& waits, TimePoint now);
[[nodiscard]] Node document_of(const Instance& instance, const Fleet& fleet, TimePoint now);
[[nodiscard]] Node document_of(const Explanation& explanation);
[[nodiscard]] Node document_of(const JournalEntry& entry);
[[nodiscard]] Node document_of(const StepLog& step);
[[nodiscard]] Node document_of(const ApiToken& token);
/// What waits for a pool.
struct PoolDemand {
  std::size_t queued = 0;
  bool is_turned_away = false;  ///< By the cloud, or because of what the pool says.
  std::string note;             ///< Why the first that has no machine on its way waits.
};
[[nodiscard]] std::map<PoolName, PoolDemand> demand_by_pool(const Controller& controller);

/// Pools that have instances, or launches on their way, and that the configuration has no more;
/// how many of their instances run a job.
[[nodiscard]] std::map<PoolName, int> removed_pools(const Controller& controller);
[[nodiscard]] int busy_in_removed_pools(const Controller& controller);
/// Queued jobs that no pool takes.
[[nodiscard]] std::size_t jobs_without_pool(const Controller& controller);

/// `ok`, `degraded`, `closed`, `paused`, `draining`, `removed`, and why.
struct PoolStanding {
  std::string state;
  std::string note;
};
[[nodiscard]] PoolStanding standing_of(const Pool& pool, const PoolDemand& demand,
                                       const Controller& controller, TimePoint now);

/// A pool with its counts.
[[nodiscard]] Node document_of(const Pool& pool, const PoolDemand& demand,
                               const Controller& controller, const Metrics& metrics, TimePoint now);

/// A time, or null for none.
[[nodiscard]] Node time_node(TimePoint at);
[[nodiscard]] Node dollars_node(double usd);
[[nodiscard]] Node strings_node(const std::vector<std::string>& texts);

}  // namespace muster
