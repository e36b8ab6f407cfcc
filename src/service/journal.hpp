#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "base/event.hpp"
#include "base/log.hpp"
#include "fleet/fleet.hpp"

namespace muster {

/// One thing that has happened to a job, an instance, a launch or a pool.
struct JournalEntry {
  std::uint64_t number = 0;  ///< Grows by one each.
  TimePoint at{};
  std::string kind;     ///< `job`, `instance`, `launch`, `pool`
  std::string subject;  ///< Its id or name.
  std::string what;     ///< Its new state: `queued`, `booting`, `refused`, `paused`, …
  std::string detail;   ///< For people; may be empty.
};

/// The last things that happened, made from what was committed, and told in the log.
class Journal {
 public:
  Journal(const Executor& executor, const Log& log, TimePoint began_at)
      : changed_(executor), log_(log), began_at_(began_at) {}

  /// What a process before has told of already.
  void know(const Fleet& fleet);
  void note(const FleetChanges& changes, TimePoint now);

  /// Those after that number, oldest first.
  [[nodiscard]] std::vector<JournalEntry> after(std::uint64_t number, std::size_t count_max) const;
  [[nodiscard]] std::uint64_t last() const { return next_ - 1; }
  /// Numbers begin anew with each process.
  [[nodiscard]] TimePoint began_at() const { return began_at_; }
  /// Told when there are more.
  [[nodiscard]] Event& changed() { return changed_; }

 private:
  struct Launch {
    std::string asked;      // What is asked for.
    bool has_made = false;  // Something, as was found.
  };
  void note_made(const Instance& instance);
  void note_job(const Job& job, TimePoint now);
  void note_instance(const Instance& instance, TimePoint now);
  void add(JournalEntry entry);

  Event changed_;
  const Log& log_;
  TimePoint began_at_;
  std::deque<JournalEntry> entries_;
  std::uint64_t next_ = 1;
  std::map<JobId, JobState> jobs_;
  std::map<InstanceId, InstancePhase> instances_;
  std::map<IntentId, Launch> launches_;  // That are not answered.
};

}  // namespace muster
