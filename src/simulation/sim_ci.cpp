#include <fmt/format.h>

#include <algorithm>

#include "simulation/sim_ports.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr Duration kEndedShown = 3min;
constexpr int kRestartsMax = 5;

}  // namespace

Task<Result<std::vector<CiJob>>> SimCi::list_jobs() {
  Task<std::optional<Error>> sending = link_.send("ci list", 30ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  news_seen_ = world_.changed_jobs.size();
  Result<std::vector<CiJob>> answer = std::vector<CiJob>{};
  std::erase_if(world_.current_jobs, [&](const auto& one) {
    const SimJob& job = *one.second;
    const bool is_over = job.state == CiJobState::finished || job.state == CiJobState::cancelled;
    return is_over && world_.now() - job.ended_at > kEndedShown;
  });
  for (const auto& [id, job] : world_.current_jobs) {
    answer->push_back(view_of(*job));
    if (world_.strikes(31, 0.1)) answer->push_back(answer->back());
  }
  if (world_.faults.has(33)) {
    // A replica that lags: what was true a listing ago.
    const bool is_old = world_.strikes(33, 0.2);
    std::vector<CiJob> fresh = *answer;
    if (is_old) answer = last_;
    last_ = std::move(fresh);
  }
  if (world_.strikes(36, 0.3)) {
    Error error{ErrorKind::throttled, "429", "too many requests", ""};
    error.retry_after = 5s;
    answer = tl::unexpected<Error>(error);
  }
  Task<std::optional<Error>> receiving = link_.receive("ci list", 30ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  co_return answer;
}

CiJob SimCi::view_of(const SimJob& job) const {
  CiJob view;
  view.id = job.id;
  view.labels = job.labels;
  view.repository = job.repository;
  view.priority = job.priority;
  view.queued_at = world_.clock.now() - world_.now() + job.queued_at;
  view.time_max = 30min;
  view.state = job.state;
  view.lease = job.lease;
  view.instance = job.instance;
  return view;
}

Task<CiNews> SimCi::wait_for_news(Duration time_max) {
  if (news_seen_ == world_.changed_jobs.size()) {
    Task<> waiting = world_.clock.wait(world_.ci_news, time_max);
    co_await std::move(waiting);
  }
  CiNews news;
  for (; news_seen_ < world_.changed_jobs.size(); ++news_seen_) {
    news.jobs.push_back(view_of(*world_.changed_jobs.at(news_seen_)));
  }
  if (world_.strikes(34)) {
    co_await world_.clock.sleep(time_max);
    co_return CiNews{};
  }
  if (world_.strikes(35)) co_await world_.clock.sleep(world_.dice().between(1s, 8s));
  // Some servers say only that there is something.
  if (world_.options().has_faults && world_.dice().hits(0.3)) co_return CiNews{{}, true};
  co_return news;
}

Task<Result<WorkOrder>> SimCi::claim(std::string id, LeaseId lease, InstanceId instance) {
  Task<std::optional<Error>> sending = link_.send("ci claim", 30ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  Result<WorkOrder> answer = fail(ErrorKind::not_found, "there is no such job");
  const auto found = world_.jobs.find(id);
  if (found != world_.jobs.end()) {
    SimJob& job = found->second;
    if (job.state == CiJobState::queued) {
      job.state = CiJobState::claimed;
      job.lease = lease;
      job.instance = instance;
      ++world_.job_changes;
      world_.trace("job claimed", id, instance.value());
      if (world_.watcher != nullptr) world_.watcher->job_claimed(id, lease);
    }
    const bool is_ours = job.state == CiJobState::claimed && job.lease == lease;
    if (is_ours) {
      WorkOrder order;
      order.body = Secret("run " + id);
      answer = std::move(order);
    } else {
      answer = fail(ErrorKind::conflict, "the job is not to be had");
    }
  }
  if (world_.strikes(36, 0.1)) answer = fail(ErrorKind::unavailable, "502 (simulated)");
  Task<std::optional<Error>> receiving = link_.receive("ci claim", 30ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  co_return answer;
}

Task<Status> SimCi::give_back(std::string id, LeaseId lease) {
  Task<std::optional<Error>> sending = link_.send("ci give back", 30ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  const auto found = world_.jobs.find(id);
  if (found != world_.jobs.end() && found->second.state == CiJobState::claimed &&
      found->second.lease == lease) {
    SimJob& job = found->second;
    if (job.runs > job.restarts) {
      world_.violate("I2", fmt::format("job {} was given back although it was started", id));
    }
    job.state = CiJobState::queued;
    job.lease = LeaseId();
    job.instance = InstanceId();
    job.queued_at = world_.now();
    ++world_.job_changes;
    world_.trace("job given back", id);
  }
  Task<std::optional<Error>> receiving = link_.receive("ci give back", 30ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  co_return Status();
}

Task<Status> SimCi::finish(std::string id, LeaseId lease, JobResult result) {
  Task<std::optional<Error>> sending = link_.send("ci finish", 30ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  Status answer = fail(ErrorKind::not_found, "there is no such job");
  const auto found = world_.jobs.find(id);
  if (found != world_.jobs.end()) {
    SimJob& job = found->second;
    const bool is_ours = job.lease == lease;
    answer = is_ours ? Status() : Status(fail(ErrorKind::conflict, "it is not yours"));
    if (is_ours && job.state == CiJobState::claimed) {
      job.state = CiJobState::finished;
      job.outcome = result.outcome;
      job.ended_at = world_.now();
      ++world_.job_changes;
      world_.trace("job finished", id, to_string(result.outcome));
      if (world_.watcher != nullptr) world_.watcher->job_ended(id, lease, result.outcome);
      const bool has_run =
          result.outcome == JobOutcome::passed || result.outcome == JobOutcome::failed;
      if (has_run && (job.runs == 0 || result.exit_code != job.exit_code)) {
        world_.violate(
            "I2", fmt::format("job {} is said to have ended with {}, and {}", id, result.exit_code,
                              job.runs == 0 ? "never ran" : "did not"));
      }
      if (result.outcome == JobOutcome::lost && job.restarts < kRestartsMax) {
        // Run again as a new attempt, as CI servers do.
        SimJob again = job;
        again.id = fmt::format("{}.{}", id.substr(0, id.find('.')), job.restarts + 2);
        again.state = CiJobState::queued;
        again.lease = LeaseId();
        again.instance = InstanceId();
        again.queued_at = world_.now();
        again.outcome = JobOutcome::none;
        ++again.restarts;
        again.runs = again.restarts;
        world_.tell_news(world_.jobs.emplace(again.id, again).first->second);
      }
    }
  }
  Task<std::optional<Error>> receiving = link_.receive("ci finish", 30ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  co_return answer;
}

}  // namespace muster::simulation
