#include "adapters/sqlite/sqlite_store.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>

#include "wire/json.hpp"

namespace muster::sqlite {

namespace asio = boost::asio;

namespace {

struct SqliteFree {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

constexpr std::array<std::string_view, 2> kMigrations{
    "CREATE TABLE launch_intent ("
    " id TEXT PRIMARY KEY, run TEXT NOT NULL, cluster TEXT NOT NULL, pool TEXT NOT NULL,"
    " region TEXT NOT NULL, action TEXT NOT NULL, body TEXT NOT NULL, token TEXT NOT NULL,"
    " state TEXT NOT NULL, instances TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;"
    "CREATE INDEX launch_intent_owing ON launch_intent (created_at)"
    " WHERE state IN ('open', 'launched');",
    "CREATE TABLE run ("
    " id TEXT PRIMARY KEY, state TEXT NOT NULL, sealed TEXT NOT NULL, host_keys TEXT NOT NULL,"
    " created_at TEXT NOT NULL) STRICT;"
    "CREATE TABLE run_step ("
    " run TEXT NOT NULL, number INTEGER NOT NULL, has_ended INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL, exit_code INTEGER NOT NULL, error TEXT NOT NULL,"
    " took_ns INTEGER NOT NULL, PRIMARY KEY (run, number)) STRICT;"};

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

std::string name_of(IntentState state) {
  switch (state) {
    case IntentState::open: return "open";
    case IntentState::launched: return "launched";
    case IntentState::refused: return "refused";
    case IntentState::ended: return "ended";
  }
  return {};
}

std::string list_of(const std::vector<InstanceId>& ids) {
  Node list = Node::sequence();
  for (const InstanceId& id : ids) list.items.push_back(Node::string(id.value()));
  return wire::to_json(list);
}

}  // namespace

/// Blocking calls on the file; only the worker thread makes them.
class SqliteStore::Database {
 public:
  explicit Database(std::string path) : path_(std::move(path)) {}

  Status open() {
    sqlite3* raw = nullptr;
    const int rc =
        sqlite3_open_v2(path_.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    database_.reset(raw);
    if (rc != SQLITE_OK) return failure("open");
    chmod(path_.c_str(), 0600);
    sqlite3_busy_timeout(raw, 10'000);
    for (const char* text : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"}) {
      if (Status done = execute(text); !done) return done;
    }
    return migrate();
  }

  Status add(const LaunchIntent& intent) {
    return change(
        "INSERT INTO launch_intent (id, run, cluster, pool, region, action, body, token, state,"
        " instances, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        {intent.id.value(), intent.run.value(), intent.cluster, intent.pool.value(), intent.region,
         intent.call.action, intent.call.body, intent.call.token.value(), name_of(intent.state),
         list_of(intent.instances), format_iso8601_millis(intent.created_at)});
  }

  Status set(const IntentId& id, IntentState state, const std::vector<InstanceId>& instances) {
    if (instances.empty()) {
      return change("UPDATE launch_intent SET state = ? WHERE id = ?",
                    {name_of(state), id.value()});
    }
    return change("UPDATE launch_intent SET state = ?, instances = ? WHERE id = ?",
                  {name_of(state), list_of(instances), id.value()});
  }

  Status add(const RunRecord& run) {
    return change("INSERT INTO run (id, state, sealed, host_keys, created_at) VALUES (?,?,?,?,?)",
                  {run.id.value(), name_of(run.state), run.sealed, run.host_keys,
                   format_iso8601_millis(run.created_at)});
  }

  Status set_run(const RunId& id, const std::string& column, const std::string& value) {
    return change(fmt::format("UPDATE run SET {} = ? WHERE id = ?", column), {value, id.value()});
  }

  Result<RunRecord> run(const RunId& id) {
    auto statement =
        prepare("SELECT id, state, sealed, host_keys, created_at FROM run WHERE id = ?");
    if (!statement) return tl::unexpected<Error>(statement.error());
    sqlite3_bind_text(statement->get(), 1, id.value().c_str(), -1, SQLITE_TRANSIENT);
    const int rc = sqlite3_step(statement->get());
    if (rc == SQLITE_DONE)
      return fail(ErrorKind::not_found, fmt::format("there is no run {}", id.value()));
    if (rc != SQLITE_ROW) return failure("read");
    return run_at(*statement);
  }

  Result<std::vector<RunRecord>> open_runs(int count_max) {
    auto statement = prepare(
        fmt::format("SELECT id, state, '', host_keys, created_at FROM run WHERE state = 'running' "
                    "ORDER BY created_at DESC LIMIT {}",
                    count_max));
    if (!statement) return tl::unexpected<Error>(statement.error());
    std::vector<RunRecord> found;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(statement->get())) == SQLITE_ROW) found.push_back(run_at(*statement));
    if (rc != SQLITE_DONE) return failure("read");
    return found;
  }

  Status save(const RunId& id, const StepRecord& step) {
    return change(
        "INSERT INTO run_step (run, number, has_ended, outcome, exit_code, error, took_ns)"
        " VALUES (?,?,?,?,?,?,?) ON CONFLICT (run, number) DO UPDATE SET"
        " has_ended = excluded.has_ended, outcome = excluded.outcome,"
        " exit_code = excluded.exit_code, error = excluded.error, took_ns = excluded.took_ns",
        {id.value(), std::to_string(step.number), step.has_ended ? "1" : "0",
         std::to_string(step.outcome), std::to_string(step.exit_code), step.error,
         std::to_string(step.took.count())});
  }

  Result<std::vector<StepRecord>> steps(const RunId& id) {
    auto statement = prepare(
        "SELECT number, has_ended, outcome, exit_code, error, took_ns FROM run_step"
        " WHERE run = ? ORDER BY number");
    if (!statement) return tl::unexpected<Error>(statement.error());
    sqlite3_bind_text(statement->get(), 1, id.value().data(), static_cast<int>(id.value().size()),
                      SQLITE_TRANSIENT);
    std::vector<StepRecord> found;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(statement->get())) == SQLITE_ROW) {
      sqlite3_stmt* row = statement->get();
      found.push_back({sqlite3_column_int(row, 0), sqlite3_column_int(row, 1) != 0,
                       sqlite3_column_int(row, 2), sqlite3_column_int(row, 3),
                       text_at(*statement, 4), Duration{sqlite3_column_int64(row, 5)}});
    }
    if (rc != SQLITE_DONE) return failure("read");
    return found;
  }

  Result<std::vector<LaunchIntent>> owing() {
    auto statement = prepare(
        "SELECT id, run, cluster, pool, region, action, body, token, state, instances, created_at"
        " FROM launch_intent WHERE state IN ('open', 'launched') ORDER BY created_at");
    if (!statement) return tl::unexpected<Error>(statement.error());
    std::vector<LaunchIntent> found;
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(statement->get())) == SQLITE_ROW) {
      const auto text = [&](int column) { return text_at(*statement, column); };
      LaunchIntent intent;
      intent.id = IntentId(text(0));
      intent.run = RunId(text(1));
      intent.cluster = text(2);
      intent.pool = PoolName(text(3));
      intent.region = text(4);
      intent.call = {text(5), text(6), ClientToken(text(7))};
      intent.state = text(8) == "launched" ? IntentState::launched : IntentState::open;
      const Result<Node> ids = wire::parse_json(text(9));
      if (!ids) return within("store", path_, ids.error());
      for (const Node& id : ids->items) intent.instances.emplace_back(id.text);
      intent.created_at = parse_iso8601(text(10)).value_or(TimePoint{});
      found.push_back(std::move(intent));
    }
    if (rc != SQLITE_DONE) return failure("read");
    return found;
  }

 private:
  using Statement = std::unique_ptr<sqlite3_stmt, SqliteFree>;

  static RunRecord run_at(const Statement& statement) {
    RunRecord run;
    run.id = RunId(text_at(statement, 0));
    run.state = run_state_of(text_at(statement, 1));
    run.sealed = text_at(statement, 2);
    run.host_keys = text_at(statement, 3);
    run.created_at = parse_iso8601(text_at(statement, 4)).value_or(TimePoint{});
    return run;
  }

  static std::string text_at(const Statement& statement, int column) {
    const auto* bytes = sqlite3_column_text(statement.get(), column);
    return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes));
  }

  tl::unexpected<Error> failure(std::string_view step) const {
    const int code = sqlite3_errcode(database_.get());
    const bool is_damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    return fail(
        is_damaged ? ErrorKind::corrupt : ErrorKind::unavailable,
        fmt::format("cannot {} the store {}: {}", step, path_, sqlite3_errmsg(database_.get())),
        is_damaged ? "Move the file away; running machines end by their dead-man timer."
                   : "Check free space and permissions of its folder.");
  }

  Status execute(const std::string& text) {
    if (sqlite3_exec(database_.get(), text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
      return {};
    }
    return failure("write");
  }

  Result<Statement> prepare(const std::string& text) {
    sqlite3_stmt* raw = nullptr;
    const int rc = sqlite3_prepare_v2(database_.get(), text.c_str(), -1, &raw, nullptr);
    Statement statement(raw);
    if (rc != SQLITE_OK) return failure("read");
    return statement;
  }

  Status change(const std::string& text, const std::vector<std::string>& values) {
    Result<Statement> statement = prepare(text);
    if (!statement) return tl::unexpected<Error>(statement.error());
    int place = 0;
    for (const std::string& value : values) {
      sqlite3_bind_text(statement->get(), ++place, value.data(), static_cast<int>(value.size()),
                        SQLITE_TRANSIENT);
    }
    if (sqlite3_step(statement->get()) == SQLITE_DONE) return {};
    return failure("write");
  }

  Status migrate() {
    Status begun = execute("BEGIN IMMEDIATE");
    if (!begun) return begun;
    Result<Statement> statement = prepare("PRAGMA user_version");
    if (!statement) return tl::unexpected<Error>(statement.error());
    if (sqlite3_step(statement->get()) != SQLITE_ROW) return failure("read");
    const auto version = static_cast<std::size_t>(sqlite3_column_int(statement->get(), 0));
    statement->reset();
    if (version > kMigrations.size()) {
      return fail(ErrorKind::conflict,
                  fmt::format("the store {} has schema {}, and this muster knows {}", path_,
                              version, kMigrations.size()),
                  "Use the newer muster that wrote it.");
    }
    for (std::size_t i = version; i < kMigrations.size(); ++i) {
      if (Status done = execute(std::string(kMigrations[i])); !done) return done;
    }
    if (Status done = execute(fmt::format("PRAGMA user_version = {}", kMigrations.size())); !done) {
      return done;
    }
    return execute("COMMIT");
  }

  std::string path_;
  std::unique_ptr<sqlite3, SqliteFree> database_;
};

struct SqliteStore::Worker {
  explicit Worker(asio::any_io_executor used) : home(std::move(used)) {}
  asio::any_io_executor home;
  asio::thread_pool thread{1};

  /// Runs a blocking call on the thread and comes back to the caller's executor.
  template <class T>
  Task<T> run(std::function<T()> work) {
    const auto doing = [](std::function<T()> inner) -> Task<T> { co_return inner(); };
    Task<T> there = doing(std::move(work));
    co_return co_await asio::co_spawn(thread, std::move(there), asio::use_awaitable);
  }
};

SqliteStore::SqliteStore(asio::any_io_executor executor, std::unique_ptr<Database> database)
    : database_(std::move(database)), worker_(std::make_unique<Worker>(std::move(executor))) {}

SqliteStore::~SqliteStore() { worker_->thread.join(); }

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(asio::any_io_executor executor,
                                                       const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(folder)) {
    std::filesystem::create_directories(folder, error);
    chmod(folder.c_str(), 0700);
  }
  if (error) {
    return fail(ErrorKind::unavailable,
                fmt::format("cannot make {}: {}", folder.string(), error.message()),
                "Set XDG_STATE_HOME or MUSTER_STATE to a folder that can be written.");
  }
  auto database = std::make_unique<Database>(path);
  const Status opened = database->open();
  if (!opened) return tl::unexpected<Error>(opened.error());
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(executor), std::move(database)));
}

Task<Status> SqliteStore::add_intent(LaunchIntent intent) {
  std::function<Status()> work = [this, intent = std::move(intent)] {
    return database_->add(intent);
  };
  Task<Status> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Status> SqliteStore::set_intent(IntentId id, IntentState state,
                                     std::vector<InstanceId> instances) {
  std::function<Status()> work = [this, id, state, instances = std::move(instances)] {
    return database_->set(id, state, instances);
  };
  Task<Status> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Result<std::vector<LaunchIntent>>> SqliteStore::list_owing() {
  std::function<Result<std::vector<LaunchIntent>>()> work = [this] { return database_->owing(); };
  Task<Result<std::vector<LaunchIntent>>> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Status> SqliteStore::add_run(RunRecord run) {
  std::function<Status()> work = [this, run = std::move(run)] { return database_->add(run); };
  Task<Status> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Status> SqliteStore::set_run_state(RunId id, RunState state) {
  std::function<Status()> work = [this, id, state] {
    return database_->set_run(id, "state", name_of(state));
  };
  Task<Status> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Status> SqliteStore::set_run_host_keys(RunId id, std::string host_keys) {
  std::function<Status()> work = [this, id, host_keys = std::move(host_keys)] {
    return database_->set_run(id, "host_keys", host_keys);
  };
  Task<Status> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Status> SqliteStore::forget_run_plan(RunId id) {
  std::function<Status()> work = [this, id] { return database_->set_run(id, "sealed", ""); };
  Task<Status> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Result<RunRecord>> SqliteStore::find_run(RunId id) {
  std::function<Result<RunRecord>()> work = [this, id] { return database_->run(id); };
  Task<Result<RunRecord>> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Result<std::vector<RunRecord>>> SqliteStore::list_open_runs(int count_max) {
  std::function<Result<std::vector<RunRecord>>()> work = [this, count_max] {
    return database_->open_runs(count_max);
  };
  Task<Result<std::vector<RunRecord>>> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Status> SqliteStore::save_step(RunId id, StepRecord step) {
  std::function<Status()> work = [this, id, step = std::move(step)] {
    return database_->save(id, step);
  };
  Task<Status> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

Task<Result<std::vector<StepRecord>>> SqliteStore::steps_of(RunId id) {
  std::function<Result<std::vector<StepRecord>>()> work = [this, id] {
    return database_->steps(id);
  };
  Task<Result<std::vector<StepRecord>>> running = worker_->run(std::move(work));
  co_return co_await std::move(running);
}

}  // namespace muster::sqlite
