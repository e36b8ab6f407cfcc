#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace muster::sqlite {

using Value = std::variant<std::int64_t, double, std::string>;

struct Free {
  void operator()(sqlite3* database) const;
  void operator()(sqlite3_stmt* statement) const;
};

/// One row of an answer, while it is looked at.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] double real(int column) const;

 private:
  sqlite3_stmt* statement_;
};

/// Blocking calls on one database file, which is made and brought up to date when it is opened.
/// Errors of all: unavailable (full, locked, read-only), corrupt (damaged), conflict (another
/// schema).
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const std::string& path);

  Status execute(const std::string& text);
  /// One statement that answers nothing; gives the number of rows that it changed.
  Result<int> change(std::string_view text, const std::vector<Value>& values);
  /// Calls `read` for each row of the answer.
  template <class Read>
  Status query(std::string_view text, const std::vector<Value>& values, const Read& read) {
    Result<Statement> statement = prepare(text, values);
    if (!statement) return tl::unexpected<Error>(statement.error());
    while (true) {
      const Result<bool> has_row = step(*statement);
      if (!has_row) return tl::unexpected<Error>(has_row.error());
      if (!*has_row) return {};
      read(Row(statement->get()));
    }
  }
  /// All of `work` or nothing of it.
  template <class Work>
  Status transact(const Work& work) {
    if (Status begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
    Status done = work();
    if (done) done = execute("COMMIT");
    if (!done) static_cast<void>(execute("ROLLBACK"));
    return done;
  }
  /// A copy of everything as it is at one moment, while others go on.
  Status copy_to(const std::string& path);

 private:
  using Statement = std::unique_ptr<sqlite3_stmt, Free>;

  explicit Connection(std::string path) : path_(std::move(path)) {}
  Status start();
  Status check();
  Status migrate();
  Result<Statement> prepare(std::string_view text, const std::vector<Value>& values);
  Result<bool> step(Statement& statement);
  [[nodiscard]] tl::unexpected<Error> failure(std::string_view step) const;

  std::string path_;
  std::unique_ptr<sqlite3, Free> database_;
};

}  // namespace muster::sqlite
