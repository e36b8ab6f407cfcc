#include "adapters/sqlite/submitted_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace muster::sqlite {
namespace {

constexpr std::array<std::string_view, 4> kStates{"queued", "claimed", "cancelled", "finished"};
constexpr const char* kColumns =
    "id, state, labels, repository, priority, time_max, created_at, lease, instance, outcome,"
    " exit_code, reason, ended_at";

CiJobState state_of(const std::string& name) {
  const auto found = std::find(kStates.begin(), kStates.end(), name);
  return found == kStates.end() ? CiJobState::cancelled
                                : static_cast<CiJobState>(found - kStates.begin());
}

SubmittedJob job_of(const Row& row) {
  SubmittedJob job;
  job.id = row.text(0);
  job.state = state_of(row.text(1));
  const std::string labels = row.text(2);
  for (std::size_t begin = 0; begin < labels.size();) {
    const std::size_t end = std::min(labels.find('\n', begin), labels.size());
    job.labels.push_back(labels.substr(begin, end - begin));
    begin = end + 1;
  }
  job.repository = row.text(3);
  job.priority = static_cast<int>(row.integer(4));
  job.time_max = Duration{row.integer(5)};
  job.created_at = TimePoint{Duration{row.integer(6)}};
  job.lease = LeaseId(row.text(7));
  job.instance = InstanceId(row.text(8));
  const auto outcome = row.integer(9);
  job.outcome = outcome >= 0 && outcome <= static_cast<int>(JobOutcome::lost)
                    ? static_cast<JobOutcome>(outcome)
                    : JobOutcome::none;
  job.exit_code = static_cast<int>(row.integer(10));
  job.reason = row.text(11);
  job.ended_at = TimePoint{Duration{row.integer(12)}};
  return job;
}

}  // namespace

Status add_submitted_to(Connection& to, const SubmittedJob& job) {
  std::string labels;
  for (const std::string& label : job.labels) labels += label + "\n";
  const auto added = to.change(
      "INSERT INTO submitted_job (id, state, labels, repository, priority, time_max, sealed,"
      " created_at, lease, instance, outcome, exit_code, reason, ended_at)"
      " VALUES (?,'queued',?,?,?,?,?,?,'','',0,0,'',0)",
      {job.id, labels, job.repository, std::int64_t{job.priority}, job.time_max.count(), job.sealed,
       job.created_at.time_since_epoch().count()});
  if (!added) return tl::unexpected<Error>(added.error());
  return {};
}

Result<std::vector<SubmittedJob>> submitted_in(Connection& in, TimePoint since) {
  std::vector<SubmittedJob> found;
  const Status asked = in.query(
      fmt::format("SELECT {} FROM submitted_job WHERE ended_at = 0 OR ended_at > ?"
                  " ORDER BY created_at",
                  kColumns),
      {since.time_since_epoch().count()}, [&](const Row& row) { found.push_back(job_of(row)); });
  if (!asked) return tl::unexpected<Error>(asked.error());
  return found;
}

Result<SubmittedJob> find_submitted_in(Connection& in, const std::string& id) {
  std::optional<SubmittedJob> found;
  const Status asked =
      in.query(fmt::format("SELECT {}, sealed FROM submitted_job WHERE id = ?", kColumns), {id},
               [&](const Row& row) {
                 found = job_of(row);
                 found->sealed = row.text(13);
               });
  if (!asked) return tl::unexpected<Error>(asked.error());
  if (!found) return fail(ErrorKind::not_found, fmt::format("there is no job {}", id));
  return *found;
}

Status claim_submitted_in(Connection& in, const std::string& id, const LeaseId& lease,
                          const InstanceId& instance) {
  const auto claimed = in.change(
      "UPDATE submitted_job SET state = 'claimed', lease = ?, instance = ?"
      " WHERE id = ? AND (state = 'queued' OR (state = 'claimed' AND lease = ?))",
      {lease.value(), instance.value(), id, lease.value()});
  if (!claimed) return tl::unexpected<Error>(claimed.error());
  if (*claimed > 0) return {};
  const Result<SubmittedJob> known = find_submitted_in(in, id);
  const bool has_reason = known && !known->reason.empty();
  return fail(ErrorKind::conflict,
              has_reason ? known->reason : fmt::format("job {} is not to be had any more", id));
}

Status give_back_submitted_in(Connection& in, const std::string& id, const LeaseId& lease) {
  const auto given = in.change(
      "UPDATE submitted_job SET state = 'queued', lease = '', instance = ''"
      " WHERE id = ? AND state = 'claimed' AND lease = ?",
      {id, lease.value()});
  if (!given) return tl::unexpected<Error>(given.error());
  return {};
}

Status cancel_submitted_in(Connection& in, const std::string& id, const std::string& why,
                           TimePoint now) {
  const auto waiting = in.change(
      "UPDATE submitted_job SET state = 'finished', outcome = ?, reason = ?, ended_at = ?,"
      " sealed = '' WHERE id = ? AND state = 'queued'",
      {static_cast<std::int64_t>(JobOutcome::cancelled), why, now.time_since_epoch().count(), id});
  if (!waiting) return tl::unexpected<Error>(waiting.error());
  if (*waiting > 0) return {};
  const auto running = in.change(
      "UPDATE submitted_job SET state = 'cancelled', reason = ? WHERE id = ? AND state = 'claimed'",
      {why, id});
  if (!running) return tl::unexpected<Error>(running.error());
  if (*running > 0) return {};
  const Result<SubmittedJob> known = find_submitted_in(in, id);
  if (!known) return tl::unexpected<Error>(known.error());
  return {};
}

Status settle_cancelled_in(Connection& in, const std::string& id, TimePoint now) {
  const auto settled = in.change(
      "UPDATE submitted_job SET state = 'finished', outcome = ?, ended_at = ?, sealed = ''"
      " WHERE id = ? AND state = 'cancelled'",
      {static_cast<std::int64_t>(JobOutcome::cancelled), now.time_since_epoch().count(), id});
  if (!settled) return tl::unexpected<Error>(settled.error());
  return {};
}

Status finish_submitted_in(Connection& in, const SubmittedJob& ended) {
  const auto finished = in.change(
      "UPDATE submitted_job SET state = 'finished', outcome = ?, exit_code = ?, reason = ?,"
      " ended_at = ?, sealed = '' WHERE id = ? AND lease = ? AND state IN ('claimed', 'cancelled')",
      {static_cast<std::int64_t>(ended.outcome), std::int64_t{ended.exit_code}, ended.reason,
       ended.ended_at.time_since_epoch().count(), ended.id, ended.lease.value()});
  if (!finished) return tl::unexpected<Error>(finished.error());
  if (*finished > 0) {
    constexpr auto kKept = std::chrono::hours{24 * 7};
    const auto forgotten =
        in.change("DELETE FROM submitted_job WHERE ended_at > 0 AND ended_at < ?",
                  {(ended.ended_at - kKept).time_since_epoch().count()});
    if (!forgotten) return tl::unexpected<Error>(forgotten.error());
    return {};
  }
  const Result<SubmittedJob> known = find_submitted_in(in, ended.id);
  if (!known) return tl::unexpected<Error>(known.error());
  if (known->state == CiJobState::finished && known->lease == ended.lease) return {};
  return fail(ErrorKind::conflict, fmt::format("job {} is not ours any more", ended.id));
}

}  // namespace muster::sqlite
