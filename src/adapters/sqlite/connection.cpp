#include "adapters/sqlite/connection.hpp"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>

#include "adapters/sqlite/schema.hpp"

namespace muster::sqlite {

void Free::operator()(sqlite3* database) const { sqlite3_close(database); }
void Free::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

std::string Row::text(int column) const {
  const auto* bytes = sqlite3_column_text(statement_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes), size);
}

std::int64_t Row::integer(int column) const { return sqlite3_column_int64(statement_, column); }

double Row::real(int column) const { return sqlite3_column_double(statement_, column); }

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    std::filesystem::create_directories(folder, error);
    chmod(folder.c_str(), 0700);
  }
  if (error) {
    return fail(ErrorKind::unavailable,
                fmt::format("cannot make {}: {}", folder.string(), error.message()),
                "Set XDG_STATE_HOME or MUSTER_STATE to a folder that can be written.");
  }
  std::unique_ptr<Connection> connection(new Connection(path));
  const Status started = connection->start();
  if (!started) return tl::unexpected<Error>(started.error());
  return connection;
}

Status Connection::start() {
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
  if (Status sound = check(); !sound) return sound;
  return migrate();
}

Status Connection::check() {
  std::string verdict;
  Status asked = query("PRAGMA quick_check(1)", {}, [&](const Row& row) { verdict = row.text(0); });
  if (!asked || verdict == "ok") return asked;
  return fail(ErrorKind::corrupt, fmt::format("the store {} is damaged: {}", path_, verdict),
              "Move the file away; what runs is found again by its tags.");
}

/// All steps or none: a program that is killed half-way finds the schema as it was.
Status Connection::migrate() {
  return transact([&]() -> Status {
    std::size_t version = 0;
    Status asked = query("PRAGMA user_version", {}, [&](const Row& row) {
      version = static_cast<std::size_t>(row.integer(0));
    });
    if (!asked) return asked;
    if (version > kMigrations.size()) {
      return fail(ErrorKind::conflict,
                  fmt::format("the store {} has schema {}, and this muster knows {}", path_,
                              version, kMigrations.size()),
                  "Use the newer muster that wrote it.");
    }
    if (version == kMigrations.size()) return {};
    for (std::size_t i = version; i < kMigrations.size(); ++i) {
      if (Status done = execute(std::string(kMigrations.at(i))); !done) return done;
    }
    return execute(fmt::format("PRAGMA user_version = {}", kMigrations.size()));
  });
}

tl::unexpected<Error> Connection::failure(std::string_view step) const {
  const int code = sqlite3_errcode(database_.get());
  const bool is_damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  return fail(
      is_damaged ? ErrorKind::corrupt : ErrorKind::unavailable,
      fmt::format("cannot {} the store {}: {}", step, path_, sqlite3_errmsg(database_.get())),
      is_damaged ? "Move the file away; running machines end by their dead-man timer."
                 : "Check free space and permissions of its folder.");
}

Status Connection::execute(const std::string& text) {
  if (sqlite3_exec(database_.get(), text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
    return {};
  }
  return failure("write");
}

Result<Connection::Statement> Connection::prepare(std::string_view text,
                                                  const std::vector<Value>& values) {
  sqlite3_stmt* raw = nullptr;
  const int rc = sqlite3_prepare_v2(database_.get(), text.data(), static_cast<int>(text.size()),
                                    &raw, nullptr);
  Statement statement(raw);
  if (rc != SQLITE_OK) return failure("read");
  int place = 0;
  for (const Value& value : values) {
    ++place;
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      sqlite3_bind_int64(raw, place, *number);
    } else if (const auto* real = std::get_if<double>(&value)) {
      sqlite3_bind_double(raw, place, *real);
    } else {
      const auto& bytes = std::get<std::string>(value);
      sqlite3_bind_text(raw, place, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
    }
  }
  return statement;
}

Result<bool> Connection::step(Statement& statement) {
  const int rc = sqlite3_step(statement.get());
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return failure("read");
}

Result<int> Connection::change(std::string_view text, const std::vector<Value>& values) {
  Result<Statement> statement = prepare(text, values);
  if (!statement) return tl::unexpected<Error>(statement.error());
  const int rc = sqlite3_step(statement->get());
  if (rc != SQLITE_DONE && rc != SQLITE_ROW) return failure("write");
  return sqlite3_changes(database_.get());
}

Status Connection::copy_to(const std::string& path) {
  const Result<int> done = change("VACUUM INTO ?", {path});
  if (!done) return tl::unexpected<Error>(done.error());
  chmod(path.c_str(), 0600);
  return {};
}

}  // namespace muster::sqlite
