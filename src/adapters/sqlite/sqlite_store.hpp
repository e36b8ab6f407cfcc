#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/task.hpp"
#include "ports/fleet_store.hpp"
#include "ports/store.hpp"
#include "ports/submit_store.hpp"
#include "ports/token_store.hpp"

namespace muster::sqlite {

class Connection;

/// The store ports on one SQLite file in WAL mode. The library blocks, so it lives
/// on a thread of its own; every commit is synced before it is answered.
class SqliteStore : public Store,
                    public RunStore,
                    public FleetStore,
                    public SubmitStore,
                    public TokenStore {
 public:
  /// Opens or makes the file and brings its schema up to date. Errors: unavailable, corrupt,
  /// conflict (a newer schema).
  static Result<std::unique_ptr<SqliteStore>> open(Executor executor, const std::string& path);
  ~SqliteStore() override;

  Task<Status> add_intent(LaunchIntent intent) override;
  Task<Status> set_intent(IntentId id, IntentState state,
                          std::vector<InstanceId> instances) override;
  Task<Result<std::vector<LaunchIntent>>> list_owing() override;

  Task<Status> add_run(RunRecord run) override;
  Task<Status> set_run_state(RunId id, RunState state) override;
  Task<Status> set_run_host_keys(RunId id, std::string host_keys) override;
  Task<Status> forget_run_plan(RunId id) override;
  Task<Result<RunRecord>> find_run(RunId id) override;
  Task<Result<std::vector<RunRecord>>> list_open_runs(int count_max) override;
  Task<Status> save_step(RunId id, StepRecord step) override;
  Task<Result<std::vector<StepRecord>>> steps_of(RunId id) override;

  Task<Result<StoredFleet>> load_fleet() override;
  Task<Status> commit(FleetCommit changes) override;
  /// A copy of everything as it is now, into a file that does not exist.
  Task<Status> backup(std::string path);

  Task<Status> add_submitted(SubmittedJob job) override;
  Task<Result<std::vector<SubmittedJob>>> list_submitted(TimePoint since) override;
  Task<Result<SubmittedJob>> find_submitted(std::string id) override;
  Task<Status> claim_submitted(std::string id, LeaseId lease, InstanceId instance) override;
  Task<Status> give_back_submitted(std::string id, LeaseId lease) override;
  Task<Status> finish_submitted(SubmittedJob ended) override;
  Task<Status> cancel_submitted(std::string id, std::string why, TimePoint now) override;
  Task<Status> settle_cancelled(std::string id, TimePoint now) override;
  Task<Result<long>> submit_version() override;

  Task<Status> add_token(ApiToken token) override;
  Task<Result<std::vector<ApiToken>>> list_tokens() override;
  Task<Status> remove_token(std::string name) override;

 private:
  SqliteStore(Executor executor, std::unique_ptr<Connection> connection);
  /// Blocking work on the store's own thread.
  template <class T>
  Task<T> run(std::function<T(Connection&)> work);

  std::unique_ptr<Connection> connection_;
  struct Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace muster::sqlite
