#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "fleet/explain.hpp"
#include "service/api_call.hpp"
#include "service/api_documents.hpp"
#include "wire/encoding.hpp"

// Jobs, why they stand as they do, and what they print.

namespace muster {
namespace {

constexpr long long kLogBytesMax = 1 << 20;

/// How a job has ended, as people write it: with a hyphen in place of a space.
std::optional<JobOutcome> parse_outcome(std::string text) {
  std::replace(text.begin(), text.end(), '-', ' ');
  for (const JobOutcome one : {JobOutcome::passed, JobOutcome::failed, JobOutcome::cancelled,
                               JobOutcome::timed_out, JobOutcome::lost}) {
    if (to_string(one) == text) return one;
  }
  return std::nullopt;
}

}  // namespace

/// Its whole id, its CI server's id of it, or the beginning of that: whatever names just one.
Result<JobId> Api::find_job(const std::string& id) const {
  const auto& jobs = parts_.loop.fleet().jobs();
  if (jobs.contains(JobId(id))) return JobId(id);
  std::vector<std::string> found;
  std::vector<std::string> same;
  for (const auto& [key, job] : jobs) {
    const std::string own = ci_id_of(job);
    if (own == id) same.push_back(key.value());
    if (own.starts_with(id) || key.value().starts_with(id)) found.push_back(key.value());
  }
  if (!same.empty()) found = same;
  if (found.size() == 1) return JobId(found.front());
  if (found.size() > 1) {
    return fail(ErrorKind::invalid_input,
                fmt::format("{} jobs begin with \"{}\", such as {} and {}", found.size(), id,
                            found[0], found[1]),
                "Give more of the id.");
  }
  return fail(ErrorKind::not_found, fmt::format("there is no job \"{}\"", id),
              "muster jobs lists them; those that ended are kept for a day.");
}

Task<Result<Node>> Api::list_jobs(Call* call) {
  const Result<long long> limit = call->number("limit", kPageDefault, kPageMax);
  if (!limit) co_return tl::unexpected<Error>(limit.error());
  const std::string state = call->text("state");
  const auto& names = job_graph().names;
  const std::optional<JobOutcome> outcome = parse_outcome(state);
  const bool is_state = state.empty() || state == "open" || outcome ||
                        std::find(names.begin(), names.end(), state) != names.end();
  if (!is_state) {
    co_return fail(ErrorKind::invalid_input, fmt::format("there is no state \"{}\" of jobs", state),
                   "Say open, queued, leased, running, finished, dropped, or how it ended: passed, "
                   "failed, cancelled, timed-out or lost.");
  }
  const Fleet& fleet = parts_.loop.fleet();
  const TimePoint now = parts_.loop.parts().clock.now();
  std::vector<const Job*> found;
  for (const auto& [id, job] : fleet.jobs()) {
    const bool is_open = job.state != JobState::finished && job.state != JobState::dropped;
    const std::string label = call->text("label");
    const bool fits =
        (state.empty() || (state == "open" ? is_open : to_string(job.state) == state) ||
         (!is_open && job.outcome == outcome)) &&
        (label.empty() || std::binary_search(job.labels.begin(), job.labels.end(), label)) &&
        (call->text("repository").empty() || job.repository == call->text("repository"));
    if (fits) found.push_back(&job);
  }
  std::sort(found.begin(), found.end(), [](const Job* a, const Job* b) {
    return std::tie(a->queued_at, a->id) < std::tie(b->queued_at, b->id);
  });
  // The youngest are what people look for.
  const std::size_t first = found.size() - std::min(found.size(), static_cast<std::size_t>(*limit));
  std::vector<Node> items;
  WaitTexts waits(fleet);
  for (std::size_t i = first; i < found.size(); ++i) {
    items.push_back(document_of(*found[i], fleet, waits, now));
  }
  Node document = list_document("muster.jobs/1", "jobs", std::move(items));
  document.set("left_out", Node::number(static_cast<long long>(first)));
  co_return document;
}

Task<Result<Node>> Api::show_job(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Fleet& fleet = parts_.loop.fleet();
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.job/1"));
  WaitTexts waits(fleet);
  document.set("job", document_of(*fleet.find(*id), fleet, waits, parts_.loop.parts().clock.now()));
  co_return document;
}

Task<Result<Node>> Api::explain_job(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Controller& controller = parts_.loop.controller();
  const TimePoint now = parts_.loop.parts().clock.now();
  const Job& job = *controller.fleet().find(*id);
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.explanation/1"));
  WaitTexts waits(controller.fleet());
  document.set("job", document_of(job, controller.fleet(), waits, now));
  document.set("explanation", document_of(explain(controller, job, now)));
  co_return document;
}

Task<Result<Node>> Api::list_steps(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Result<std::vector<StepLog>> steps = parts_.logs.steps_of(*id);
  std::vector<Node> items;
  if (!steps && steps.error().kind != ErrorKind::not_found) {
    co_return tl::unexpected<Error>(steps.error());
  }
  if (steps) {
    for (const StepLog& step : *steps) items.push_back(document_of(step));
  }
  const Fleet& fleet = parts_.loop.fleet();
  Node document = list_document("muster.steps/1", "steps", std::move(items));
  WaitTexts waits(fleet);
  document.set("job", document_of(*fleet.find(*id), fleet, waits, parts_.loop.parts().clock.now()));
  co_return document;
}

Task<Result<Node>> Api::read_log(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Result<long long> offset = call->number("offset", 0, 1LL << 40);
  const Result<long long> limit = call->number("limit", 64 << 10, kLogBytesMax);
  for (const auto* one : {&offset, &limit}) {
    if (!*one) co_return tl::unexpected<Error>(one->error());
  }
  const Result<std::string> bytes = parts_.logs.read(
      *id, call->arguments[1], static_cast<std::size_t>(*offset), static_cast<std::size_t>(*limit));
  if (!bytes) co_return tl::unexpected<Error>(bytes.error());
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.log/1"));
  document.set("step", Node::string(call->arguments[1])).set("offset", Node::number(*offset));
  document.set("next_offset", Node::number(*offset + static_cast<long long>(bytes->size())));
  document.set("base64", Node::string(wire::base64_encode(*bytes)));
  co_return document;
}

Task<Result<Node>> Api::cancel_job(Call* call) {
  const Result<JobId> id = find_job(call->arguments[0]);
  if (!id) co_return tl::unexpected<Error>(id.error());
  const Job job = *parts_.loop.fleet().find(*id);
  if (job.source != "submit") {
    co_return fail(ErrorKind::conflict,
                   fmt::format("{} is a job of {}, which would not know", id->value(), job.source),
                   "Cancel it there: muster ends it at once.");
  }
  std::string why = "cancelled by " + call->caller.name;
  if (!call->reason.empty()) why += ": " + call->reason;
  Task<Status> cancelling =
      parts_.submitted.cancel_submitted(ci_id_of(job), why, parts_.loop.parts().clock.now());
  const Status cancelled = co_await std::move(cancelling);
  if (!cancelled) co_return tl::unexpected<Error>(cancelled.error());
  CiJob told;
  told.id = ci_id_of(job);
  told.state = CiJobState::cancelled;
  told.reason = why;
  Task<> telling = parts_.loop.submit(JobsTold{job.source, {told}});
  co_await std::move(telling);
  Task<Result<Node>> showing = show_job(call);
  co_return co_await std::move(showing);
}

}  // namespace muster
