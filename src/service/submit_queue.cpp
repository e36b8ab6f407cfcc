#include "service/submit_queue.hpp"

#include "base/document.hpp"
#include "wire/digest.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"
#include "wire/sealed.hpp"

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kEndedShown = 10min;
constexpr Duration kLookEvery = 100ms;
constexpr std::size_t kWorkBytesMax = 64 << 20;

Secret work_key(const Secret& cluster_secret) {
  return Secret(wire::hkdf_sha256(cluster_secret.reveal(), "muster submitted work 1", 32));
}

}  // namespace

std::string seal_work(const SubmittedWork& work, const Secret& cluster_secret, Random& random) {
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.work/1")).set("stage", Node::string(work.stage));
  document.set("ref", Node::string(work.bundle_ref))
      .set("commit", Node::string(work.bundle_commit));
  std::string nonce;
  for (int i = 0; i < 12; ++i) nonce += static_cast<char>(random.next() & 255);
  return wire::base64_encode(wire::seal(work_key(cluster_secret), nonce, wire::to_json(document)));
}

Result<SubmittedWork> unseal_work(const std::string& sealed, const Secret& cluster_secret) {
  const auto bytes = wire::base64_decode(sealed);
  if (!bytes) return fail(ErrorKind::corrupt, "what was submitted is damaged");
  const Result<Secret> plain = wire::unseal(work_key(cluster_secret), *bytes);
  if (!plain) return tl::unexpected<Error>(plain.error());
  wire::JsonLimits limits;
  limits.bytes_max = kWorkBytesMax;
  const Result<Node> document = wire::parse_json(plain->reveal(), limits);
  if (!document) return tl::unexpected<Error>(document.error());
  return SubmittedWork{document->text_at({"stage"}), document->text_at({"ref"}),
                       document->text_at({"commit"})};
}

Task<Result<std::vector<CiJob>>> SubmitQueue::list_jobs() {
  // What is submitted from here on is news.
  Task<Result<long>> asking = store_.submit_version();
  const Result<long> version = co_await std::move(asking);
  if (!version) co_return tl::unexpected<Error>(version.error());
  version_ = *version;
  Task<Result<std::vector<SubmittedJob>>> listing =
      store_.list_submitted(clock_.now() - kEndedShown);
  const Result<std::vector<SubmittedJob>> listed = co_await std::move(listing);
  if (!listed) co_return tl::unexpected<Error>(listed.error());
  std::vector<CiJob> jobs;
  for (const SubmittedJob& one : *listed) {
    CiJob job;
    job.id = one.id;
    job.labels = one.labels;
    job.repository = one.repository;
    job.priority = one.priority;
    job.queued_at = one.created_at;
    job.time_max = one.time_max;
    job.state = one.state;
    job.lease = one.lease;
    job.instance = one.instance;
    if (one.state == CiJobState::cancelled) job.reason = one.reason;
    jobs.push_back(std::move(job));
  }
  co_return jobs;
}

Task<CiNews> SubmitQueue::wait_for_news(Duration time_max) {
  const Duration until = clock_.monotonic() + time_max;
  while (clock_.monotonic() < until) {
    Task<Result<long>> asking = store_.submit_version();
    const Result<long> version = co_await std::move(asking);
    if (version && *version != version_) co_return CiNews{{}, true};
    co_await clock_.sleep(kLookEvery);
  }
  co_return CiNews{};
}

Task<Result<WorkOrder>> SubmitQueue::claim(std::string id, LeaseId lease, InstanceId instance) {
  Task<Status> claiming = store_.claim_submitted(id, lease, instance);
  const Status claimed = co_await std::move(claiming);
  if (!claimed) {
    // Cancelled before it began: nobody else tells how it ended.
    Task<Status> settling = store_.settle_cancelled(id, clock_.now());
    const Status settled = co_await std::move(settling);
    co_return tl::unexpected<Error>(settled ? claimed.error() : settled.error());
  }
  Task<Result<SubmittedJob>> finding = store_.find_submitted(id);
  const Result<SubmittedJob> job = co_await std::move(finding);
  if (!job) co_return tl::unexpected<Error>(job.error());
  Result<SubmittedWork> work = unseal_work(job->sealed, cluster_secret_);
  if (!work) {
    // However often it is asked for: this is what there is.
    work.error().kind = ErrorKind::invalid_input;
    co_return tl::unexpected<Error>(work.error());
  }
  WorkOrder order;
  order.kind = WorkOrder::Kind::stage;
  order.body = Secret(std::move(work->stage));
  order.bundle_ref = work->bundle_ref;
  order.bundle_commit = work->bundle_commit;
  Result<std::string> bundle = read_bundle_(id);
  if (!bundle) co_return tl::unexpected<Error>(bundle.error());
  order.bundle = std::move(*bundle);
  co_return order;
}

Task<Status> SubmitQueue::give_back(std::string id, LeaseId lease) {
  Task<Status> giving = store_.give_back_submitted(id, std::move(lease));
  const Status given = co_await std::move(giving);
  if (!given) co_return given;
  Task<Status> settling = store_.settle_cancelled(std::move(id), clock_.now());
  co_return co_await std::move(settling);
}

Task<Status> SubmitQueue::finish(std::string id, LeaseId lease, JobResult result) {
  SubmittedJob ended;
  ended.id = std::move(id);
  ended.lease = std::move(lease);
  ended.outcome = result.outcome;
  ended.exit_code = result.exit_code;
  ended.reason = result.reason;
  ended.ended_at = clock_.now();
  return store_.finish_submitted(std::move(ended));
}

}  // namespace muster
