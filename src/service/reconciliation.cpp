#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "service/control_loop.hpp"
#include "service/machine_identity.hpp"
#include "wire/digest.hpp"
#include "wire/encoding.hpp"

// What is true: the cloud's instances and the CI servers' jobs, listed again and again.

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kListTimeMax = 60s;
constexpr Duration kCallTimeMax = 30s;
constexpr Duration kResolveAgain = 15s;
constexpr Duration kSweepPause = 500ms;  // Ends that come together are seen together.
constexpr Duration kNewsLate = 10s;      // Who waits for news longer than asked, hangs.
constexpr Duration kNewsPause = 50ms;
constexpr std::size_t kFilterValuesMax = 200;  // EC2: FilterLimitExceeded.
constexpr std::size_t kTerminateMax = 200;     // Ids a call.

std::string tag_of(const CloudInstance& instance, const char* name) {
  const auto found = instance.tags.find(name);
  return found == instance.tags.end() ? std::string() : found->second;
}

SeenInstance::State state_of(InstanceState state) {
  switch (state) {
    case InstanceState::pending: return SeenInstance::State::pending;
    case InstanceState::running: return SeenInstance::State::running;
    case InstanceState::stopping: return SeenInstance::State::stopping;
    case InstanceState::stopped: return SeenInstance::State::stopped;
    case InstanceState::shutting_down:
    case InstanceState::terminated: break;
  }
  return SeenInstance::State::ending;
}

}  // namespace

SeenInstance ControlLoop::seen_of(const CloudInstance& instance) const {
  SeenInstance seen;
  seen.id = instance.id;
  seen.state = state_of(instance.state);
  seen.reason = instance.state_reason;
  seen.intent = IntentId(tag_of(instance, kIntentTag));
  seen.pool = PoolName(tag_of(instance, kPoolTag));
  seen.size = tag_of(instance, kSizeTag);
  seen.is_protected = tag_of(instance, kProtectedTag) == "true";
  seen.offering = {instance.instance_type,
                   instance.is_spot ? CapacityType::spot : CapacityType::on_demand, "",
                   instance.zone};
  const Pool* pool = controller_.find_pool(seen.pool);
  const bool is_public = pool != nullptr && pool->ssh.uses_public_address;
  seen.address = is_public ? instance.public_address : instance.private_address;
  seen.launched_at = parts_.clock.now();
  return seen;
}

/// Another installation has taken the same cluster name: its machines are not ours to end.
bool ControlLoop::is_of_others(const CloudInstance& instance) {
  const std::string owner = tag_of(instance, kOwnerTag);
  if (owner.empty() || owner == owner_) return false;
  if (!has_told_of_others_) {
    parts_.log.error("cluster_name_shared",
                     {{"cluster", options_.cluster},
                      {"instance_id", instance.id},
                      {"remedy", "give each installation a cluster name of its own"}});
  }
  has_told_of_others_ = true;
  return true;
}

Task<Result<InstancesListed>> ControlLoop::list_cloud() {
  InstancesListed listed;
  listed.asked_at = parts_.clock.now();
  InstanceFilter filter;
  filter.tags = {{kClusterTag, options_.cluster}};
  // Without those that ended within the hour: they are many, and asked after one by one below.
  filter.states = {InstanceState::pending, InstanceState::running, InstanceState::shutting_down,
                   InstanceState::stopping, InstanceState::stopped};
  std::vector<InstanceId> missing;
  {
    Task<Result<std::vector<CloudInstance>>> listing =
        parts_.cloud.list_instances(std::move(filter));
    Task<Result<std::vector<CloudInstance>>> bounded =
        with_deadline(parts_.clock, kListTimeMax, std::move(listing));
    const Result<std::vector<CloudInstance>> found = co_await std::move(bounded);
    if (!found) co_return tl::unexpected<Error>(found.error());
    std::vector<std::string_view> seen;
    for (const CloudInstance& instance : *found) {
      // Machines of `muster exec` are its own; their timer is their net.
      if (instance.tags.contains(kRunTag) || is_of_others(instance)) continue;
      seen.push_back(instance.id.value());
      listed.instances.push_back(seen_of(instance));
    }
    std::sort(seen.begin(), seen.end());
    for (const auto& [id, instance] : fleet().instances()) {
      const bool is_seen = std::binary_search(seen.begin(), seen.end(), id.value());
      if (!is_seen) missing.push_back(id);
    }
  }
  for (std::size_t begin = 0; begin < missing.size(); begin += kFilterValuesMax) {
    InstanceFilter by_id;
    const std::size_t end = std::min(begin + kFilterValuesMax, missing.size());
    by_id.ids.assign(missing.begin() + static_cast<std::ptrdiff_t>(begin),
                     missing.begin() + static_cast<std::ptrdiff_t>(end));
    Task<Result<std::vector<CloudInstance>>> listing =
        parts_.cloud.list_instances(std::move(by_id));
    Task<Result<std::vector<CloudInstance>>> bounded =
        with_deadline(parts_.clock, kListTimeMax, std::move(listing));
    const Result<std::vector<CloudInstance>> found = co_await std::move(bounded);
    if (!found) co_return tl::unexpected<Error>(found.error());
    for (const CloudInstance& instance : *found) listed.instances.push_back(seen_of(instance));
  }
  co_return listed;
}

Task<> ControlLoop::sweep_forever() {
  while (true) {
    is_sweep_wanted_ = false;
    Task<Result<InstancesListed>> listing = list_cloud();
    Result<InstancesListed> listed = co_await std::move(listing);
    if (listed) {
      Task<> telling = submit(std::move(*listed));
      co_await std::move(telling);
    } else {
      parts_.log.warn("cloud_not_listed", {{"error", listed.error().describe()}});
    }
    const bool is_quiet = fleet().instances().empty() && fleet().intents().empty();
    if (!is_sweep_wanted_) {
      Task<> waiting =
          parts_.clock.wait(sweep_wanted_, is_quiet ? options_.sweep_idle : options_.sweep_every);
      co_await std::move(waiting);
    }
    co_await parts_.clock.sleep(kSweepPause);
  }
}

Task<> ControlLoop::ask_forever(CiServer* source) {
  Duration pause = 1s;
  while (true) {
    JobsListed listed;
    listed.source = source->name();
    listed.asked_at = parts_.clock.now();
    Task<Result<std::vector<CiJob>>> listing = source->list_jobs();
    Task<Result<std::vector<CiJob>>> bounded =
        with_deadline(parts_.clock, kListTimeMax, std::move(listing));
    Result<std::vector<CiJob>> jobs = co_await std::move(bounded);
    if (!jobs) {
      parts_.log.warn("jobs_not_listed",
                      {{"ci_server", source->name()}, {"error", jobs.error().describe()}});
      co_await parts_.clock.sleep(std::max(pause, jobs.error().retry_after.value_or(0s)));
      pause = std::min<Duration>(pause * 2, options_.ask_every);
      continue;
    }
    pause = 1s;
    listed.jobs = std::move(*jobs);
    const bool was_first = unlisted_sources_.erase(source->name()) > 0;
    Task<> telling = submit(std::move(listed));
    co_await std::move(telling);
    unclaimed_sources_.erase(source->name());
    if (was_first && unclaimed_sources_.empty()) switch_wanted_.notify_all();
    if (was_first && has_listed_sources()) {
      // Those that waited to know who claims their machine.
      for (const auto& [id, keeper] : keepers_) keeper->changed.notify_all();
    }
    Task<> following = follow(source);
    co_await std::move(following);
  }
}

/// What a CI server tells by itself, until all is to be listed again.
Task<> ControlLoop::follow(CiServer* source) {
  const Duration until = parts_.clock.monotonic() + options_.ask_every;
  const auto keep = [](Task<CiNews> waiting, std::optional<CiNews>* place) -> Task<> {
    *place = co_await std::move(waiting);
  };
  while (parts_.clock.monotonic() < until) {
    const Duration rest = until - parts_.clock.monotonic();
    std::optional<CiNews> news;
    Task<> waiting =
        run_for(parts_.clock, rest + kNewsLate, keep(source->wait_for_news(rest), &news));
    co_await std::move(waiting);
    if (!news) co_return;
    if (!news->jobs.empty()) {
      Task<> telling = submit(JobsTold{source->name(), std::move(news->jobs)});
      co_await std::move(telling);
    } else if (!news->needs_listing) {
      co_await parts_.clock.sleep(kNewsPause);
    }
    if (news->needs_listing) co_return;
  }
}

/// A fleet is launched from a template: another version of it when the settings are others.
Task<Status> ControlLoop::save_template(Pool pool, ResolvedPool resolved) {
  const std::string settings = settings_digest(pool, resolved);
  if (template_settings_[pool.name] == settings) co_return Status();
  if (!pool.launch_template.empty()) {
    templates_[pool.name] = pool.launch_template;
    if (templates_[pool.name].version.empty()) templates_[pool.name].version = "$Default";
    template_settings_[pool.name] = settings;
    co_return Status();
  }
  LaunchSpec spec = launch_spec(pool, resolved, Offering{}, "");
  spec.user_data.clear();  // Each launch has its own.
  spec.max_price.clear();
  const std::string name = fmt::format("muster-{}-{}", options_.cluster, pool.name.value());
  const std::string form = parts_.cloud.freeze_launch(spec, ClientToken(name)).body;
  const ClientToken token("mus-" + wire::hex_encode(wire::sha256(form)).substr(0, 40));
  Task<Result<TemplateRef>> saving = parts_.resources.save_template(name, std::move(spec), token);
  Task<Result<TemplateRef>> bounded = with_deadline(parts_.clock, kCallTimeMax, std::move(saving));
  Result<TemplateRef> saved = co_await std::move(bounded);
  if (!saved) co_return within("launch template of pool", pool.name.value(), saved.error());
  templates_[pool.name] = std::move(*saved);
  template_settings_[pool.name] = settings;
  co_return Status();
}

/// False: it is to be asked for again soon.
Task<bool> ControlLoop::resolve_pool(Pool pool) {
  PoolResolved told;
  told.pool = pool.name;
  Task<Result<ResolvedPool>> resolving = resolver_.resolve(pool);
  Task<Result<ResolvedPool>> bounded =
      with_deadline(parts_.clock, kListTimeMax, std::move(resolving));
  Result<ResolvedPool> resolved = co_await std::move(bounded);
  if (resolved && pool.order == OfferingOrder::fleet) {
    Task<Status> saving = save_template(pool, *resolved);
    const Status saved = co_await std::move(saving);
    if (!saved) resolved = tl::unexpected<Error>(saved.error());
  }
  if (resolved) {
    Task<Result<PoolOffers>> offering =
        resolver_.offers(pool, *resolved, controller_.config().prices);
    Result<PoolOffers> offers = co_await std::move(offering);
    if (offers) {
      told.offers = std::move(*offers);
      resolved_[pool.name] = std::move(*resolved);
    } else {
      resolved = tl::unexpected<Error>(offers.error());
    }
  }
  if (!resolved) {
    // What was known before holds on while the cloud does not answer.
    const bool is_known = resolved_.contains(pool.name) && is_retryable(resolved.error().kind);
    parts_.log.warn("pool_not_resolved",
                    {{"pool", pool.name}, {"error", resolved.error().describe()}});
    if (is_known) co_return false;
    told.offers.error = resolved.error();
  }
  Task<> telling = submit(std::move(told));
  co_await std::move(telling);
  co_return resolved.has_value();
}

Task<> ControlLoop::resolve_forever() {
  while (true) {
    bool is_complete = true;
    catalog_.clear();
    const long version = config_version_;
    const std::map<std::string, Pool> pools = controller_.config().pools;
    for (const auto& [name, pool] : pools) {
      Task<bool> resolving = resolve_pool(pool);
      const bool is_resolved = co_await std::move(resolving);
      is_complete = is_complete && is_resolved;
    }
    if (version != config_version_) continue;
    Task<> waiting =
        parts_.clock.wait(resolve_wanted_, is_complete ? options_.resolve_every : kResolveAgain);
    co_await std::move(waiting);
  }
}

Task<> ControlLoop::terminate_batch(std::vector<InstanceId> ids) {
  Task<Status> ending = parts_.cloud.terminate(ids);
  Task<Status> bounded = with_deadline(parts_.clock, kCallTimeMax, std::move(ending));
  const Status ended = co_await std::move(bounded);
  const bool is_answered = ended || ended.error().kind == ErrorKind::not_found;
  if (is_answered) {
    // Unknown: long gone, or too fresh. The next listings tell, and it is asked for again.
    Task<> telling = submit(TerminateAccepted{std::move(ids)});
    co_await std::move(telling);
    // Until the cloud shows them ended they count towards every limit.
    const auto& demand = fleet().demand();
    const bool is_waited_for = controller_.planner().is_idle_short() ||
                               std::any_of(demand.begin(), demand.end(), [](const auto& one) {
                                 return waits_for_room(one.second.reason.cause);
                               });
    is_sweep_wanted_ = is_sweep_wanted_ || is_waited_for;
    if (is_waited_for) sweep_wanted_.notify_all();
    co_return;
  }
  parts_.log.warn("instances_not_terminated",
                  {{"count", ids.size()}, {"error", ended.error().describe()}});
  if (is_retryable(ended.error().kind)) {
    co_await parts_.clock.sleep(1s);
    co_return;
  }
  if (ids.size() == 1) {
    // Protected, say: asked for again when the listings still show it.
    Task<> telling = submit(TerminateAccepted{std::move(ids)});
    co_await std::move(telling);
    co_return;
  }
  // One that cannot be ended must not keep the others.
  for (const InstanceId& id : ids) {
    Task<> alone = terminate_batch({id});
    co_await std::move(alone);
  }
}

Task<> ControlLoop::terminate_forever() {
  while (true) {
    Task<> storing = wait_committed();
    co_await std::move(storing);
    std::vector<InstanceId> ids;
    for (const auto& [id, instance] : fleet().instances()) {
      const bool is_due =
          instance.phase == InstancePhase::terminating && instance.terminated_at == TimePoint{};
      if (is_due && ids.size() < kTerminateMax) ids.push_back(id);
    }
    if (ids.empty()) {
      co_await terminate_wanted_.wait();
      continue;
    }
    Task<> ending = terminate_batch(std::move(ids));
    co_await std::move(ending);
  }
}

Task<> ControlLoop::switch_forever() {
  while (true) {
    Task<> storing = wait_committed();
    co_await std::move(storing);
    std::vector<InstanceId> to_stop;
    std::vector<InstanceId> to_start;
    for (const auto& [id, instance] : fleet().instances()) {
      const bool is_asked = switched_.contains({id, instance.phase_since});
      if (is_asked) continue;
      // What only the store says of it may be older than the job that it has.
      const bool may_stop = instance.contact_at != TimePoint{} || unclaimed_sources_.empty();
      if (instance.phase == InstancePhase::stopping && may_stop) to_stop.push_back(id);
      if (instance.phase == InstancePhase::starting) to_start.push_back(id);
    }
    if (to_stop.empty() && to_start.empty()) {
      std::erase_if(switched_, [&](const auto& one) {
        const Instance* instance = fleet().find(one.first);
        return instance == nullptr || instance->phase_since != one.second;
      });
      co_await switch_wanted_.wait();
      continue;
    }
    for (const bool starts : {false, true}) {
      for (const InstanceId& id : starts ? to_start : to_stop) {
        const Instance* instance = fleet().find(id);
        const InstancePhase wanted = starts ? InstancePhase::starting : InstancePhase::stopping;
        // The calls before this one took their time.
        if (instance == nullptr || instance->phase != wanted || is_ahead_) continue;
        const TimePoint since = instance->phase_since;
        Task<Status> acting = starts ? parts_.cloud.start({id}) : parts_.cloud.stop({id}, false);
        Task<Status> bounded = with_deadline(parts_.clock, kCallTimeMax, std::move(acting));
        const Status done = co_await std::move(bounded);
        const bool may_help = !done && is_retryable(done.error().kind);
        if (may_help) {
          co_await parts_.clock.sleep(1s);
          continue;
        }
        switched_.emplace(id, since);
        if (done) continue;
        Task<> telling = submit(PowerRefused{id, done.error()});
        co_await std::move(telling);
      }
    }
  }
}

Task<> ControlLoop::report(LeaseId id) {
  Duration pause = 500ms;
  while (const Lease* lease = fleet().find(id)) {
    const Job* job = fleet().find(lease->job);
    CiServer* server = job == nullptr ? nullptr : source(job->source);
    if (server == nullptr) break;
    const std::string ci_id = ci_id_of(*job);
    const JobResult result{lease->outcome, lease->exit_code, lease->reason};
    Task<Status> telling = result.outcome == JobOutcome::none ? server->give_back(ci_id, id)
                                                              : server->finish(ci_id, id, result);
    Task<Status> bounded = with_deadline(parts_.clock, kCallTimeMax, std::move(telling));
    const Status told = co_await std::move(bounded);
    if (told) break;
    const ErrorKind kind = told.error().kind;
    // An answer: it is not ours to tell any more.
    if (kind == ErrorKind::conflict || kind == ErrorKind::not_found) break;
    parts_.log.warn("job_not_reported", {{"lease_id", id}, {"error", told.error().describe()}});
    co_await parts_.clock.sleep(pause);
    pause = std::min<Duration>(pause * 2, 20s);
  }
  Task<> noting = submit(LeaseReported{id});
  co_await std::move(noting);
  reporting_.erase(id);
}

}  // namespace muster
