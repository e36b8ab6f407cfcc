#include <algorithm>

#include "fleet/planner.hpp"

// Room for jobs to which limits leave none: what is idle, and of no use to them, ends.

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr Duration kEnding = 2min;  // What takes longer to be gone is not counted on.

}  // namespace

void Planner::Relief::add(const PoolName& pool, int count, long vcpus_of_them) {
  of_pool[pool] += count;
  instances += count;
  vcpus += vcpus_of_them;
}

Planner::MakingRoom& Planner::making_room() {
  if (making_room_) return *making_room_;
  MakingRoom& making = making_room_.emplace(MakingRoom{});
  for (const auto& [at, supply] : parts_.fleet.supply()) {
    for (const auto& [since, id] : supply.ending) {
      const Instance& instance = *parts_.fleet.find(id);
      const TimePoint due = since + kEnding;
      if (instance.phase == InstancePhase::draining || now_ >= due) continue;
      may_change_at(due);
      making.freed.add(instance.pool, 1, instance.vcpus);
      ++making.freed.unbraked;
    }
  }
  making.most = making.freed;
  for (const auto& [at, supply] : parts_.fleet.supply()) {
    const int target = at.size.empty() ? target_of(at.pool) : 0;
    int surplus = static_cast<int>(supply.idle.size()) - target;
    for (const auto& [since, id] : supply.idle) {
      const Instance& instance = *parts_.fleet.find(id);
      const bool is_unknown = instance.contact_at == TimePoint{};
      if (instance.is_protected || is_unknown) continue;
      making.spares[at.pool].insert({surplus-- <= 0, since, id});
      making.most.add(at.pool, 1, instance.vcpus);
      if (instance.job_count > 0) ++making.most.unbraked;
    }
  }
  return making;
}

const Planner::Relief& Planner::promised() const {
  static const Relief kNone;
  return making_room_ ? making_room_->promised : kNone;
}

void Planner::make_room(const Cursor& cursor, int count) {
  // Another in place of one that is late is good to have; nothing ends for it.
  for (const SizedPool& at : cursor.pools) {
    const int hedged = std::clamp(count, 0, late_[at]);
    late_[at] -= hedged;
    count -= hedged;
  }
  int made = 0;
  for (const SizedPool& at : cursor.pools) {
    if (made < count) made += make_room(at, count - made);
  }
  place_also(*cursor.key, made);
}

int Planner::make_room(const SizedPool& at, int count) {
  MakingRoom& making = making_room();
  const Room most = room_for(at, making.most);
  may_change_at(most.reason.next);
  if (most.count <= 0) {
    hold(at, most.reason);
    return 0;
  }
  // Else much would end again and again for what is refused.
  if (choice_for(at).is_doubtful) {
    const int tried = wishes_[at].count + parts_.fleet.supply_of(at).requested;
    count = std::min(count, 1 - making.promised_in[at] - tried);
  }
  int made = 0;
  std::size_t kept = making.ends.size();
  while (made < count) {
    const Room room = room_for(at, making.freed);
    if (room.count > 0) {
      const int taken = std::min(room.count, count - made);
      promise(at, taken);
      made += taken;
      kept = making.ends.size();
    } else if (!free_one(at.pool, room.reason.cause)) {
      break;
    }
  }
  keep_ends(kept);
  return made;
}

/// One more instance is to end, of those that this limit counts.
bool Planner::free_one(const PoolName& pool, WaitCause cause) {
  MakingRoom& making = *making_room_;
  auto best = making.spares.end();
  if (cause == WaitCause::pool_limit || cause == WaitCause::schedule) {
    best = making.spares.find(pool);
  } else if (cause == WaitCause::cluster_limit || cause == WaitCause::vcpu_limit) {
    best = std::min_element(making.spares.begin(), making.spares.end(),
                            [](const auto& one, const auto& other) {
                              if (one.second.empty() || other.second.empty()) {
                                return !one.second.empty();
                              }
                              return *one.second.begin() < *other.second.begin();
                            });
  }
  if (best == making.spares.end() || best->second.empty()) return false;
  const Spare spare = *best->second.begin();
  best->second.erase(best->second.begin());
  making.ends.emplace_back(best->first, spare);
  free(best->first, spare, 1);
  return true;
}

void Planner::free(const PoolName& pool, const Spare& spare, int count) {
  const Instance& instance = *parts_.fleet.find(spare.id);
  Relief& freed = making_room_->freed;
  freed.add(pool, count, static_cast<long>(count) * instance.vcpus);
  if (instance.job_count > 0) freed.unbraked += count;
}

void Planner::keep_ends(std::size_t count) {
  MakingRoom& making = *making_room_;
  for (; making.ends.size() > count; making.ends.pop_back()) {
    const auto& [pool, spare] = making.ends.back();
    free(pool, spare, -1);
    making.spares[pool].insert(spare);
  }
}

void Planner::promise(const SizedPool& at, int count) {
  MakingRoom& making = *making_room_;
  const Market::Choice& choice = choice_for(at);
  making.promised_in[at] += count;
  for (Relief* each : {&making.freed, &making.most, &making.promised}) {
    each->add(at.pool, -count, -static_cast<long>(count) * choice.vcpus_max());
    each->usd -= count * choice.usd_max();
    each->launches[at.pool] += count;
    each->launches_total += count;
  }
}

/// Room for one that cannot be launched for a while: what is kept ready would end for it again.
void Planner::hold(const SizedPool& at, const WaitReason& why) {
  const bool is_passing = why.cause == WaitCause::capacity || why.cause == WaitCause::quota ||
                          why.cause == WaitCause::circuit_open ||
                          why.cause == WaitCause::launch_error;
  if (!is_passing || !why.next) return;
  MakingRoom& making = *making_room_;
  const Market::Choice& choice = choice_for(at);
  const long vcpus = std::max(choice.vcpus_max(), choice.vcpus_aside);
  const long most = parts_.config.limits.vcpus;
  if ((most > 0 && vcpus > most) || !making.held.insert(at.pool).second) return;
  making.promised.add(at.pool, -1, -vcpus);
}

void Planner::end_for_jobs() {
  if (!making_room_ || making_room_->ends.empty()) return;
  may_change_at(now_ + kEnding);
  for (const auto& [pool, spare] : making_room_->ends) {
    parts_.fleet.edit(spare.id).reason = "makes room for a job that waits";
    parts_.fleet.move(spare.id, InstancePhase::terminating, now_);
  }
}

}  // namespace muster
