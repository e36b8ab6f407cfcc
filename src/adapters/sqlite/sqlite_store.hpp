#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "ports/store.hpp"

namespace muster::sqlite {

/// The `Store` and `RunStore` ports on one SQLite file in WAL mode. The library blocks, so it lives
/// on a thread of its own; every commit is synced before it is answered.
class SqliteStore : public Store, public RunStore {
 public:
  /// Opens or makes the file and brings its schema up to date. Errors: unavailable, corrupt,
  /// conflict (a newer schema).
  static Result<std::unique_ptr<SqliteStore>> open(boost::asio::any_io_executor executor,
                                                   const std::string& path);
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

 private:
  class Database;
  SqliteStore(boost::asio::any_io_executor executor, std::unique_ptr<Database> database);

  std::unique_ptr<Database> database_;
  struct Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace muster::sqlite
