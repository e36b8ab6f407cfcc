#include "fleet/market.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHalfLife = 3min;  // Of the memory of a refusal.
constexpr Duration kSetAside = 20s;   // After the first refusal; doubles with each.
constexpr Duration kSetAsideMax = 5min;
constexpr double kPenaltyOfPrice = 0.5;  // One fresh refusal makes an offering half as dear again.
constexpr int kBootFailuresMax = 4;      // In a row; then the circuit opens.
constexpr Duration kFailureShown = 15min;
constexpr Duration kCircuitOpen = 1min;  // Doubles with each further failure.
constexpr Duration kCircuitOpenMax = 15min;
constexpr int kRoomUnlimited = 1 << 30;

/// Of a limit that holds for more than one offering; no instance type has such a name.
Offering whole_capacity(CapacityType type) { return {"*", type, "", ""}; }
Offering whole_subnet(const std::string& subnet) {
  return {"*", CapacityType::on_demand, subnet, "*"};
}

Duration doubled(Duration first, int times, Duration most) {
  for (int i = 0; i < times && first < most; ++i) first *= 2;
  return std::min(first, most);
}

}  // namespace

const PoolOffers* Market::offers_of(const PoolName& pool) const {
  const auto found = offers_.find(pool);
  return found == offers_.end() ? nullptr : &found->second;
}

double Market::decayed(const Memory& memory, TimePoint now) {
  const double ages =
      std::chrono::duration<double>(now - memory.at) / std::chrono::duration<double>(kHalfLife);
  return memory.penalty * std::exp2(-std::max(0.0, ages));
}

const Market::Memory* Market::find(const Offering& offering) const {
  const auto found = memory_.find(offering);
  return found == memory_.end() ? nullptr : &found->second;
}

const Market::Memory* Market::set_aside(const Offering& offering, TimePoint now) const {
  const Memory* latest = nullptr;
  for (const Offering& key :
       {offering, whole_capacity(offering.capacity_type), whole_subnet(offering.subnet)}) {
    const Memory* memory = find(key);
    const bool holds = memory != nullptr && memory->set_aside_until > now;
    if (!holds) continue;
    if (latest == nullptr || latest->set_aside_until < memory->set_aside_until) latest = memory;
  }
  return latest;
}

void Market::remember(const Offering& key, double weight, const Error& error, TimePoint now) {
  Memory& memory = memory_[key];
  memory.penalty = decayed(memory, now) + weight;
  memory.at = now;
  memory.code = error.code;
  memory.is_quota = error.kind == ErrorKind::quota_exceeded;
  const int earlier = static_cast<int>(std::lround(memory.penalty / weight)) - 1;
  memory.set_aside_until = now + doubled(kSetAside, earlier, kSetAsideMax);
}

void Market::refused(const Offering& offering, const Error& error, TimePoint now) {
  const bool is_subnet_full = error.code == "InsufficientFreeAddressesInSubnet";
  if (is_subnet_full && !offering.subnet.empty()) {
    return remember(whole_subnet(offering.subnet), 1, error, now);
  }
  if (error.kind == ErrorKind::quota_exceeded) {
    return remember(whole_capacity(offering.capacity_type), 1, error, now);
  }
  remember(offering, 1, error, now);
}

void Market::interrupted(const Offering& offering, TimePoint now) {
  Memory& memory = memory_[offering];
  memory.penalty = decayed(memory, now) + 1;
  memory.at = now;
}

void Market::launch_failed(const PoolName& pool, const Error& error, TimePoint now) {
  Circuit& circuit = circuits_[pool];
  if (circuit.failures == 0) circuit.since = now;
  circuit.cause = WaitCause::launch_error;
  circuit.text = error.describe();
  circuit.failed_at = now;
  circuit.open_until = now + doubled(kCircuitOpen, circuit.failures, kCircuitOpenMax);
  ++circuit.failures;
}

void Market::boot_failed(const PoolName& pool, const std::string& why, TimePoint now) {
  Circuit& circuit = circuits_[pool];
  if (circuit.failures == 0) circuit.since = now;
  ++circuit.failures;
  circuit.cause = WaitCause::circuit_open;
  circuit.text = why;
  circuit.failed_at = now;
  if (circuit.failures < kBootFailuresMax) return;
  circuit.open_until =
      now + doubled(kCircuitOpen, circuit.failures - kBootFailuresMax, kCircuitOpenMax);
}

std::string Market::last_failure(const PoolName& pool, TimePoint now) const {
  const auto found = circuits_.find(pool);
  if (found == circuits_.end() || now - found->second.failed_at > kFailureShown) return "";
  return found->second.text;
}

void Market::boot_worked(const PoolName& pool) { circuits_.erase(pool); }

double Market::Choice::usd_max() const {
  double most = 0;
  for (const PricedOffering& one : offerings) most = std::max(most, one.usd_per_hour);
  return most;
}

int Market::Choice::vcpus_max() const {
  int most = 0;
  for (const PricedOffering& one : offerings) most = std::max(most, one.vcpus);
  return most;
}

int Market::circuit_room(const PoolName& pool, TimePoint now, WaitReason& reason) const {
  const auto found = circuits_.find(pool);
  if (found == circuits_.end()) return kRoomUnlimited;
  const Circuit& circuit = found->second;
  if (circuit.open_until == TimePoint{}) return kRoomUnlimited;
  if (circuit.open_until <= now) return 1;
  const bool is_refusal = circuit.cause == WaitCause::launch_error;
  reason = {circuit.cause,
            is_refusal
                ? fmt::format("the launch for pool {} was refused: {}", pool.value(), circuit.text)
                : fmt::format("{} machines of pool {} in a row did not come up; the last: {}",
                              circuit.failures, pool.value(), circuit.text),
            circuit.since, circuit.open_until};
  return 0;
}

void Market::tried(const PoolName& pool, TimePoint now) {
  const auto found = circuits_.find(pool);
  if (found == circuits_.end() || found->second.open_until == TimePoint{}) return;
  // One at a time: whatever becomes of it sets the circuit anew.
  found->second.open_until = now + kCircuitOpen;
}

namespace {

/// Whether the pool has it, for jobs of this size. Types of sizes are for those who ask for them.
bool is_offered(const Pool& pool, const std::string& type, const Offering& offering) {
  const OnDemandRule other =
      offering.capacity_type == CapacityType::spot ? OnDemandRule::only : OnDemandRule::never;
  if (pool.on_demand == other) return false;
  const std::string& offered = offering.instance_type;
  if (!type.empty()) return offered == type;
  if (pool.types.empty()) return offered.empty();
  return std::find(pool.types.begin(), pool.types.end(), offered) != pool.types.end();
}

}  // namespace

Market::Choice Market::choose(const Pool& pool, const std::string& type, TimePoint now) const {
  Choice choice;
  const PoolOffers* offers = offers_of(pool.name);
  // Also of another configuration: what was asked for by the one before does not fit this one.
  const auto unresolved = [&] {
    choice.reason = {
        WaitCause::launching,
        fmt::format("what pool {} can be launched from is being asked for", pool.name.value()), now,
        std::nullopt};
    return choice;
  };
  if (offers == nullptr) return unresolved();
  if (offers->error) {
    choice.reason = {WaitCause::launch_error, offers->error->describe(), now, std::nullopt};
    return choice;
  }
  const Memory* first_back = nullptr;
  std::string out_of_room;
  int tried = 0;
  for (const CapacityType capacity : {CapacityType::spot, CapacityType::on_demand}) {
    for (const PricedOffering& one : offers->offerings) {
      if (one.offering.capacity_type != capacity || !is_offered(pool, type, one.offering)) continue;
      ++tried;
      const Memory* memory = set_aside(one.offering, now);
      if (memory == nullptr) {
        choice.offerings.push_back(one);
        continue;
      }
      choice.vcpus_aside = std::max(choice.vcpus_aside, one.vcpus);
      if (tried <= 4) out_of_room += (out_of_room.empty() ? "" : ", ") + describe(one.offering);
      if (first_back == nullptr || memory->set_aside_until < first_back->set_aside_until) {
        first_back = memory;
      }
    }
    // On-demand is the net under spot, not a part of it.
    if (!choice.offerings.empty()) break;
  }
  if (choice.offerings.empty() && tried == 0 && type.empty()) return unresolved();
  if (choice.offerings.empty()) {
    choice.reason.cause =
        first_back != nullptr && first_back->is_quota ? WaitCause::quota : WaitCause::capacity;
    choice.reason.since = now;
    choice.reason.text =
        tried == 0
            ? fmt::format("pool {} has no offering of type {}", pool.name.value(), type)
            : fmt::format("{} {} ({})", out_of_room,
                          first_back->is_quota ? "is beyond the account's quota" : "has no room",
                          first_back->code);
    if (first_back != nullptr) choice.reason.next = first_back->set_aside_until;
    return choice;
  }
  choice.is_doubtful = std::all_of(
      choice.offerings.begin(), choice.offerings.end(),
      [&](const auto& one) { return set_aside(one.offering, now - kSetAsideMax) != nullptr; });
  if (pool.order != OfferingOrder::price) return choice;
  std::vector<std::pair<double, std::size_t>> order;  // Equal costs stay in the order listed.
  for (std::size_t i = 0; i < choice.offerings.size(); ++i) {
    const PricedOffering& one = choice.offerings[i];
    const Memory* memory = find(one.offering);
    const double penalty = memory == nullptr ? 0 : decayed(*memory, now);
    order.emplace_back(one.usd_per_hour * (1 + kPenaltyOfPrice * penalty), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<PricedOffering> sorted;
  for (const auto& [cost, i] : order) sorted.push_back(std::move(choice.offerings[i]));
  choice.offerings = std::move(sorted);
  return choice;
}

}  // namespace muster
