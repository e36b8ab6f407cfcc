#pragma once

#include "adapters/sqlite/connection.hpp"
#include "ports/fleet_store.hpp"

namespace muster::sqlite {

/// Everything of the controller that is stored. Errors: corrupt (a state that is none).
[[nodiscard]] Result<StoredFleet> read_fleet(Connection& in);

/// Writes what has changed; within a transaction of the caller's.
[[nodiscard]] Status write_fleet(Connection& to, const FleetCommit& commit);

}  // namespace muster::sqlite
