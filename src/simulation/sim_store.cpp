#include "simulation/sim_ports.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

template <class Rows, class Row, class Id>
void put(Rows& rows, const std::vector<Row>& changed, const std::vector<Id>& removed) {
  for (const Row& row : changed) rows.insert_or_assign(row.id, row);
  for (const Id& id : removed) rows.erase(id);
}

template <class Rows>
auto values_of(const Rows& rows) {
  std::vector<typename Rows::mapped_type> values;
  for (const auto& [id, row] : rows) values.push_back(row);
  return values;
}

void write(SimDisk& disk, const FleetCommit& commit) {
  const FleetChanges& changes = commit.changes;
  put(disk.jobs, changes.jobs, changes.removed_jobs);
  put(disk.instances, changes.instances, changes.removed_instances);
  put(disk.leases, changes.leases, changes.removed_leases);
  put(disk.intents, changes.intents, changes.removed_intents);
  for (const auto& [id, call] : commit.calls) disk.calls[id] = call;
  for (const IntentId& id : changes.removed_intents) disk.calls.erase(id);
  for (const PoolOrder& order : changes.pool_orders) disk.pool_orders[order.pool] = order;
  if (changes.spending) disk.spending = *changes.spending;
  if (commit.clock) disk.clock = *commit.clock;
  disk.is_new = false;
}

}  // namespace

Task<Result<StoredFleet>> SimStore::load_fleet() {
  Task<std::optional<Error>> sending = link_.send("load", 2ms);
  // A store that cannot be read stops the program; whoever runs it starts it again.
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  const SimDisk& disk = world_.disk;
  StoredFleet loaded;
  loaded.fleet = {values_of(disk.jobs),    values_of(disk.instances),   values_of(disk.leases),
                  values_of(disk.intents), values_of(disk.pool_orders), disk.spending};
  loaded.calls = disk.calls;
  loaded.clock = disk.clock;
  loaded.is_new = disk.is_new;
  Task<std::optional<Error>> receiving = link_.receive("load", 2ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  co_return loaded;
}

Task<Status> SimStore::commit(FleetCommit commit) {
  Task<std::optional<Error>> sending = link_.send("commit", 1ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  const bool is_full = world_.strikes(54);
  // A failed write may have reached the disk all the same.
  const bool is_written = !is_full || world_.dice().hits(0.3);
  if (is_written) {
    if (world_.watcher != nullptr) world_.watcher->committing(commit);
    write(world_.disk, commit);
  }
  world_.trace("commit", is_full ? "failed" : "ok");
  Task<std::optional<Error>> receiving = link_.receive("commit", 1ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  if (is_full) co_return fail(ErrorKind::unavailable, "the disk is full (simulated)");
  co_return Status();
}

Task<Status> SimStore::save_step(RunId id, StepRecord step) {
  world_.run_steps[id][step.number] = step;
  co_return Status();
}

Task<Result<std::vector<StepRecord>>> SimStore::steps_of(RunId id) {
  std::vector<StepRecord> steps;
  for (const auto& [number, step] : world_.run_steps[id]) steps.push_back(step);
  co_return steps;
}

}  // namespace muster::simulation
