#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "fleet/controller.hpp"

namespace muster {

/// Counts how long something took, in seconds.
class Histogram {
 public:
  static constexpr std::array<double, 12> kBounds{0.1, 0.3, 1,   3,   10,   30,
                                                  60,  120, 300, 600, 1800, 3600};
  void add(Duration took);
  /// In Prometheus' text format; `labels` is `{name="value"}` without the braces, or empty.
  [[nodiscard]] std::string text(std::string_view name, const std::string& labels) const;

 private:
  std::array<long, kBounds.size() + 1> counts_{};
  double sum_ = 0;
  long count_ = 0;
};

/// The figures of a daemon, for Prometheus (text format 0.0.4). Their names are part of the API.
class Metrics {
 public:
  /// Counts what was committed; `fleet` is as it was then.
  void note(const FleetChanges& changes, const Fleet& fleet, TimePoint now);
  /// How long jobs have waited from queued at the CI server to started in a pool: the last
  /// thousand of the last day that this process has seen.
  struct Waits {
    Duration p50{};
    Duration p95{};
  };
  /// Nothing where no job has started.
  [[nodiscard]] std::optional<Waits> waits_of(const PoolName& pool, TimePoint now) const;

  /// Counts a request that the API let nobody make; `why` is the refusal's code.
  void note_refused(std::string_view why) { ++refused_[std::string(why)]; }

  [[nodiscard]] std::string text(const Controller& controller, TimePoint now,
                                 bool is_store_failing) const;

 private:
  /// What a group of jobs has waited for, the oldest first.
  struct Waited {
    std::deque<std::pair<TimePoint, WaitCause>> causes;
  };
  struct Seen {
    TimePoint at{};  ///< When this process first saw it.
    JobState state = JobState::queued;
    TimePoint leased_at{};
    TimePoint started_at{};
  };
  void note_causes(const Fleet& fleet, TimePoint now);
  void note_job(const Job& job, const Fleet& fleet, TimePoint now);
  void count_wait(const Job& job, TimePoint seen_at, TimePoint now);

  std::map<Demand::Key, Waited> waited_;
  std::map<JobId, Seen> jobs_;
  std::map<PoolName, std::deque<std::pair<TimePoint, Duration>>> waits_;  // By when it ended.
  std::map<std::string, Histogram, std::less<>> parts_;  // Of the wait, by what it was for.
  Histogram wait_;
  Histogram run_;
  std::map<std::string, long, std::less<>> ended_;  // Jobs by outcome.
  std::map<std::string, long> refused_;             // Requests by why.
  std::map<std::string, long> launched_;            // Instances by pool.
  std::set<InstanceId> pending_;                    // Of those, what there is still.
};

}  // namespace muster
