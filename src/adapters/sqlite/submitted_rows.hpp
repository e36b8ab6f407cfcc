#pragma once

#include "adapters/sqlite/connection.hpp"
#include "ports/submit_store.hpp"

namespace muster::sqlite {

[[nodiscard]] Status add_submitted_to(Connection& to, const SubmittedJob& job);
[[nodiscard]] Result<std::vector<SubmittedJob>> submitted_in(Connection& in, TimePoint since);
[[nodiscard]] Result<SubmittedJob> find_submitted_in(Connection& in, const std::string& id);
[[nodiscard]] Status claim_submitted_in(Connection& in, const std::string& id, const LeaseId& lease,
                                        const InstanceId& instance);
[[nodiscard]] Status give_back_submitted_in(Connection& in, const std::string& id,
                                            const LeaseId& lease);
[[nodiscard]] Status cancel_submitted_in(Connection& in, const std::string& id,
                                         const std::string& why, TimePoint now);
[[nodiscard]] Status settle_cancelled_in(Connection& in, const std::string& id, TimePoint now);
[[nodiscard]] Status finish_submitted_in(Connection& in, const SubmittedJob& ended);

}  // namespace muster::sqlite
