#include "service/stage_runner.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "base/task.hpp"
#include "pipeline/mask.hpp"
#include "service/persist.hpp"
#include "service/remote_step.hpp"

namespace muster {

using pipeline::FailurePolicy;
using pipeline::RunPolicy;
using pipeline::StageStep;

namespace {

using namespace std::chrono_literals;

constexpr int kExitSkipRest = 78;
constexpr auto kPatience = 2min;  // With what lives on a machine that answers.
constexpr auto kProbeTimeMax = 20s;
constexpr auto kEngineTimeMax = 90s;

/// What a step's container answers to: its name without characters that no host name has.
std::string alias_of(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool is_kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (is_kept) out += c;
  }
  return out;
}

/// `export NAME='value'`; in PATH alone the machine's own `$PATH` is put in.
std::string export_line(const std::string& name, const std::string& value) {
  std::string quoted = shell_quote(value);
  if (name != "PATH") return fmt::format("export {}={}\n", name, quoted);
  for (const std::string variable : {"${PATH}", "$PATH"}) {
    for (std::size_t at = 0; (at = quoted.find(variable, at)) != std::string::npos;) {
      quoted.replace(at, variable.size(), "'\"$PATH\"'");
      at += 9;
    }
  }
  return fmt::format("export PATH={}\n", quoted);
}

/// `what (E0431). Remedy.`
std::string error_text(const Error& error) {
  std::string text = error.message;
  while (text.ends_with('\n')) text.pop_back();
  if (!error.code.empty()) text += fmt::format(" ({})", error.code);
  if (!error.remedy.empty()) text += ". " + error.remedy;
  return text;
}

/// The text is what a run's record keeps of an error, so a resumed run can tell too.
bool is_of_lost_machine(const std::string& text) {
  return text.find("(E0424)") != std::string::npos || text.find("(E0425)") != std::string::npos;
}

bool is_shell_name(const std::string& name) {
  return !name.empty() && name.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
                              std::string::npos;
}

bool is_latest(const std::string& image) {
  const std::size_t slash = image.rfind('/');
  const std::size_t colon = image.find(':', slash == std::string::npos ? 0 : slash);
  return image.find('@') == std::string::npos &&
         (colon == std::string::npos || image.substr(colon) == ":latest");
}

}  // namespace

StageRunner::StageRunner(Executor executor, Machine& machine, Containers& containers, Clock& clock,
                         RunObserver& observer, StepJournal& journal, RemoteStep::FindEnd find_end,
                         const Log& log, Duration patience)
    : executor_(std::move(executor)),
      machine_(machine),
      containers_(containers),
      clock_(clock),
      observer_(observer),
      journal_(journal),
      find_end_(std::move(find_end)),
      log_(log),
      patience_(patience),
      changed_(executor_),
      engine_changed_(executor_) {}

const StageStep& StageRunner::step_of(int number) const {
  return stage_.steps.at(static_cast<std::size_t>(number - 1));
}

std::string StageRunner::folder_of(const StageStep& step) const {
  return fmt::format("{}/steps/{}", stage_.root, step.number);
}

std::map<std::string, std::string> StageRunner::environment_of(const StageStep& step) const {
  std::map<std::string, std::string> out = step.environment;
  const std::string status = has_failed_ ? "failure" : "success";
  out["DRONE_BUILD_STATUS"] = status;
  out["DRONE_STAGE_STATUS"] = status;
  std::vector<std::string> failed;
  for (const auto& [name, progress] : progress_) {
    const bool counts = progress.result.outcome == StepOutcome::failed ||
                        progress.result.outcome == StepOutcome::errored;
    if (progress.mode == Mode::ended && counts) failed.push_back(name);
  }
  if (!failed.empty()) out["DRONE_FAILED_STEPS"] = fmt::format("{}", fmt::join(failed, ","));
  return out;
}

std::string StageRunner::host_script(const StageStep& step) const {
  // The commands stand in a file of their own, so that they start with a clean shell; it is
  // written before the step's variables count.
  const std::string path = folder_of(step) + "/script";
  std::string mark = "MUSTER_SCRIPT_END";
  while (step.script.find(mark) != std::string::npos) mark += "_";
  std::string script = fmt::format("cat > {0} <<'{1}'\n{2}\n{1}\ncd {3} || exit 127\n",
                                   shell_quote(path), mark, step.script, shell_quote(step.folder));
  for (const auto& [name, value] : environment_of(step)) {
    if (is_shell_name(name)) script += export_line(name, value);
  }
  for (const auto& [name, value] : step.secrets) {
    if (is_shell_name(name)) script += export_line(name, value.reveal());
  }
  return script + fmt::format("exec /bin/sh {}\n", shell_quote(path));
}

/// Whether the machine itself does not answer: then what lives on it is not at fault.
Task<bool> StageRunner::is_out_of_reach() {
  ExecRequest probe;
  probe.command = "true";
  Task<Result<ExecResult>> asking = machine_.run(std::move(probe));
  Task<Result<ExecResult>> bounded = with_deadline(clock_, kProbeTimeMax, std::move(asking));
  const Result<ExecResult> asked = co_await std::move(bounded);
  co_return !asked && is_retryable(asked.error().kind);
}

/// Tries something that may be done twice again while its way is cut: for `kPatience`, and while
/// the machine is out of reach for as long as this runner's patience.
template <class Value, class Attempt>
Task<Result<Value>> StageRunner::insist(Attempt attempt) {
  std::optional<Duration> failed_at;
  while (true) {
    Task<Result<Value>> trying = persist<Value>(clock_, kPatience, attempt);
    Result<Value> tried = co_await std::move(trying);
    const bool may_heal = !tried && is_retryable(tried.error().kind) && tried.error().code.empty();
    if (!may_heal) co_return std::move(tried);
    if (!failed_at) failed_at = clock_.monotonic() - kPatience;
    if (clock_.monotonic() - *failed_at >= patience_) co_return std::move(tried);
    Task<bool> looking = is_out_of_reach();
    const bool goes_on = co_await std::move(looking);
    if (goes_on) continue;
    // It may have come back during the last attempt.
    Task<Result<Value>> again = attempt();
    co_return co_await std::move(again);
  }
}

Task<Status> StageRunner::prepare() {
  std::string command = "umask 077\n";
  for (const std::string& folder : stage_.folders) {
    command += fmt::format("mkdir -p {} || exit 1\n", shell_quote(folder));
  }
  // Containers of this type may run as anybody.
  if (stage_.type == "docker") command += fmt::format("chmod 755 {}\n", shell_quote(stage_.source));
  ExecRequest request;
  request.command = std::move(command);
  Task<Result<ExecResult>> running =
      insist<ExecResult>([&]() -> Task<Result<ExecResult>> { return machine_.run(request); });
  const Result<ExecResult> result = co_await std::move(running);
  if (!result) co_return within("prepare", stage_.root, result.error());
  if (result->exit.code == 0) co_return Status();
  co_return fail(ErrorKind::unavailable,
                 fmt::format("cannot make folders on the machine: {}", result->err));
}

Task<Status> StageRunner::ensure_engine() {
  while (engine_ == Engine::preparing) co_await engine_changed_.wait();
  if (engine_ == Engine::ready) co_return Status();
  engine_ = Engine::preparing;
  struct Release {
    StageRunner& runner;
    ~Release() {
      if (runner.engine_ == Engine::preparing) runner.engine_ = Engine::unknown;
      runner.engine_changed_.notify_all();
    }
  } const release{*this};
  const Duration first = clock_.monotonic();
  Duration began = first;
  const Duration noted_at = clock_.monotonic() + 5s;
  bool is_noted = false;
  while (true) {
    Task<Status> pinging = containers_.ping();
    const Status up = co_await std::move(pinging);
    if (up) break;
    const Duration waited = clock_.monotonic() - began;
    if (waited >= kEngineTimeMax) {
      Task<bool> looking = is_out_of_reach();
      const bool goes_on = co_await std::move(looking);
      if (goes_on && clock_.monotonic() - first < patience_) {
        // The engine has its time from when the machine answers.
        began = clock_.monotonic();
        co_await clock_.sleep(1s);
        continue;
      }
      co_return fail(ErrorKind::unavailable,
                     fmt::format("no Docker engine answers on the machine: {}", up.error().message),
                     "Choose an image with Docker, or install it with the pool's user_data.",
                     "E0431");
    }
    if (!is_noted && clock_.monotonic() >= noted_at) {
      is_noted = true;
      observer_.note(fmt::format("waiting up to {} for the machine's Docker engine",
                                 format_duration(kEngineTimeMax)));
    }
    co_await clock_.sleep(100ms);
  }
  Task<Status> networking =
      insist<void>([&]() -> Task<Status> { return containers_.create_network(stage_.network); });
  const Status network = co_await std::move(networking);
  if (!network) co_return network;
  for (const pipeline::Volume& volume : stage_.volumes) {
    Task<Status> making = insist<void>([&]() -> Task<Status> {
      return containers_.create_volume({volume.name, volume.is_memory, volume.size_bytes_max});
    });
    const Status made = co_await std::move(making);
    if (!made) co_return made;
  }
  engine_ = Engine::ready;
  co_return Status();
}

Task<Status> StageRunner::ensure_image(const StageStep* step) {
  Task<Result<bool>> asking =
      insist<bool>([&]() -> Task<Result<bool>> { return containers_.has_image(step->image); });
  const Result<bool> is_there = co_await std::move(asking);
  if (!is_there) co_return tl::unexpected<Error>(is_there.error());
  if (step->pull == "never" && !*is_there) {
    co_return fail(ErrorKind::not_found,
                   fmt::format("image {} is not on the machine, and pull is never", step->image),
                   "Build it in an earlier step, or let it be pulled.", "E0434");
  }
  if (step->pull == "never" || (*is_there && step->pull == "if-not-exists")) co_return Status();
  const bool is_default = step->pull != "always";
  if (is_default && *is_there && !is_latest(step->image)) co_return Status();
  // Not of the step's output: a run that goes on elsewhere may not need to pull again.
  observer_.note(fmt::format("{}: pulling {}", step->name, step->image));
  Task<Status> pulling =
      insist<void>([&]() -> Task<Status> { return containers_.pull(step->image); });
  const Status pulled = co_await std::move(pulling);
  // By default an image that was built here and is in no registry will do.
  if (!pulled && is_default && *is_there) co_return Status();
  co_return pulled;
}

std::string StageRunner::container_name(const StageStep& step) const {
  return fmt::format("{}-{}-{}", stage_.network, step.number, pipeline::slug(step.name));
}

Task<Result<std::string>> StageRunner::make_container(const StageStep* step) {
  Task<Status> preparing = ensure_engine();
  const Status engine = co_await std::move(preparing);
  if (!engine) co_return tl::unexpected<Error>(engine.error());
  Task<Status> fetching = ensure_image(step);
  const Status image = co_await std::move(fetching);
  if (!image) co_return tl::unexpected<Error>(image.error());
  ContainerSpec spec;
  spec.name = container_name(*step);
  spec.image = step->image;
  const pipeline::ContainerOptions& options = step->options;
  spec.network = options.network_mode.empty() ? stage_.network : options.network_mode;
  if (options.network_mode.empty()) spec.alias = alias_of(step->name);
  spec.dns = options.dns;
  spec.dns_search = options.dns_search;
  spec.extra_hosts = options.extra_hosts;
  spec.ports = options.ports;
  spec.shm_bytes = options.shm_bytes;
  spec.memory_bytes = options.memory_bytes;
  spec.memory_swap_bytes = options.memory_swap_bytes;
  spec.is_privileged = step->is_privileged;
  for (const pipeline::VolumeMount& device : step->devices) {
    spec.devices.push_back({device.name, device.path});
  }
  spec.entrypoint = step->entrypoint;
  spec.command = step->command;
  spec.folder = step->folder;
  spec.user = step->user;
  for (const pipeline::StageMount& mount : step->mounts) {
    if (mount.kind == pipeline::MountKind::memory) {
      spec.tmpfs.push_back({mount.target, mount.size_bytes_max});
    } else {
      const bool is_volume = mount.kind == pipeline::MountKind::volume;
      spec.mounts.push_back({mount.source, mount.target, is_volume, false});
    }
  }
  for (const auto& [name, value] : environment_of(*step)) {
    if (!value.empty()) spec.environment.emplace_back(name, value);
  }
  // A secret that is not there is set all the same, and empty.
  for (const auto& [name, value] : step->secrets) {
    spec.environment.emplace_back(name, value.reveal());
  }
  spec.labels = stage_.labels;
  spec.labels["io.drone.step.name"] = step->name;
  spec.labels["io.drone.step.number"] = std::to_string(step->number);
  if (!step->script.empty()) {
    // A file, not a variable: no limit of length, and no shell changes the text on the way.
    const std::string path = fmt::format("{}/opt/{}", stage_.root, step->number);
    Task<Status> copying =
        insist<void>([&]() -> Task<Status> { return machine_.copy_to(path, step->script, 0755); });
    const Status copied = co_await std::move(copying);
    if (!copied) co_return tl::unexpected<Error>(copied.error());
    spec.entrypoint = {"/bin/sh"};
    spec.command = {"/run/muster-script"};
    spec.mounts.push_back({path, "/run/muster-script", false, true});
  }
  Task<Result<std::string>> creating = insist<std::string>(
      [&]() -> Task<Result<std::string>> { return containers_.create_container(spec); });
  co_return co_await std::move(creating);
}

Task<Result<int>> StageRunner::execute(const StageStep* step) {
  std::string script;
  std::string container;
  if (step->image.empty()) {
    script += host_script(*step);
  } else {
    if (was_running_.contains(step->number)) {
      // What is there needs neither image nor registry.
      Task<Result<ContainerState>> looking =
          insist<ContainerState>([&]() -> Task<Result<ContainerState>> {
            return containers_.inspect(container_name(*step));
          });
      if (co_await std::move(looking)) container = container_name(*step);
    }
    if (container.empty()) {
      Task<Result<std::string>> making = make_container(step);
      Result<std::string> made = co_await std::move(making);
      if (!made) co_return tl::unexpected<Error>(made.error());
      container = *made;
    }
    // Attached before it starts, so that no byte of output is missed.
    script += "exec docker start --attach " + container + "\n";
  }
  RemoteStep remote(machine_, clock_, folder_of(*step));
  Task<Status> starting = remote.start(std::move(script), patience_);
  const Status started = co_await std::move(starting);
  if (!started) co_return tl::unexpected<Error>(started.error());
  const std::string name = step->name;
  const auto masker = std::make_unique<pipeline::Masker>(mask_);
  pipeline::Masker* masking = masker.get();
  Task<Result<int>> following = remote.follow(
      0,
      [this, name, masking](std::string_view bytes) {
        const std::string shown = masking->feed(bytes);
        if (!shown.empty()) observer_.step_output(name, shown);
      },
      patience_,
      [this, name](const Error& error) {
        observer_.note(fmt::format("{}: {}; trying again", name, error.message));
        log_.warn("step_out_of_reach",
                  {{"folder", stage_.root}, {"step", name}, {"error", error.message}});
      },
      find_end_);
  Result<int> code = co_await std::move(following);
  const std::string rest = masker->finish();
  // Held back because it may be the beginning of a secret.
  if (!rest.empty()) observer_.step_output(name, code ? rest : std::string("******"));
  if (!code || container.empty()) co_return code;
  Task<Result<ContainerState>> inspecting = insist<ContainerState>(
      [&]() -> Task<Result<ContainerState>> { return containers_.inspect(container); });
  const Result<ContainerState> state = co_await std::move(inspecting);
  if (!state) co_return tl::unexpected<Error>(state.error());
  if (!state->has_started) {
    co_return fail(ErrorKind::unavailable,
                   state->error.empty()
                       ? fmt::format("the container was not started (docker's exit code {})", *code)
                       : state->error,
                   *code == 127 ? "The machine's image lacks the docker client." : "");
  }
  co_return state->exit_code;
}

bool StageRunner::is_ready(const StageStep& step) const {
  return std::all_of(step.depends_on.begin(), step.depends_on.end(), [&](const std::string& name) {
    const auto found = progress_.find(name);
    return found == progress_.end() || found->second.mode == Mode::ended;
  });
}

bool StageRunner::should_run(const StageStep& step) const {
  if (step.run_policy == RunPolicy::always) return true;
  return (step.run_policy == RunPolicy::on_failure) == has_failed_;
}

void StageRunner::finish(const StageStep& step, StepResult result) {
  Progress& progress = progress_.at(step.name);
  progress.mode = Mode::ended;
  progress.result = result;
  log_.info("step_ended", {{"folder", stage_.root},
                           {"step", step.name},
                           {"exit_code", result.exit_code},
                           {"outcome", to_string(result.outcome)},
                           {"took_ms", result.took}});
  observer_.step_finished(step.name, result);
  changed_.notify_all();
}

void StageRunner::skip_pending() {
  for (const StageStep& step : stage_.steps) {
    // What an earlier part of the run has started runs on.
    if (was_running_.contains(step.number)) continue;
    if (progress_.at(step.name).mode != Mode::pending) continue;
    finish(step, {StepOutcome::skipped, 0, {}, {}});
  }
}

/// Kept like a result: asked again later, the answer could be another.
Task<> StageRunner::skip_step(int number) {
  const StageStep step = step_of(number);
  const StepResult result{StepOutcome::skipped, 0, {}, {}};
  Task<> keeping = keep(number, true, result);
  co_await std::move(keeping);
  if (journal_status_) finish(step, result);
}

/// Committed before the machine is told, and after it has told; what cannot be kept ends the run.
Task<> StageRunner::keep(int number, bool has_ended, StepResult result) {
  StepRecord record{number,
                    has_ended,
                    static_cast<int>(result.outcome),
                    result.exit_code,
                    std::move(result.error),
                    result.took};
  Task<Status> noting = journal_.note(std::move(record));
  const Status noted = co_await std::move(noting);
  if (noted) co_return;
  if (journal_status_) journal_status_ = noted;
  changed_.notify_all();
}

/// What a step's end means for those after it.
void StageRunner::count(const StageStep& step, const StepResult& result) {
  if (result.outcome == StepOutcome::errored) {
    has_failed_ = true;
    if (first_error_.empty()) first_error_ = fmt::format("{}: {}", step.name, result.error);
  }
  if (result.outcome == StepOutcome::passed && result.exit_code == kExitSkipRest) {
    has_skipped_rest_ = true;
  }
  if (result.outcome == StepOutcome::failed) {
    has_failed_ = true;
    if (failed_step_.empty()) {
      failed_step_ = step.name;
      failed_code_ = result.exit_code;
    }
  }
  const bool has_broken =
      result.outcome == StepOutcome::failed || result.outcome == StepOutcome::ignored;
  if (has_broken && step.failure == FailurePolicy::fail_fast) fails_fast_ = true;
}

void StageRunner::restore(const std::vector<StepRecord>& before) {
  for (const StepRecord& record : before) {
    const auto step =
        std::find_if(stage_.steps.begin(), stage_.steps.end(),
                     [&](const StageStep& one) { return one.number == record.number; });
    if (step == stage_.steps.end()) continue;
    // A detached one that ran goes on; one that was skipped never began.
    const bool was_skipped = static_cast<StepOutcome>(record.outcome) == StepOutcome::skipped;
    if (!record.has_ended || (step->is_detached && !was_skipped)) {
      was_running_.insert(record.number);
      continue;
    }
    const StepResult result{static_cast<StepOutcome>(record.outcome), record.exit_code,
                            record.error, record.took};
    count(*step, result);
    finish(*step, result);
  }
  // Once all others have ended nobody needs those in the background: they may be gone already.
  const bool is_over =
      std::all_of(stage_.steps.begin(), stage_.steps.end(), [&](const StageStep& one) {
        return one.is_detached || progress_.at(one.name).mode == Mode::ended;
      });
  if (!is_over) return;
  for (const StageStep& step : stage_.steps) {
    if (was_running_.erase(step.number) > 0) finish(step, {StepOutcome::detached, 0, {}, {}});
  }
}

Task<Error> StageRunner::explained(Error error) {
  if (!is_retryable(error.kind) || error.code == "E0424") co_return error;
  Task<std::optional<Error>> finding = find_end_();
  std::optional<Error> end = co_await std::move(finding);
  co_return end ? std::move(*end) : std::move(error);
}

Task<> StageRunner::run_step(int number) {
  const StageStep step = step_of(number);
  const Duration started = clock_.monotonic();
  observer_.step_started(step.name);
  if (!was_running_.contains(number)) {
    Task<> keeping = keep(number, false, {});
    co_await std::move(keeping);
    if (!journal_status_) co_return;
  }
  if (step.is_detached) finish(step, {StepOutcome::detached, 0, {}, {}});
  Task<Result<int>> executing = execute(&step);
  Result<int> code = co_await std::move(executing);
  if (!code) {
    Task<Error> explaining = explained(code.error());
    code = tl::unexpected<Error>(co_await std::move(explaining));
  }
  StepResult result;
  result.took = clock_.monotonic() - started;
  if (step.is_detached) {
    // Its result counts for nothing; that it could not start is worth a word.
    if (!code) {
      result.outcome = StepOutcome::not_started;
      result.error = error_text(code.error());
      observer_.step_finished(step.name, result);
    }
    co_return;
  }
  if (!code) {
    result.outcome = StepOutcome::errored;
    result.exit_code = 255;
    result.error = pipeline::masked(mask_, error_text(code.error()));
  } else {
    result.exit_code = *code;
    const bool is_fine = *code == 0 || *code == kExitSkipRest;
    const bool is_ignored = step.failure == FailurePolicy::ignore;
    if (!is_fine) result.outcome = is_ignored ? StepOutcome::ignored : StepOutcome::failed;
  }
  Task<> keeping = keep(number, true, result);
  co_await std::move(keeping);
  if (!journal_status_) co_return;
  count(step, result);
  finish(step, std::move(result));
}

void StageRunner::start_ready_steps(TaskScope& scope) {
  if (has_skipped_rest_ || fails_fast_) skip_pending();
  for (bool has_moved = true; has_moved;) {
    has_moved = false;
    for (const StageStep& step : stage_.steps) {
      Progress& progress = progress_.at(step.name);
      const bool was_running = was_running_.contains(step.number);
      if (progress.mode != Mode::pending || (!was_running && !is_ready(step))) continue;
      has_moved = true;
      progress.mode = Mode::running;
      scope.spawn(was_running || should_run(step) ? run_step(step.number) : skip_step(step.number));
    }
  }
}

Task<Result<StageResult>> StageRunner::run(pipeline::Stage stage, std::vector<StepRecord> before) {
  stage_ = std::move(stage);
  mask_ = pipeline::mask_patterns(stage_.secret_values());
  for (const StageStep& step : stage_.steps) progress_[step.name];
  restore(before);
  Task<Status> preparing = prepare();
  const Status prepared = co_await std::move(preparing);
  if (!prepared) co_return tl::unexpected<Error>(prepared.error());
  TaskScope scope(executor_);
  const auto is_open = [&] {
    return std::any_of(progress_.begin(), progress_.end(),
                       [](const auto& one) { return one.second.mode != Mode::ended; });
  };
  std::exception_ptr cancelled;
  try {
    while (is_open()) {
      start_ready_steps(scope);
      if (fails_fast_ || !journal_status_) break;
      if (is_open()) co_await changed_.wait();
    }
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) co_await forget_cancellation();
  // What runs on in the background ends with the machine.
  scope.cancel();
  Task<> joining = scope.join();
  co_await std::move(joining);
  if (cancelled) std::rethrow_exception(cancelled);
  if (!journal_status_) co_return tl::unexpected<Error>(journal_status_.error());
  for (const StageStep& step : stage_.steps) {
    if (progress_.at(step.name).mode == Mode::ended) continue;
    finish(step, {StepOutcome::killed, 137, {}, {}});
  }
  StageResult result;
  if (has_failed_) result.outcome = StageOutcome::failed;
  if (!first_error_.empty()) result.outcome = StageOutcome::errored;
  result.error = first_error_;
  result.failed_step = failed_step_;
  result.failed_code = failed_code_;
  result.is_machine_lost = is_of_lost_machine(first_error_);
  co_return result;
}

}  // namespace muster
