#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>

#include "adapters/sqlite/sqlite_store.hpp"
#include "adapters/ssh/ssh_machine.hpp"
#include "adapters/system/files.hpp"
#include "adapters/system/program.hpp"
#include "adapters/system/real_clock.hpp"
#include "base/task.hpp"
#include "cli/build_source.hpp"
#include "cli/cloud_wiring.hpp"
#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "cli/renderer.hpp"
#include "cli/run_folder.hpp"
#include "service/call_budget.hpp"
#include "service/exec_run.hpp"
#include "service/run_record.hpp"

namespace muster::cli {

namespace asio = boost::asio;

namespace {

struct Plan {
  std::string cluster;
  std::string aws_profile;
  std::string region;  ///< Empty: found along AWS's own chain.
  std::string summary;
  ExecRunRequest request;
  TimePoint started_at{};
};

Result<Plan> make_plan(const CommonFlags& common, const ExecFlags& flags, Random& random) {
  Plan plan;
  const auto time_max = parse_duration(flags.timeout);
  if (!time_max || *time_max <= Duration{0}) {
    return fail(ErrorKind::invalid_input,
                fmt::format("--timeout \"{}\" is no duration", flags.timeout),
                "Write a number with s, m or h, such as 30m.", "E0101");
  }
  Result<Config> config = load_config(common.config);
  if (!config) return tl::unexpected<Error>(config.error());
  const std::string id = random_hex(random, 12);
  const std::string root = "/tmp/muster-" + id;
  Result<BuildSource> build = load_build(flags.build, root);
  if (!build) return tl::unexpected<Error>(build.error());
  Result<Pool> pool = choose_pool(*config, flags.pool, build->pipeline);
  if (!pool) return tl::unexpected<Error>(pool.error());
  plan.cluster = config->cluster;
  plan.aws_profile = config->aws_profile;
  plan.region = pool->region;
  plan.summary = build->summary;
  plan.request.run = RunId("run-" + id);
  build->metadata.machine = pool->name.value();
  pipeline::CompileOptions options = compile_options(*build, flags.build, root, id);
  const Status fine = obey_pool(*pool, build->pipeline, options);
  if (!fine) return tl::unexpected<Error>(fine.error());
  options.time_max = *time_max;
  plan.request.stage = pipeline::compile(build->pipeline, build->metadata, options);
  plan.request.pool = std::move(*pool);
  plan.request.bundle = std::move(build->bundle);
  const bool needs_ref =
      !plan.request.bundle.empty() && !build->metadata.ref.starts_with("refs/heads/");
  if (needs_ref) {
    plan.request.bundle_ref = build->metadata.ref;
    plan.request.bundle_commit = build->metadata.commit;
  }
  plan.request.time_max = *time_max;
  return plan;
}

StageOutcome outcome_of(RunState state) {
  switch (state) {
    case RunState::passed: return StageOutcome::passed;
    case RunState::failed: return StageOutcome::failed;
    case RunState::killed: return StageOutcome::killed;
    default: return StageOutcome::errored;
  }
}

/// Errors: not_found, with the names of those that wait.
Task<Status> check_run_exists(RunStore* runs, std::string name) {
  Task<Result<RunRecord>> finding = runs->find_run(RunId(name));
  const Result<RunRecord> record = co_await std::move(finding);
  if (record) co_return Status();
  if (record.error().kind != ErrorKind::not_found) co_return tl::unexpected<Error>(record.error());
  Task<Result<std::vector<RunRecord>>> listing = runs->list_open_runs(10);
  const Result<std::vector<RunRecord>> waiting = co_await std::move(listing);
  if (!waiting) co_return tl::unexpected<Error>(waiting.error());
  std::vector<std::string> names;
  for (const RunRecord& one : *waiting) names.push_back(one.id.value());
  co_return fail(ErrorKind::not_found, fmt::format("there is no run {}", name),
                 names.empty() ? "No run waits to be resumed."
                               : fmt::format("These wait: {}.", fmt::join(names, ", ")),
                 "E0442");
}

/// What is recorded of a run that was cut off. Errors: not_found (with the runs there are),
/// conflict (it has ended).
Task<Result<Plan>> load_plan(RunStore* runs, std::string name, Secret secret, Clock* clock) {
  Task<Result<RunRecord>> finding = runs->find_run(RunId(name));
  const Result<RunRecord> record = co_await std::move(finding);
  if (!record) co_return tl::unexpected<Error>(record.error());
  const bool has_ended = record->state != RunState::running;
  if (has_ended && record->sealed.empty()) {
    co_return fail(ErrorKind::conflict, fmt::format("{} has ended", name), "Start a new run.",
                   "E0443");
  }
  Result<RunPlan> stored = unseal_plan(record->sealed, secret);
  if (!stored) co_return tl::unexpected<Error>(stored.error());
  Plan plan;
  plan.cluster = stored->cluster;
  plan.region = stored->region;
  plan.aws_profile = stored->aws_profile;
  plan.summary = has_ended ? "resumed, to end its machine" : "resumed";
  plan.started_at = record->created_at;
  plan.request.run = record->id;
  plan.request.pool = std::move(stored->pool);
  plan.request.stage = std::move(stored->stage);
  plan.request.bundle_ref = stored->bundle_ref;
  plan.request.bundle_commit = stored->bundle_commit;
  // What is left of its time; a moment at least, to end it in order.
  plan.request.time_max = std::max<Duration>(stored->time_max - (clock->now() - record->created_at),
                                             std::chrono::seconds{5});
  plan.request.earlier.emplace();
  plan.request.earlier->host_keys = read_host_keys(record->host_keys);
  Task<Result<std::vector<StepRecord>>> reading = runs->steps_of(record->id);
  Result<std::vector<StepRecord>> steps = co_await std::move(reading);
  if (!steps) co_return tl::unexpected<Error>(steps.error());
  plan.request.earlier->steps = std::move(*steps);
  if (has_ended) plan.request.earlier->outcome = outcome_of(record->state);
  const Result<std::string> bundle =
      system::read_file(state_folder() + "/runs/" + name + "/bundle", std::size_t{1} << 32);
  if (bundle) plan.request.bundle = *bundle;
  co_return plan;
}

/// Commits what is to be run, before anything is launched for it.
Task<Status> record_plan(RunStore* runs, const Plan* plan, std::string region, Secret secret,
                         Wiring* wiring, const RunFolder* folder) {
  RunPlan stored;
  stored.cluster = plan->cluster;
  stored.region = std::move(region);
  stored.aws_profile = plan->aws_profile;
  stored.pool = plan->request.pool;
  stored.stage = plan->request.stage;
  stored.bundle_ref = plan->request.bundle_ref;
  stored.bundle_commit = plan->request.bundle_commit;
  stored.time_max = plan->request.time_max;
  if (!plan->request.bundle.empty()) {
    const Status kept = system::write_file(folder->bundle_path(), plan->request.bundle, 0600);
    if (!kept) co_return kept;
  }
  RunRecord record;
  record.id = plan->request.run;
  record.sealed = seal_plan(stored, secret, wiring->random);
  record.created_at = wiring->clock.now();
  Task<Status> adding = runs->add_run(std::move(record));
  co_return co_await std::move(adding);
}

/// Hands signals to the run: the first interrupts it, the second leaves at once.
Task<> watch_signals(ExecRun* run) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM, SIGHUP);
  for (int count = 1;; ++count) {
    co_await signals.async_wait(use_task);
    if (count == 1) {
      run->interrupt();
      continue;
    }
    const std::string left = run->machine_id();
    fmt::print(stderr, "muster: left at once; {}\n",
               left.empty() ? std::string("a launch may have been under way")
                            : left + " ends by its dead-man timer");
    std::_Exit(kInterrupted);
  }
}

void print_header(const Plan& plan, const aws::Sourced& region, const CommonFlags& common) {
  if (common.is_quiet) return;
  const Pool& pool = plan.request.pool;
  fmt::print(stderr, "muster exec  pool {} · {} · {}\n", pool.name.value(),
             pool.types.empty() ? describe(pool.launch_template) : pool.types.front(),
             region.value);
  if (common.is_verbose) fmt::print(stderr, "  region from {}\n", region.origin);
  fmt::print(stderr, "  run       {}\n", plan.request.run.value());
  fmt::print(stderr, "  source    {}\n", plan.summary);
}

int print_result(const ExecRunResult& result, Renderer& renderer) {
  const StageOutcome outcome = result.stage.outcome;
  if (outcome != StageOutcome::passed) renderer.show_failures();
  const char* word = outcome == StageOutcome::passed    ? "passed"
                     : outcome == StageOutcome::errored ? "error"
                                                        : "failed";
  const std::string summary =
      fmt::format("\n{} in {} · 1 machine{}\n", word, format_duration(result.took),
                  result.is_clean ? ", ended" : "");
  static_cast<void>(std::fwrite(summary.data(), 1, summary.size(), stdout));
  if (outcome == StageOutcome::passed) return kDone;
  // A machine that was lost is no failure of the pipeline.
  return outcome == StageOutcome::errored && result.stage.is_machine_lost ? kUnreachable : kFailed;
}

Task<> run_all(Wiring* wiring, std::optional<Plan> plan, const CommonFlags* common,
               const ExecFlags* flags, int* exit_code) {
  const Log log(common->level());
  const Result<Secret> secret = cluster_secret(wiring->random);
  const auto store =
      sqlite::SqliteStore::open(wiring->context.get_executor(), state_folder() + "/muster.db");
  for (const Error* error :
       {secret ? nullptr : &secret.error(), store ? nullptr : &store.error()}) {
    if (error == nullptr) continue;
    *exit_code = report(*error);
    co_return;
  }
  if (!plan) {
    Task<Status> checking = check_run_exists(store->get(), flags->resume);
    const Status exists = co_await std::move(checking);
    if (!exists) {
      *exit_code = report(exists.error());
      co_return;
    }
  }
  const auto folder = RunFolder::open(plan ? plan->request.run.value() : flags->resume);
  if (!folder) {
    *exit_code = report(folder.error());
    co_return;
  }
  if (!plan) {
    Task<Result<Plan>> loading = load_plan(store->get(), flags->resume, *secret, &wiring->clock);
    Result<Plan> loaded = co_await std::move(loading);
    if (!loaded) {
      *exit_code = report(loaded.error());
      co_return;
    }
    plan = std::move(*loaded);
  }
  Task<Result<std::unique_ptr<CloudWiring>>> connecting =
      connect_cloud(wiring, &log, plan->aws_profile, plan->region);
  const Result<std::unique_ptr<CloudWiring>> connected = co_await std::move(connecting);
  if (!connected) {
    *exit_code = report(connected.error());
    co_return;
  }
  CloudWiring& around = **connected;
  BudgetedCloud& cloud = around.cloud();
  const aws::Sourced& region = around.region();
  ssh::SshConnector connector(wiring->context.get_executor(), wiring->clock);
  Launcher launcher({cloud, cloud, cloud, connector, **store, wiring->clock, wiring->random, log},
                    plan->cluster, *secret, region.value);
  std::size_t width = 8;
  for (const auto& step : plan->request.stage.steps) {
    width = std::max(width, std::min<std::size_t>(step.name.size(), 24));
  }
  const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  const char* term = std::getenv("TERM");
  const bool has_colour = is_terminal && !common->has_no_colour &&
                          std::getenv("NO_COLOR") == nullptr &&
                          (term == nullptr || std::string_view(term) != "dumb");
  Renderer renderer({common->is_quiet, has_colour, is_terminal, width});
  if (!plan->request.earlier) {
    Task<Status> recording =
        record_plan(store->get(), &*plan, region.value, *secret, wiring, folder->get());
    const Status recorded = co_await std::move(recording);
    if (!recorded) {
      *exit_code = report(recorded.error());
      co_return;
    }
  }
  StepLogs logs(renderer, (*folder)->path());
  ExecRun run(wiring->context.get_executor(),
              {launcher, wiring->docker, wiring->clock, logs, **store, log});
  print_header(*plan, region, *common);
  renderer.on_lost = [&run] { run.interrupt(); };
  TaskScope signals(wiring->context.get_executor());
  signals.spawn(watch_signals(&run));
  Task<Result<ExecRunResult>> running = run.run(plan->request);
  const Result<ExecRunResult> result = co_await std::move(running);
  signals.cancel();
  Task<> joining = signals.join();
  co_await std::move(joining);
  if (result && result->is_clean) (*folder)->remove_bundle();
  *exit_code = result ? print_result(*result, renderer) : report(result.error());
}

}  // namespace

int run_exec(const CommonFlags& common, const ExecFlags& flags) {
  Wiring wiring;
  std::optional<Plan> plan;
  if (flags.resume.empty()) {
    Result<Plan> made = make_plan(common, flags, wiring.random);
    if (!made) return report(made.error());
    plan = std::move(*made);
  }
  const bool is_name =
      flags.resume.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (!flags.resume.empty() && (!is_name || !flags.resume.starts_with("run-"))) {
    return report(fail(ErrorKind::invalid_input,
                       fmt::format("--resume \"{}\" is no run", flags.resume),
                       "Its name, run-…, was shown at its start.", "E0101")
                      .value());
  }
  int exit_code = kBug;
  asio::co_spawn(wiring.context, run_all(&wiring, std::move(plan), &common, &flags, &exit_code),
                 [](const std::exception_ptr& failure) {
                   if (failure) std::rethrow_exception(failure);
                 });
  wiring.context.run();
  return exit_code;
}

}  // namespace muster::cli
