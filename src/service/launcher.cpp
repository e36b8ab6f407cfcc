#include "service/launcher.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "service/machine_identity.hpp"
#include "service/pool_resolver.hpp"
#include "wire/console.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr int kUnknownOutcomeTries = 5;

bool tells_that_it_never_was(ErrorKind kind) {
  return !may_have_acted(kind) && !is_turned_away(kind);
}

}  // namespace

Launcher::Launcher(Parts parts, std::string cluster, Secret cluster_secret, std::string region)
    : parts_(parts),
      cluster_(std::move(cluster)),
      make_key_(keys_of(std::move(cluster_secret))),
      region_(std::move(region)) {}

Task<Result<LaunchAnswer>> Launcher::send_launch(LaunchIntent intent) {
  // From here on the launch may have been made, whatever becomes of this task.
  unfinished_ = intent;
  Duration pause = 500ms;
  bool is_unknown = false;
  for (int number = 1;; ++number) {
    Task<Result<LaunchAnswer>> sending = parts_.cloud.launch(intent.call);
    Result<LaunchAnswer> launched = co_await std::move(sending);
    if (launched) co_return launched;
    const ErrorKind kind = launched.error().kind;
    is_unknown = is_unknown || may_have_acted(kind);
    if (tells_that_it_never_was(kind) || (!is_unknown && kind != ErrorKind::throttled))
      co_return launched;
    parts_.log.warn("launch_outcome_unknown",
                    {{"attempt", number}, {"error_code", launched.error().code}});
    if (number == kUnknownOutcomeTries) {
      if (is_unknown) launched.error().kind = ErrorKind::unavailable;
      co_return launched;
    }
    co_await parts_.clock.sleep(pause);
    pause = std::min<Duration>(pause * 2, 8s);
  }
}

Task<Status> Launcher::check_cap(const Pool* pool) {
  InstanceFilter filter;
  filter.tags = {{kClusterTag, cluster_}, {kPoolTag, pool->name.value()}};
  filter.states = {InstanceState::pending, InstanceState::running};
  Task<Result<std::vector<CloudInstance>>> listing = parts_.cloud.list_instances(std::move(filter));
  const Result<std::vector<CloudInstance>> running = co_await std::move(listing);
  if (!running) co_return within("machines of pool", pool->name.value(), running.error());
  if (static_cast<int>(running->size()) < pool->max_instances) co_return Status();
  co_return fail(
      ErrorKind::quota_exceeded,
      fmt::format("pool {} has {} machine{}, and max_instances is {}", pool->name.value(),
                  running->size(), running->size() == 1 ? "" : "s", pool->max_instances),
      fmt::format("Wait for one to end, or raise pools.{}.max_instances.", pool->name.value()),
      "E0414");
}

Task<Result<LaunchedMachine>> Launcher::launch_in(const Pool* pool, ResolvedPool resolved,
                                                  Offering offering, RunId run) {
  LaunchedMachine machine;
  machine.intent = IntentId("int-" + random_hex(parts_.random, 24));
  machine.offering = offering;
  const DerivedKey key = launch_key(make_key_, machine.intent);
  machine.private_key = key.private_key;

  LaunchSpec spec = launch_spec(*pool, resolved, offering, key.public_line);
  spec.tags = machine_tags(*pool, cluster_, machine.intent);
  spec.tags[kRunTag] = run.value();

  LaunchIntent intent;
  intent.id = machine.intent;
  intent.run = run;
  intent.cluster = cluster_;
  intent.pool = pool->name;
  intent.region = region_;
  intent.call = parts_.cloud.freeze_launch(spec, ClientToken(machine.intent.value()));
  intent.created_at = parts_.clock.now();
  Task<Status> committing = parts_.store.add_intent(intent);
  const Status committed = co_await std::move(committing);
  if (!committed) co_return within("intent", machine.intent.value(), committed.error());

  Task<Result<LaunchAnswer>> sending = send_launch(intent);
  const Result<LaunchAnswer> launched = co_await std::move(sending);
  if (!launched) {
    if (may_have_acted(launched.error().kind)) co_return tl::unexpected<Error>(launched.error());
    unfinished_.reset();
    Task<Status> noting = parts_.store.set_intent(machine.intent, IntentState::refused, {});
    const Status noted = co_await std::move(noting);
    if (!noted) co_return within("intent", machine.intent.value(), noted.error());
    co_return tl::unexpected<Error>(launched.error());
  }
  machine.instance = launched->instances.front();
  machine.offering.instance_type = machine.instance.instance_type;
  const bool is_as_asked =
      pool->launch_template.empty() ||
      machine.instance.is_spot == (offering.capacity_type == CapacityType::spot);
  Task<Status> noting =
      parts_.store.set_intent(machine.intent, IntentState::launched, {machine.instance.id});
  const Status noted = co_await std::move(noting);
  if (!noted) co_return within("intent", machine.intent.value(), noted.error());
  unfinished_.reset();
  if (!is_as_asked) {
    // Only a template can have said otherwise.
    Task<Status> ending = terminate(machine);
    const Status ended = co_await std::move(ending);
    if (!ended) co_return tl::unexpected<Error>(ended.error());
    co_return fail(
        ErrorKind::invalid_input,
        fmt::format("the launch template makes {} a {} machine, against the pool's "
                    "on_demand",
                    machine.instance.id.value(), machine.instance.is_spot ? "spot" : "on-demand"),
        "Remove the market from the template (InstanceMarketOptions).", "E0102");
  }
  parts_.log.info(
      "instance_launched",
      {{"pool", pool->name}, {"instance_id", machine.instance.id}, {"intent_id", machine.intent}});
  co_return machine;
}

tl::unexpected<Error> Launcher::no_room(const Pool& pool, const std::vector<Attempt>& attempts,
                                        Duration took) {
  std::string text = fmt::format(
      "no capacity for pool {}: tried {} offering{} in {}, none had room", pool.name.value(),
      attempts.size(), attempts.size() == 1 ? "" : "s", format_duration(took));
  for (const Attempt& attempt : attempts) {
    const std::string type = attempt.offering.instance_type.empty()
                                 ? describe(pool.launch_template)
                                 : attempt.offering.instance_type;
    text += fmt::format("\n  {:<11} {:<12} {:<10} {:<30} {}", attempt.offering.zone, type,
                        to_string(attempt.offering.capacity_type), attempt.error.code,
                        format_iso8601(attempt.at).substr(11, 8));
  }
  const std::string key = "pools." + pool.name.value();
  const std::string remedy =
      pool.on_demand == OnDemandRule::never
          ? fmt::format(
                "The pool allows no on-demand. Allow it ({}.on_demand: fallback), add "
                "instance types, or try again later.",
                key)
          : fmt::format(
                "Add instance types ({0}.types) or subnets ({0}.subnets), or try again "
                "later.",
                key);
  const bool is_quota = std::all_of(attempts.begin(), attempts.end(), [](const Attempt& attempt) {
    return attempt.error.kind == ErrorKind::quota_exceeded;
  });
  return fail(is_quota ? ErrorKind::quota_exceeded : ErrorKind::capacity_unavailable,
              std::move(text),
              is_quota ? "Ask AWS for a higher vCPU quota (Service Quotas, EC2)." : remedy,
              is_quota ? "E0413" : "E0412");
}

Task<Result<LaunchedMachine>> Launcher::launch(Pool pool, RunId run) {
  const Duration started = parts_.clock.monotonic();
  PoolResolver resolver(parts_.catalog, region_);
  Task<Result<ResolvedPool>> resolving = resolver.resolve(pool);
  const Result<ResolvedPool> resolved = co_await std::move(resolving);
  if (!resolved) co_return tl::unexpected<Error>(resolved.error());
  Task<Status> capping = check_cap(&pool);
  const Status has_room = co_await std::move(capping);
  if (!has_room) co_return tl::unexpected<Error>(has_room.error());
  std::vector<Attempt> attempts;
  for (const Offering& offering : offerings_of(pool, resolved->subnets)) {
    Task<Result<LaunchedMachine>> launching = launch_in(&pool, *resolved, offering, run);
    Result<LaunchedMachine> machine = co_await std::move(launching);
    if (machine) co_return machine;
    if (!is_out_of_room(machine.error().kind)) {
      co_return tl::unexpected<Error>(of_pool("launch for pool", pool, machine.error()));
    }
    attempts.push_back({offering, machine.error(), parts_.clock.now()});
  }
  co_return no_room(pool, attempts, parts_.clock.monotonic() - started);
}

Task<Result<CloudInstance>> Launcher::look_up(InstanceId id) {
  InstanceFilter filter;
  filter.ids = {id};
  Task<Result<std::vector<CloudInstance>>> listing = parts_.cloud.list_instances(std::move(filter));
  const Result<std::vector<CloudInstance>> found = co_await std::move(listing);
  if (!found) co_return tl::unexpected<Error>(found.error());
  // A fresh instance may not be visible yet: that says nothing.
  if (found->empty()) co_return fail(ErrorKind::not_found, "not visible yet");
  co_return found->front();
}

Task<Result<ReachedMachine>> Launcher::reach(LaunchedMachine machine, Pool pool) {
  const std::string id = machine.instance.id.value();
  const Duration deadline = parts_.clock.monotonic() + pool.boot_timeout;
  MachineTarget target;
  target.port = pool.ssh.port;
  target.user = pool.ssh.user;
  target.private_keys = {machine.private_key};
  target.host_keys = machine.host_keys;
  CloudInstance instance = machine.instance;
  Duration pause = 30ms;
  Duration next_look = parts_.clock.monotonic() + 3s;
  std::string waiting_for = "no host keys on the console yet";
  while (parts_.clock.monotonic() < deadline) {
    const bool needs_address = pool.ssh.uses_public_address && instance.public_address.empty();
    if (needs_address || parts_.clock.monotonic() >= next_look) {
      Task<Result<CloudInstance>> looking = look_up(machine.instance.id);
      const Result<CloudInstance> seen = co_await std::move(looking);
      next_look = parts_.clock.monotonic() + 5s;
      if (seen) instance = *seen;
      const bool is_ending =
          seen && seen->state != InstanceState::pending && seen->state != InstanceState::running;
      if (is_ending) {
        co_return fail(ErrorKind::unavailable,
                       fmt::format("{} ended before it could be used: {}", id, seen->state_reason),
                       "Look at its image, its disk encryption key and the pool's user_data.",
                       "E0422");
      }
    }
    target.address =
        pool.ssh.uses_public_address ? instance.public_address : instance.private_address;
    if (target.host_keys.empty()) {
      const Duration left = deadline - parts_.clock.monotonic();
      if (left <= Duration{}) break;
      Task<Result<std::string>> reading = parts_.control.console_output(machine.instance.id);
      Task<Result<std::string>> bounded = with_deadline(parts_.clock, left, std::move(reading));
      const Result<std::string> console = co_await std::move(bounded);
      if (console) target.host_keys = wire::parse_console_host_keys(*console);
      const bool is_final = !console && !is_retryable(console.error().kind) &&
                            console.error().kind != ErrorKind::not_found;
      if (is_final) co_return within("console of", id, console.error());
    }
    if (!target.host_keys.empty() && !target.address.empty()) {
      waiting_for = fmt::format("no answer of SSH at {}:{}", target.address, target.port);
      Task<Result<std::unique_ptr<Machine>>> connecting = parts_.connector.connect(target, 5s);
      Result<std::unique_ptr<Machine>> reached = co_await std::move(connecting);
      if (reached) co_return ReachedMachine{std::move(*reached), target.host_keys};
      if (reached.error().code == "HostKeyMismatch") {
        reached.error().code = "E0421";
        co_return tl::unexpected<Error>(reached.error());
      }
      // The key comes with user data, which may run a moment after sshd.
      const bool may_come =
          is_retryable(reached.error().kind) || reached.error().code == "KeyRefused";
      if (!may_come) co_return tl::unexpected<Error>(reached.error());
      waiting_for = reached.error().message;
      // sshd bars an address that knocks too often with a key it does not know.
      const bool is_refused = reached.error().code == "KeyRefused";
      if (!is_refused) pause = std::min<Duration>(pause, 250ms);
    }
    co_await parts_.clock.sleep(pause);
    pause = std::min<Duration>(pause + pause / 2, 3s);
  }
  co_return fail(
      ErrorKind::timeout,
      fmt::format("{} was not usable within {}; last: {}", id, format_duration(pool.boot_timeout),
                  waiting_for),
      fmt::format("Check that the image runs cloud-init and sshd and has a user {}, that "
                  "the security group lets port {} (the pool's ssh.port) in from here, or raise "
                  "boot_timeout.",
                  pool.ssh.user, pool.ssh.port),
      "E0420");
}

Task<std::optional<Error>> Launcher::find_end(InstanceId id) {
  Task<Result<CloudInstance>> looking = look_up(id);
  Task<Result<CloudInstance>> bounded = with_deadline(parts_.clock, 5s, std::move(looking));
  const Result<CloudInstance> seen = co_await std::move(bounded);
  const bool is_there =
      !seen || seen->state == InstanceState::pending || seen->state == InstanceState::running;
  if (is_there) co_return std::nullopt;
  const bool was_taken = seen->state_reason.find("Spot") != std::string::npos;
  Error error;
  error.kind = ErrorKind::unavailable;
  error.code = "E0424";
  error.message =
      was_taken
          ? fmt::format("EC2 took the spot machine {} back: {}", id.value(), seen->state_reason)
          : fmt::format("{} ended while it was needed: {}", id.value(), seen->state_reason);
  error.remedy = was_taken ? "Run it again, or set on_demand: only for the pool."
                           : "CloudTrail shows who ended it. Run it again.";
  co_return error;
}

Task<Result<std::optional<LaunchedMachine>>> Launcher::find_owed(RunId run) {
  Task<Result<std::vector<LaunchIntent>>> listing = parts_.store.list_owing();
  const Result<std::vector<LaunchIntent>> owing = co_await std::move(listing);
  if (!owing) co_return tl::unexpected<Error>(owing.error());
  for (const LaunchIntent& intent : *owing) {
    if (intent.run != run) continue;
    LaunchedMachine machine;
    machine.intent = intent.id;
    machine.private_key = launch_key(make_key_, intent.id).private_key;
    if (intent.state == IntentState::launched && !intent.instances.empty()) {
      machine.instance.id = intent.instances.front();
      co_return std::optional(std::move(machine));
    }
    // The same call again tells what became of it, without launching a second machine.
    Task<Result<LaunchAnswer>> sending = send_launch(intent);
    const Result<LaunchAnswer> launched = co_await std::move(sending);
    if (!launched && !tells_that_it_never_was(launched.error().kind)) {
      co_return tl::unexpected<Error>(launched.error());
    }
    // Refused is what room and quota were then: the run looks for another offering.
    const bool was_made = launched && !launched->instances.empty();
    std::vector<InstanceId> made;
    if (was_made) made = {launched->instances.front().id};
    Task<Status> noting = parts_.store.set_intent(
        intent.id, was_made ? IntentState::launched : IntentState::refused, made);
    const Status noted = co_await std::move(noting);
    if (!noted) co_return tl::unexpected<Error>(noted.error());
    unfinished_.reset();
    if (!was_made) continue;
    machine.instance.id = made.front();
    co_return std::optional(std::move(machine));
  }
  co_return std::optional<LaunchedMachine>();
}

Task<Result<LaunchedMachine>> Launcher::refresh(LaunchedMachine machine) {
  Result<CloudInstance> seen = fail(ErrorKind::not_found, "not visible yet");
  for (int number = 0; !seen && number < 20; ++number) {
    if (number > 0) co_await parts_.clock.sleep(1s);
    Task<Result<CloudInstance>> looking = look_up(machine.instance.id);
    seen = co_await std::move(looking);
    if (!seen && seen.error().kind != ErrorKind::not_found) {
      co_return tl::unexpected<Error>(seen.error());
    }
  }
  const bool is_there =
      seen && (seen->state == InstanceState::pending || seen->state == InstanceState::running);
  if (!is_there) {
    co_return fail(ErrorKind::unavailable,
                   fmt::format("{} is gone: {}", machine.instance.id.value(),
                               seen ? seen->state_reason : std::string("EC2 does not know it")),
                   "Its dead-man timer ends a machine that hears nothing; raise dead_man, and run "
                   "the pipeline again.",
                   "E0423");
  }
  machine.instance = *seen;
  machine.offering = {seen->instance_type,
                      seen->is_spot ? CapacityType::spot : CapacityType::on_demand, "", seen->zone};
  co_return machine;
}

Task<Status> Launcher::terminate(LaunchedMachine machine) {
  Status last;
  Duration pause = 200ms;
  for (int number = 1; number <= 8; ++number) {
    Task<Status> ending = parts_.cloud.terminate({machine.instance.id});
    last = co_await std::move(ending);
    // A fresh machine may not be known everywhere yet; it is ours and must not be forgotten.
    const bool may_help =
        !last && (is_retryable(last.error().kind) || last.error().kind == ErrorKind::not_found);
    if (!may_help) break;
    co_await parts_.clock.sleep(pause);
    pause = std::min<Duration>(pause * 2, 8s);
  }
  if (!last) co_return within("terminate", machine.instance.id.value(), last.error());
  Task<Status> noting = parts_.store.set_intent(machine.intent, IntentState::ended, {});
  co_return co_await std::move(noting);
}

Task<Status> Launcher::terminate_unfinished() {
  if (!unfinished_) co_return Status();
  const LaunchIntent intent = *unfinished_;
  // The same call again tells what became of it, without launching a second machine.
  Task<Result<LaunchAnswer>> sending = send_launch(intent);
  const Result<LaunchAnswer> launched = co_await std::move(sending);
  if (!launched) {
    if (!tells_that_it_never_was(launched.error().kind)) {
      co_return tl::unexpected<Error>(launched.error());
    }
    unfinished_.reset();
    Task<Status> noting = parts_.store.set_intent(intent.id, IntentState::refused, {});
    co_return co_await std::move(noting);
  }
  LaunchedMachine machine;
  machine.intent = intent.id;
  machine.instance = launched->instances.front();
  Task<Status> ending = terminate(std::move(machine));
  co_return co_await std::move(ending);
}

}  // namespace muster
