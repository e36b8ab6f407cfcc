#pragma once

#include <string>
#include <vector>

#include "adapters/sqlite/connection.hpp"
#include "ports/token_store.hpp"

namespace muster::sqlite {

[[nodiscard]] Status add_token_to(Connection& to, const ApiToken& token);
[[nodiscard]] Result<std::vector<ApiToken>> tokens_in(Connection& in);
[[nodiscard]] Status remove_token_from(Connection& from, const std::string& name);

}  // namespace muster::sqlite
