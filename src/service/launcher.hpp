#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/secret.hpp"
#include "fleet/pool.hpp"
#include "ports/clock.hpp"
#include "ports/cloud.hpp"
#include "ports/machine.hpp"
#include "ports/random.hpp"
#include "ports/store.hpp"
#include "service/machine_identity.hpp"
#include "service/pool_resolver.hpp"
#include "service/run_observer.hpp"

namespace muster {

/// A machine of ours: launched, perhaps reachable.
struct LaunchedMachine {
  IntentId intent;
  CloudInstance instance;
  Offering offering;
  Secret private_key;
  std::vector<HostKey> host_keys;  ///< Pinned before; empty: to be read from the console.
};

/// A way into a machine, and the keys by which it was recognised.
struct ReachedMachine {
  std::unique_ptr<Machine> machine;
  std::vector<HostKey> host_keys;
};

/// Brings machines up and gets rid of them. Intent before effect: what it is about to launch is
/// committed first, and a launch whose outcome is unknown is sent again with the same token.
class Launcher {
 public:
  struct Parts {
    Cloud& cloud;
    CloudControl& control;
    CloudCatalog& catalog;
    MachineConnector& connector;
    Store& store;
    Clock& clock;
    Random& random;
    const Log& log;
  };

  Launcher(Parts parts, std::string cluster, Secret cluster_secret, std::string region);

  /// Launches one machine of the pool in the first offering that has room.
  /// Errors: capacity_unavailable and quota_exceeded when no offering has, and all of the cloud's.
  Task<Result<LaunchedMachine>> launch(Pool pool, RunId run);

  /// Waits for host keys on the console, then for a way in. Errors: timeout, unauthenticated
  /// (another machine answers there), unavailable (the machine ended).
  Task<Result<ReachedMachine>> reach(LaunchedMachine machine, Pool pool);

  /// The machine that a run whose program ended before it did still owes an end: its intent and id.
  /// A launch that may or may not have been made is made sure of; absent: nothing is owed.
  Task<Result<std::optional<LaunchedMachine>>> find_owed(RunId run);

  /// Asks the cloud where a machine is now. Errors: unavailable with code E0423 (it is gone).
  Task<Result<LaunchedMachine>> refresh(LaunchedMachine machine);

  /// Ends the machine and waits until the cloud says that it is on its way out.
  Task<Status> terminate(LaunchedMachine machine);

  /// Why the machine is no more; nothing while it lives, or when that cannot be told now.
  Task<std::optional<Error>> find_end(InstanceId id);
  /// The launch that was being made when the caller was cancelled, if any: it may have been made.
  Task<Status> terminate_unfinished();

 private:
  struct Attempt {
    Offering offering;
    Error error;
    TimePoint at;
  };

  Task<Result<LaunchedMachine>> launch_in(const Pool* pool, ResolvedPool resolved,
                                          Offering offering, RunId run);
  Task<Result<LaunchAnswer>> send_launch(LaunchIntent intent);
  Task<Status> check_cap(const Pool* pool);
  Task<Result<CloudInstance>> look_up(InstanceId id);
  [[nodiscard]] static tl::unexpected<Error> no_room(const Pool& pool,
                                                     const std::vector<Attempt>& attempts,
                                                     Duration took);

  Parts parts_;
  std::string cluster_;
  MakeKey make_key_;
  std::string region_;
  std::optional<LaunchIntent> unfinished_;
};

}  // namespace muster
