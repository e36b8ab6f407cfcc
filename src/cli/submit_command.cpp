#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <cstdlib>
#include <filesystem>

#include "adapters/sqlite/sqlite_store.hpp"
#include "base/document.hpp"
#include "cli/build_source.hpp"
#include "cli/cloud_wiring.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/daemon_client.hpp"
#include "cli/errors.hpp"
#include "cli/job_folder.hpp"
#include "fleet/labels.hpp"
#include "service/submit_queue.hpp"
#include "wire/json.hpp"

namespace muster::cli {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

struct Submission {
  SubmittedJob job;
  SubmittedWork work;
  std::string bundle;
  std::string summary;
};

bool is_daemon_running() {
  const int file = open((state_folder() + "/daemon.lock").c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  const bool is_free = flock(file, LOCK_EX | LOCK_NB) == 0;
  close(file);
  return !is_free;
}

/// Some pool must have the labels: a job that nothing fits would wait for ever.
Status check_labels(const Config& config, const std::vector<std::string>& labels) {
  for (const auto& [name, pool] : config.pools) {
    if (matches_labels(pool, normal_labels(labels))) return {};
  }
  return fail(ErrorKind::invalid_input,
              fmt::format("no pool has the labels [{}]", join_labels(labels)),
              "Correct --label or --pool, or give a pool of muster.yml these labels.", "E0603");
}

Result<Submission> make_submission(const CommonFlags& common, const SubmitFlags& flags,
                                   Random& random) {
  const auto time_max = parse_duration(flags.timeout);
  if (!time_max || *time_max <= Duration{0}) {
    return fail(ErrorKind::invalid_input,
                fmt::format("--timeout \"{}\" is no duration", flags.timeout),
                "Write a number with s, m or h, such as 30m.", "E0101");
  }
  const Result<Config> config = load_config(common.config);
  if (!config) return tl::unexpected<Error>(config.error());
  Submission out;
  out.job.id = "job-" + random_hex(random, 12);
  const std::string root = "/tmp/muster-" + out.job.id;
  Result<BuildSource> build = load_build(flags.build, root);
  if (!build) return tl::unexpected<Error>(build.error());
  out.job.labels = flags.labels;
  if (flags.labels.empty()) {
    const Result<Pool> pool = choose_pool(*config, flags.pool, build->pipeline);
    if (!pool) return tl::unexpected<Error>(pool.error());
    if (!config->pools.contains(pool->name.value())) {
      return fail(ErrorKind::invalid_input,
                  "the pipeline's own instance is not a pool of muster.yml",
                  "Name a pool with --pool, or run it with muster exec.", "E0603");
    }
    out.job.labels = {"pool:" + pool->name.value()};
    build->metadata.machine = pool->name.value();
  }
  if (Status fine = check_labels(*config, out.job.labels); !fine) {
    return tl::unexpected<Error>(fine.error());
  }
  pipeline::CompileOptions options = compile_options(*build, flags.build, root, out.job.id);
  for (const auto& [name, pool] : config->pools) {
    // Any of those that match may get it.
    if (!matches_labels(pool, normal_labels(out.job.labels))) continue;
    const Status fine = obey_pool(pool, build->pipeline, options);
    if (!fine) return tl::unexpected<Error>(fine.error());
  }
  options.time_max = *time_max;
  const pipeline::Stage stage = pipeline::compile(build->pipeline, build->metadata, options);
  out.job.repository = build->metadata.slug();
  out.job.priority = flags.priority;
  out.job.time_max = *time_max;
  out.work.stage = wire::to_json(pipeline::to_document(stage, true));
  out.bundle = std::move(build->bundle);
  const bool needs_ref = !out.bundle.empty() && !build->metadata.ref.starts_with("refs/heads/");
  if (needs_ref) {
    out.work.bundle_ref = build->metadata.ref;
    out.work.bundle_commit = build->metadata.commit;
  }
  out.summary = build->summary;
  return out;
}

int exit_code_of(const SubmittedJob& job) {
  switch (job.outcome) {
    case JobOutcome::passed: return kDone;
    case JobOutcome::lost:
    case JobOutcome::timed_out: return kUnreachable;
    default: return kFailed;
  }
}

/// Waits until the job has ended and says how. Interrupted, the job goes on.
Task<> wait_for_end(sqlite::SqliteStore* store, Clock* clock, std::string id, bool as_json,
                    int* exit_code) {
  while (true) {
    Task<Result<SubmittedJob>> finding = store->find_submitted(id);
    const Result<SubmittedJob> job = co_await std::move(finding);
    if (!job) {
      *exit_code = report(job.error());
      co_return;
    }
    if (job->state == CiJobState::finished) {
      const Duration took = job->ended_at - job->created_at;
      if (as_json) {
        Node document = Node::mapping();
        document.set("schema", Node::string("muster.submit/1")).set("job", Node::string(id));
        document.set("outcome", Node::string(to_string(job->outcome)));
        document.set("exit_code", Node::number(job->exit_code));
        document.set("reason", Node::string(job->reason));
        document.set("took_ms", Node::number(took / 1ms));
        fmt::print("{}\n", wire::to_json(document));
      } else {
        fmt::print("{} in {}{}\n", to_string(job->outcome), format_duration(took),
                   job->reason.empty() ? "" : ": " + job->reason);
      }
      *exit_code = exit_code_of(*job);
      co_return;
    }
    co_await clock->sleep(200ms);
  }
}

/// Until the daemon here, if one runs, would answer what it is asked about the job.
Task<> wait_until_known(Wiring* wiring, std::string id) {
  http::CurlOptions options;
  options.unix_socket = daemon_socket();
  http::CurlTransport transport(wiring->context.get_executor(), std::move(options));
  const Duration until = wiring->clock.monotonic() + 10s;
  while (wiring->clock.monotonic() < until) {
    HttpRequest request;
    request.url = "http://muster/api/v1/jobs/" + path_segment("submit/" + id);
    request.time_max = 5s;
    request.uses_proxy = false;
    Task<Result<HttpResponse>> asking = transport.send(std::move(request));
    const Result<HttpResponse> answer = co_await std::move(asking);
    if (!answer || answer->status != 404) co_return;
    co_await wiring->clock.sleep(20ms);
  }
}

Task<> submit_all(Wiring* wiring, Submission submission, const SubmitFlags* flags,
                  const CommonFlags* common, int* exit_code) {
  const Result<Secret> secret = cluster_secret(wiring->random);
  const auto store =
      sqlite::SqliteStore::open(wiring->context.get_executor(), state_folder() + "/muster.db");
  for (const Error* error :
       {secret ? nullptr : &secret.error(), store ? nullptr : &store.error()}) {
    if (error == nullptr) continue;
    *exit_code = report(*error);
    co_return;
  }
  const std::string id = submission.job.id;
  submission.job.sealed = seal_work(submission.work, *secret, wiring->random);
  submission.job.created_at = wiring->clock.now();
  if (!submission.bundle.empty()) {
    const Status kept = JobFolder::write_bundle(id, submission.bundle);
    if (!kept) {
      *exit_code = report(kept.error());
      co_return;
    }
  }
  Task<Status> adding = (*store)->add_submitted(submission.job);
  const Status added = co_await std::move(adding);
  if (!added) {
    *exit_code = report(added.error());
    co_return;
  }
  *exit_code = kDone;
  if (flags->as_json && flags->waits) {
    // Told at the end, all in one.
  } else if (flags->as_json) {
    Node document = Node::mapping();
    document.set("schema", Node::string("muster.submit/1")).set("job", Node::string(id));
    fmt::print("{}\n", wire::to_json(document));
  } else {
    fmt::print("{}\n", id);
  }
  if (!common->is_quiet && !flags->as_json) {
    fmt::print(stderr, "  source    {}\n  labels    {}\n  logs      {}/jobs/{}/steps\n",
               submission.summary, join_labels(submission.job.labels), state_folder(), id);
    if (!is_daemon_running()) {
      fmt::print(stderr, "  note      no muster daemon runs here: the job waits for one\n");
    }
  }
  std::fflush(stdout);
  if (!flags->waits) {
    Task<> meeting = wait_until_known(wiring, id);
    co_await std::move(meeting);
    co_return;
  }
  Task<> waiting = wait_for_end(store->get(), &wiring->clock, id, flags->as_json, exit_code);
  co_await std::move(waiting);
}

int run_in(Wiring& wiring, Task<> work) {
  asio::co_spawn(wiring.context, std::move(work), [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  wiring.context.run();
  return kDone;
}

}  // namespace

namespace {

/// Errors: invalid_input. They work on the store itself.
Status check_is_here(std::string_view command) {
  if (std::getenv("MUSTER_URL") == nullptr) return {};
  return fail(
      ErrorKind::invalid_input,
      fmt::format("muster {} works beside the daemon, and MUSTER_URL names one elsewhere", command),
      "Run it on the daemon's machine, without MUSTER_URL.", "E0101");
}

}  // namespace

int run_submit(const CommonFlags& common, const SubmitFlags& flags) {
  if (const Status here = check_is_here("submit"); !here) return report(here.error());
  Wiring wiring;
  Result<Submission> submission = make_submission(common, flags, wiring.random);
  if (!submission) return report(submission.error());
  int exit_code = kBug;
  run_in(wiring, submit_all(&wiring, std::move(*submission), &flags, &common, &exit_code));
  return exit_code;
}

int run_backup(const std::string& path) {
  if (const Status here = check_is_here("backup"); !here) return report(here.error());
  const std::filesystem::path store_file = state_folder() + "/muster.db";
  std::error_code ignored;
  if (!std::filesystem::exists(store_file, ignored)) {
    return report(fail(ErrorKind::not_found, fmt::format("no store at {}", store_file.string()),
                       "Set MUSTER_STATE to the daemon's state folder.")
                      .value());
  }
  if (std::filesystem::exists(path, ignored)) {
    return report(fail(ErrorKind::invalid_input, fmt::format("{} exists already", path),
                       "Name a file that does not exist.")
                      .value());
  }
  const std::filesystem::path folder = std::filesystem::absolute(path, ignored).parent_path();
  if (!std::filesystem::is_directory(folder, ignored)) {
    return report(fail(ErrorKind::invalid_input, fmt::format("{}: its folder does not exist", path),
                       "Make the folder first.")
                      .value());
  }
  Wiring wiring;
  int exit_code = kBug;
  const auto work = [](Wiring* in, std::string to, int* code) -> Task<> {
    const auto store =
        sqlite::SqliteStore::open(in->context.get_executor(), state_folder() + "/muster.db");
    if (!store) {
      *code = report(store.error());
      co_return;
    }
    Task<Status> copying = (*store)->backup(to);
    const Status copied = co_await std::move(copying);
    if (copied) fmt::print("{}\n", to);
    *code = copied ? kDone : report(copied.error());
  };
  run_in(wiring, work(&wiring, path, &exit_code));
  return exit_code;
}

}  // namespace muster::cli
