#include "simulation/sim_world.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/document.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr double kCrashChance = 0.004;   // A point, while crashes of that kind are on.
constexpr double kFirstCrash = 0.05;     // The first times of a day that a point is reached.
constexpr double kRecoveryCrash = 0.15;  // A point of a process that is just starting.
constexpr Duration kRecovering = 20s;

/// The public key that user data brings.
std::string key_in(const std::string& user_data) {
  const std::size_t at = user_data.find("ssh-ed25519 ");
  return at == std::string::npos ? "" : user_data.substr(at, user_data.find('\'', at) - at);
}

/// `shutdown -h +10` of user data and of muster's command.
Duration timer_in(std::string_view text) {
  constexpr std::string_view kTimer = "shutdown -h +";
  const std::size_t at = text.find(kTimer);
  if (at == std::string_view::npos) return Duration::max();
  long minutes = 0;
  for (std::size_t i = at + kTimer.size(); i < text.size() && text[i] >= '0' && text[i] <= '9';
       ++i) {
    minutes = minutes * 10 + (text[i] - '0');
  }
  return std::chrono::minutes{minutes};
}

}  // namespace

std::string pool_of(const ec2model::Instance& instance) {
  const auto tag = instance.tags.find("muster:pool");
  return tag == instance.tags.end() ? std::string() : tag->second;
}

SimWorld::SimWorld(Options options, Faults drawn)
    : model(options.cloud, options.seed),
      faults(std::move(drawn)),
      options_(std::move(options)),
      dice_(options_.seed, 1),
      crash_dice_(options_.seed, 2),
      began_(clock.monotonic()) {}

bool SimWorld::strikes(int number, double probability) {
  if (!options_.has_faults || !faults.is_open(number, now())) return false;
  if (probability < 1.0 && !dice_.hits(probability)) return false;
  faults.strike(number);
  return true;
}

void SimWorld::trace(std::string_view what, std::string_view subject, std::string_view more) {
  ++events_;
  const auto mix = [this](std::string_view text) {
    for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  };
  const auto at = static_cast<std::uint64_t>(now().count());
  for (int i = 0; i < 8; ++i) hash_ = (hash_ ^ ((at >> (8 * i)) & 255)) * 0x100000001b3ULL;
  mix(what);
  mix(subject);
  mix(more);
  note(what, subject, more);
}

void SimWorld::note(std::string_view what, std::string_view subject, std::string_view more) {
  if (!options_.keeps_trace) return;
  const auto seconds = std::chrono::duration<double>(now()).count();
  lines_.push_back(fmt::format("{:10.3f} s  {:<28} {} {}", seconds, what, subject, more));
}

void SimWorld::violate(std::string invariant, std::string text) {
  trace("VIOLATION " + invariant, text);
  if (violations.size() < 20) violations.push_back({std::move(invariant), std::move(text), now()});
}

bool SimWorld::lets_in(const InstanceId& id, const std::vector<Secret>& private_keys) const {
  const auto known = authorized_keys.find(id);
  if (known == authorized_keys.end()) return false;
  return std::any_of(private_keys.begin(), private_keys.end(), [&](const Secret& key) {
    // The simulated pair of a key: both say whose it is, at their ends.
    const std::string whose = key.reveal().substr(key.reveal().rfind(' ') + 1);
    return known->second.contains("ssh-ed25519 AAAA muster:" + whose);
  });
}

bool SimWorld::reach(std::string_view what, Point point) {
  const auto which = static_cast<std::size_t>(point);
  auto passes = points_.find(what);
  if (passes == points_.end()) passes = points_.emplace(what, std::array<long, 3>{}).first;
  const bool is_rare = ++passes->second.at(which) <= 10;
  if (!options_.has_faults || !may_crash || is_crashed_) return is_crashed_;
  const bool is_launch = what == "RunInstances" || what == "CreateFleet";
  const bool is_commit = what == "commit";
  const bool is_recovering = incarnation_ > 1 && now() - recovered_at_ < kRecovering;
  struct Kind {
    int number;
    bool applies;
    double chance;
  };
  const Kind kinds[] = {
      {1, is_commit && point == Point::before, kCrashChance},
      {2, is_launch && point == Point::before, 0.2},
      {3, is_launch && point == Point::before, 0.2},
      {4, is_launch && point == Point::during, 0.3},
      {5, is_launch && point == Point::after, 0.3},
      {6, what.starts_with("ci"), kCrashChance * 4},
      {7, true, is_rare ? kFirstCrash : kCrashChance},
      {8, is_recovering, kRecoveryCrash},
  };
  for (const Kind& kind : kinds) {
    if (!kind.applies || !faults.is_open(kind.number, now())) continue;
    if (!crash_dice_.hits(kind.chance)) continue;
    faults.strike(kind.number);
    ++point_strikes_[std::string(what)].at(which);
    static constexpr std::array<const char*, 3> kWhere{"before", "during", "after"};
    trace("crash", what, kWhere.at(which));
    crash();
    return true;
  }
  return false;
}

void SimWorld::settle() {
  const TimePoint at = clock.now();
  model.advance(at);
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    for (const ec2model::Effect& effect : model.take_effects()) {
      goes_on = true;
      const InstanceId id(effect.instance_id);
      switch (effect.kind) {
        case ec2model::Effect::Kind::start_machine: {
          SimHost& host = hosts[id];
          host.id = id;
          host.is_up = false;
          host.boots_at = now() + dice_.between(Duration{8s}, 45s);
          const ec2model::Instance& instance = *model.find(effect.instance_id);
          // A disk that was used before runs its user data no more.
          const Duration timer = timer_in(instance.user_data);
          host_due_.emplace(host.boots_at, id);
          if (timer != Duration::max()) wind(host, timer);
          const auto [keys, is_new] = authorized_keys.try_emplace(id);
          if (is_new) keys->second.insert(key_in(instance.user_data));
          model.machine_running(effect.instance_id, at);
          trace("machine starts", id.value());
          break;
        }
        case ec2model::Effect::Kind::stop_machine:
        case ec2model::Effect::Kind::kill_machine: {
          const auto host = hosts.find(id);
          const bool is_busy =
              host != hosts.end() &&
              std::any_of(host->second.runs.begin(), host->second.runs.end(),
                          [&](const auto& run) { return run.second.ends_at > now(); });
          const std::string& why = model.find(effect.instance_id)->state_reason_code;
          if (is_busy && why.find("Spot") != std::string::npos) faults.strike(29);
          hosts.erase(id);
          trace("machine ends", id.value());
          model.machine_gone(effect.instance_id, false, at);
          break;
        }
        case ec2model::Effect::Kind::reboot_machine: break;
      }
    }
    std::vector<InstanceId> ended;
    while (!host_due_.empty() && host_due_.begin()->first <= now()) {
      const InstanceId id = host_due_.begin()->second;
      host_due_.erase(host_due_.begin());
      const auto host = hosts.find(id);
      if (host == hosts.end()) continue;
      if (host->second.boots_at <= now()) host->second.is_up = true;
      // One that was wound again has another entry.
      if (options_.has_dead_man && host->second.dead_man_at <= now()) ended.push_back(id);
    }
    for (const InstanceId& id : ended) {
      trace("dead-man timer", id.value());
      machine_ended(id, true);
      goes_on = true;
    }
  }
  for (const std::string& id : model.take_ledger_changes()) {
    if (model.ledger().machines().at(id).is_alive()) {
      const ec2model::Instance* instance = model.find(id);
      const ec2model::InstanceType& type = *ec2model::find_type(instance->instance_type);
      const double usd = static_cast<double>(type.on_demand_usd_micros) / 1e6;
      alive.insert_or_assign(id, Alive{instance, pool_of(*instance), type.vcpu_count,
                                       instance->spot_request.empty() ? usd : 0});
    } else {
      alive.erase(id);
    }
  }
  for (const std::string& fault : model.take_strikes()) {
    if (fault == "invisible_for") faults.strike(16);
    if (fault == "hang") faults.strike(faults.is_open(79, now()) ? 79 : 22);
    if (fault == "interrupt") faults.strike(28);
    if (fault == "no_capacity") faults.strike(20);
    if (fault == "flap") faults.strike(17);
  }
  // Whoever lets time pass waits for the next thing that is due: only an earlier one wakes it.
  const std::optional<TimePoint> due = next_due();
  if (due && *due < awaited) settled_.notify_all();
}

void SimWorld::wind(SimHost& host, Duration timer) {
  host.dead_man_at = now() + timer;
  host_due_.emplace(host.dead_man_at, host.id);
}

void SimWorld::machine_ended(const InstanceId& id, bool is_shutdown) {
  hosts.erase(id);
  model.machine_gone(id.value(), is_shutdown, clock.now());
}

std::optional<TimePoint> SimWorld::next_due() const {
  std::optional<TimePoint> next = model.next_due();
  if (!host_due_.empty()) {
    const TimePoint at = clock.now() - now() + host_due_.begin()->first;
    if (!next || at < *next) next = at;
  }
  return next;
}

bool SimWorld::start_run(const InstanceId& id, const std::string& folder,
                         const std::string& script) {
  SimHost& host = hosts.at(id);
  if (host.runs.contains(folder)) return true;
  // `run JOB`: what the simulated CI server gives as a script.
  const std::size_t at = script.rfind("run ");
  if (at == std::string::npos) return false;
  const std::string name = script.substr(at + 4);
  const auto found = jobs.find(name);
  if (found == jobs.end()) return false;
  SimJob& job = found->second;
  ++job.runs;
  trace("job starts", name, id.value());
  if (job.runs > 1 + job.restarts) {
    violate("I2", fmt::format("job {} was started {} times", name, job.runs));
  }
  host.runs[folder] = {name, now(), now() + job.takes, job.exit_code};
  constexpr std::string_view kFolder = "/tmp/muster-";
  const LeaseId lease(folder.substr(std::min(folder.size(), kFolder.size())));
  if (watcher != nullptr) watcher->job_started(host, name, lease);
  return true;
}

Task<> stand_still(SimWorld& world) {
  Event never(world.context.get_executor());
  while (true) co_await never.wait();
}

}  // namespace muster::simulation
