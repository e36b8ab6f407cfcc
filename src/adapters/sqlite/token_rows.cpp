#include "adapters/sqlite/token_rows.hpp"

#include <fmt/format.h>

namespace muster::sqlite {

Status add_token_to(Connection& to, const ApiToken& token) {
  const auto added = to.change(
      "INSERT OR IGNORE INTO api_token VALUES (?,?,?,?,?,?)",
      {token.name, token.role, token.hash, token.created_by,
       token.created_at.time_since_epoch().count(), token.expires_at.time_since_epoch().count()});
  if (!added) return tl::unexpected<Error>(added.error());
  if (*added > 0) return {};
  return fail(ErrorKind::conflict, fmt::format("there is a token \"{}\" already", token.name),
              "Give another name, or revoke that one first.");
}

Result<std::vector<ApiToken>> tokens_in(Connection& in) {
  std::vector<ApiToken> found;
  const Status asked = in.query(
      "SELECT name, role, hash, created_by, created_at, expires_at FROM api_token", {},
      [&](const Row& row) {
        found.push_back({row.text(0), row.text(1), row.text(2), row.text(3),
                         TimePoint{Duration{row.integer(4)}}, TimePoint{Duration{row.integer(5)}}});
      });
  if (!asked) return tl::unexpected<Error>(asked.error());
  return found;
}

Status remove_token_from(Connection& from, const std::string& name) {
  const auto removed = from.change("DELETE FROM api_token WHERE name = ?", {name});
  if (!removed) return tl::unexpected<Error>(removed.error());
  if (*removed > 0) return {};
  return fail(ErrorKind::not_found, fmt::format("there is no token \"{}\"", name),
              "muster token list shows them.");
}

}  // namespace muster::sqlite
