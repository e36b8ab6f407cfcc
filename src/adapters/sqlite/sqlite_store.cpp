#include "adapters/sqlite/sqlite_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <optional>

#include "adapters/sqlite/connection.hpp"
#include "adapters/sqlite/fleet_rows.hpp"
#include "adapters/sqlite/submitted_rows.hpp"
#include "adapters/sqlite/token_rows.hpp"
#include "base/task.hpp"
#include "wire/json.hpp"

namespace muster::sqlite {

namespace asio = boost::asio;

namespace {

constexpr std::array<std::string_view, 5> kRunStates{"running", "passed", "failed", "errored",
                                                     "killed"};

std::string name_of(RunState state) {
  return std::string(kRunStates.at(static_cast<std::size_t>(state)));
}

RunState run_state_of(const std::string& name) {
  const auto found = std::find(kRunStates.begin(), kRunStates.end(), name);
  return found == kRunStates.end() ? RunState::errored
                                   : static_cast<RunState>(found - kRunStates.begin());
}

std::string list_of(const std::vector<InstanceId>& ids) {
  Node list = Node::sequence();
  for (const InstanceId& id : ids) list.items.push_back(Node::string(id.value()));
  return wire::to_json(list);
}

}  // namespace

namespace {

Status without_count(const Result<int>& changed) {
  return changed ? Status() : Status(tl::unexpected<Error>(changed.error()));
}

Status add(Connection& to, const LaunchIntent& intent) {
  return without_count(to.change(
      "INSERT INTO launch_intent (id, run, cluster, pool, region, action, body, token, state,"
      " instances, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      {intent.id.value(), intent.run.value(), intent.cluster, intent.pool.value(), intent.region,
       intent.call.action, intent.call.body, intent.call.token.value(), to_string(intent.state),
       list_of(intent.instances), format_iso8601_millis(intent.created_at)}));
}

Status set(Connection& to, const IntentId& id, IntentState state,
           const std::vector<InstanceId>& instances) {
  if (instances.empty()) {
    return without_count(to.change("UPDATE launch_intent SET state = ? WHERE id = ?",
                                   {to_string(state), id.value()}));
  }
  return without_count(to.change("UPDATE launch_intent SET state = ?, instances = ? WHERE id = ?",
                                 {to_string(state), list_of(instances), id.value()}));
}

RunRecord run_of(const Row& row) {
  RunRecord run;
  run.id = RunId(row.text(0));
  run.state = run_state_of(row.text(1));
  run.sealed = row.text(2);
  run.host_keys = row.text(3);
  run.created_at = parse_iso8601(row.text(4)).value_or(TimePoint{});
  return run;
}

Result<RunRecord> find_run_in(Connection& in, const RunId& id) {
  std::optional<RunRecord> found;
  const Status asked =
      in.query("SELECT id, state, sealed, host_keys, created_at FROM run WHERE id = ?",
               {id.value()}, [&](const Row& row) { found = run_of(row); });
  if (!asked) return tl::unexpected<Error>(asked.error());
  if (!found) return fail(ErrorKind::not_found, fmt::format("there is no run {}", id.value()));
  return *found;
}

Result<std::vector<RunRecord>> open_runs_in(Connection& in, int count_max) {
  std::vector<RunRecord> found;
  const Status asked = in.query(
      "SELECT id, state, '', host_keys, created_at FROM run WHERE state = 'running' "
      "ORDER BY created_at DESC LIMIT ?",
      {std::int64_t{count_max}}, [&](const Row& row) { found.push_back(run_of(row)); });
  if (!asked) return tl::unexpected<Error>(asked.error());
  return found;
}

Status save_step_in(Connection& to, const RunId& id, const StepRecord& step) {
  return without_count(to.change(
      "INSERT INTO run_step (run, number, has_ended, outcome, exit_code, error, took_ns)"
      " VALUES (?,?,?,?,?,?,?) ON CONFLICT (run, number) DO UPDATE SET"
      " has_ended = excluded.has_ended, outcome = excluded.outcome,"
      " exit_code = excluded.exit_code, error = excluded.error, took_ns = excluded.took_ns",
      {id.value(), std::int64_t{step.number}, std::int64_t{step.has_ended},
       std::int64_t{step.outcome}, std::int64_t{step.exit_code}, step.error, step.took.count()}));
}

Result<std::vector<StepRecord>> steps_in(Connection& in, const RunId& id) {
  std::vector<StepRecord> found;
  const Status asked = in.query(
      "SELECT number, has_ended, outcome, exit_code, error, took_ns FROM run_step"
      " WHERE run = ? ORDER BY number",
      {id.value()}, [&](const Row& row) {
        found.push_back({static_cast<int>(row.integer(0)), row.integer(1) != 0,
                         static_cast<int>(row.integer(2)), static_cast<int>(row.integer(3)),
                         row.text(4), Duration{row.integer(5)}});
      });
  if (!asked) return tl::unexpected<Error>(asked.error());
  return found;
}

Result<std::vector<LaunchIntent>> owing_in(Connection& in) {
  std::vector<LaunchIntent> found;
  const Status asked = in.query(
      "SELECT id, run, cluster, pool, region, action, body, token, state, instances, created_at"
      " FROM launch_intent WHERE state IN ('open', 'launched') ORDER BY created_at",
      {}, [&](const Row& row) {
        LaunchIntent intent;
        intent.id = IntentId(row.text(0));
        intent.run = RunId(row.text(1));
        intent.cluster = row.text(2);
        intent.pool = PoolName(row.text(3));
        intent.region = row.text(4);
        intent.call = {row.text(5), row.text(6), ClientToken(row.text(7))};
        intent.state = row.text(8) == "launched" ? IntentState::launched : IntentState::open;
        if (const Result<Node> ids = wire::parse_json(row.text(9))) {
          for (const Node& id : ids->items) intent.instances.emplace_back(id.text);
        }
        intent.created_at = parse_iso8601(row.text(10)).value_or(TimePoint{});
        found.push_back(std::move(intent));
      });
  if (!asked) return tl::unexpected<Error>(asked.error());
  return found;
}

}  // namespace

struct SqliteStore::Worker {
  explicit Worker(Executor used) : home(std::move(used)) {}
  Executor home;
  asio::thread_pool thread{1};

  /// Runs a blocking call on the thread and comes back to the caller's executor.
  template <class T>
  Task<T> run(std::function<T()> work) {
    std::optional<T> result;
    std::exception_ptr failure;
    // Not cancelled: what the thread writes to outlives it.
    co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&, void()>(
        [this, &work, &result, &failure](auto handler) {
          asio::post(thread,
                     [this, &work, &result, &failure, waiter = std::move(handler)]() mutable {
                       try {
                         result = work();
                       } catch (...) {
                         failure = std::current_exception();
                       }
                       asio::post(home, std::move(waiter));
                     });
        },
        use_task);
    if (failure) std::rethrow_exception(failure);
    co_return std::move(*result);
  }
};

SqliteStore::SqliteStore(Executor executor, std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)), worker_(std::make_unique<Worker>(std::move(executor))) {}

SqliteStore::~SqliteStore() { worker_->thread.join(); }

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(Executor executor, const std::string& path) {
  Result<std::unique_ptr<Connection>> connection = Connection::open(path);
  if (!connection) return tl::unexpected<Error>(connection.error());
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(executor), std::move(*connection)));
}

template <class T>
Task<T> SqliteStore::run(std::function<T(Connection&)> work) {
  std::function<T()> there = [this, work = std::move(work)] { return work(*connection_); };
  Task<T> running = worker_->run(std::move(there));
  co_return co_await std::move(running);
}

Task<Status> SqliteStore::add_intent(LaunchIntent intent) {
  return run<Status>([intent = std::move(intent)](Connection& to) { return add(to, intent); });
}

Task<Status> SqliteStore::set_intent(IntentId id, IntentState state,
                                     std::vector<InstanceId> instances) {
  return run<Status>([id, state, instances = std::move(instances)](Connection& to) {
    return set(to, id, state, instances);
  });
}

Task<Result<std::vector<LaunchIntent>>> SqliteStore::list_owing() {
  return run<Result<std::vector<LaunchIntent>>>([](Connection& in) { return owing_in(in); });
}

Task<Status> SqliteStore::add_run(RunRecord record) {
  return run<Status>([record = std::move(record)](Connection& to) {
    return without_count(
        to.change("INSERT INTO run (id, state, sealed, host_keys, created_at) VALUES (?,?,?,?,?)",
                  {record.id.value(), name_of(record.state), record.sealed, record.host_keys,
                   format_iso8601_millis(record.created_at)}));
  });
}

Task<Status> SqliteStore::set_run_state(RunId id, RunState state) {
  return run<Status>([id, state](Connection& to) {
    return without_count(
        to.change("UPDATE run SET state = ? WHERE id = ?", {name_of(state), id.value()}));
  });
}

Task<Status> SqliteStore::set_run_host_keys(RunId id, std::string host_keys) {
  return run<Status>([id, host_keys = std::move(host_keys)](Connection& to) {
    return without_count(
        to.change("UPDATE run SET host_keys = ? WHERE id = ?", {host_keys, id.value()}));
  });
}

Task<Status> SqliteStore::forget_run_plan(RunId id) {
  return run<Status>([id](Connection& to) {
    return without_count(to.change("UPDATE run SET sealed = '' WHERE id = ?", {id.value()}));
  });
}

Task<Result<RunRecord>> SqliteStore::find_run(RunId id) {
  return run<Result<RunRecord>>([id](Connection& in) { return find_run_in(in, id); });
}

Task<Result<std::vector<RunRecord>>> SqliteStore::list_open_runs(int count_max) {
  return run<Result<std::vector<RunRecord>>>(
      [count_max](Connection& in) { return open_runs_in(in, count_max); });
}

Task<Status> SqliteStore::save_step(RunId id, StepRecord step) {
  return run<Status>(
      [id, step = std::move(step)](Connection& to) { return save_step_in(to, id, step); });
}

Task<Result<std::vector<StepRecord>>> SqliteStore::steps_of(RunId id) {
  return run<Result<std::vector<StepRecord>>>([id](Connection& in) { return steps_in(in, id); });
}

Task<Result<StoredFleet>> SqliteStore::load_fleet() {
  return run<Result<StoredFleet>>([](Connection& in) { return read_fleet(in); });
}

Task<Status> SqliteStore::commit(FleetCommit changes) {
  return run<Status>([changes = std::move(changes)](Connection& to) {
    return to.transact([&] { return write_fleet(to, changes); });
  });
}

Task<Status> SqliteStore::backup(std::string path) {
  return run<Status>([path = std::move(path)](Connection& in) { return in.copy_to(path); });
}

Task<Status> SqliteStore::add_submitted(SubmittedJob job) {
  return run<Status>([job = std::move(job)](Connection& to) { return add_submitted_to(to, job); });
}

Task<Result<std::vector<SubmittedJob>>> SqliteStore::list_submitted(TimePoint since) {
  return run<Result<std::vector<SubmittedJob>>>(
      [since](Connection& in) { return submitted_in(in, since); });
}

Task<Result<SubmittedJob>> SqliteStore::find_submitted(std::string id) {
  return run<Result<SubmittedJob>>([id](Connection& in) { return find_submitted_in(in, id); });
}

Task<Status> SqliteStore::claim_submitted(std::string id, LeaseId lease, InstanceId instance) {
  return run<Status>([id, lease, instance](Connection& in) {
    return claim_submitted_in(in, id, lease, instance);
  });
}

Task<Status> SqliteStore::give_back_submitted(std::string id, LeaseId lease) {
  return run<Status>([id, lease](Connection& in) { return give_back_submitted_in(in, id, lease); });
}

Task<Status> SqliteStore::finish_submitted(SubmittedJob ended) {
  return run<Status>(
      [ended = std::move(ended)](Connection& in) { return finish_submitted_in(in, ended); });
}

Task<Status> SqliteStore::cancel_submitted(std::string id, std::string why, TimePoint now) {
  return run<Status>([id = std::move(id), why = std::move(why), now](Connection& in) {
    return cancel_submitted_in(in, id, why, now);
  });
}

Task<Status> SqliteStore::settle_cancelled(std::string id, TimePoint now) {
  return run<Status>(
      [id = std::move(id), now](Connection& in) { return settle_cancelled_in(in, id, now); });
}

Task<Status> SqliteStore::add_token(ApiToken token) {
  return run<Status>(
      [token = std::move(token)](Connection& to) { return add_token_to(to, token); });
}

Task<Result<std::vector<ApiToken>>> SqliteStore::list_tokens() {
  return run<Result<std::vector<ApiToken>>>([](Connection& in) { return tokens_in(in); });
}

Task<Status> SqliteStore::remove_token(std::string name) {
  return run<Status>([name](Connection& from) { return remove_token_from(from, name); });
}

Task<Result<long>> SqliteStore::submit_version() {
  return run<Result<long>>([](Connection& in) -> Result<long> {
    long version = 0;
    const Status asked =
        in.query("PRAGMA data_version", {}, [&](const Row& row) { version = row.integer(0); });
    if (!asked) return tl::unexpected<Error>(asked.error());
    return version;
  });
}

}  // namespace muster::sqlite
