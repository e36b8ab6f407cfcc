#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "fleet/pool.hpp"
#include "fleet/wait_reason.hpp"

namespace muster {

/// An offering with what it costs and brings.
struct PricedOffering {
  Offering offering;
  double usd_per_hour = 0;  ///< 0: not known.
  int vcpus = 0;            ///< 0: not known.
};

/// What a pool can be launched from, as the cloud has it.
struct PoolOffers {
  std::vector<PricedOffering> offerings;  ///< In the order that the pool lists them.
  std::string settings;                   ///< A digest of what its instances are made of.
  std::optional<Error> error;             ///< Why it cannot be launched from at all.
};

/// What is known of the pools' offerings: prices, and a memory of refusals and interruptions that
/// decays. Also the circuit breakers of pools whose launches keep failing.
class Market {
 public:
  void set_offers(const PoolName& pool, PoolOffers offers) { offers_[pool] = std::move(offers); }
  [[nodiscard]] const PoolOffers* offers_of(const PoolName& pool) const;

  /// The cloud had no room, or no quota, for it.
  void refused(const Offering& offering, const Error& error, TimePoint now);
  void interrupted(const Offering& offering, TimePoint now);
  /// What the pool says was refused: nothing will come of the same again soon.
  void launch_failed(const PoolName& pool, const Error& error, TimePoint now);
  /// An instance never became usable.
  void boot_failed(const PoolName& pool, const std::string& why, TimePoint now);
  void boot_worked(const PoolName& pool);

  struct Choice {
    std::vector<PricedOffering> offerings;  ///< Of one capacity type, the best first; may be empty.
    WaitReason reason;                      ///< Why there is none.
    int vcpus_aside = 0;                    ///< The largest of those set aside.
    bool is_doubtful = false;               ///< All were refused lately.

    /// The dearest and the largest of those that may be taken.
    [[nodiscard]] double usd_max() const;
    [[nodiscard]] int vcpus_max() const;
  };
  /// Where to launch now. `type` narrows it to one instance type.
  [[nodiscard]] Choice choose(const Pool& pool, const std::string& type, TimePoint now) const;
  /// How many may be launched while the circuit is closed (many), half open (one) or open (none).
  [[nodiscard]] int circuit_room(const PoolName& pool, TimePoint now, WaitReason& reason) const;
  /// Why the pool's last machines did not come; empty: they came, or it is long ago.
  [[nodiscard]] std::string last_failure(const PoolName& pool, TimePoint now) const;
  /// Counts the one launch that a half-open circuit lets through.
  void tried(const PoolName& pool, TimePoint now);

 private:
  struct Memory {
    double penalty = 0;
    TimePoint at{};
    TimePoint set_aside_until{};
    std::string code;
    bool is_quota = false;
  };
  struct Circuit {
    int failures = 0;
    TimePoint open_until{};
    TimePoint failed_at{};
    WaitCause cause = WaitCause::none;
    std::string text;
    TimePoint since{};
  };
  [[nodiscard]] const Memory* find(const Offering& offering) const;
  [[nodiscard]] const Memory* set_aside(const Offering& offering, TimePoint now) const;
  static double decayed(const Memory& memory, TimePoint now);
  void remember(const Offering& key, double weight, const Error& error, TimePoint now);

  std::map<PoolName, PoolOffers> offers_;
  std::map<Offering, Memory> memory_;  // Also of whole capacity types and subnets.
  std::map<PoolName, Circuit> circuits_;
};

}  // namespace muster
