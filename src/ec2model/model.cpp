#include "ec2model/model.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "ec2model/catalog.hpp"
#include "ec2model/ids.hpp"

namespace ec2model {

std::string name_of(State state) {
  switch (state) {
    case State::pending: return "pending";
    case State::running: return "running";
    case State::shutting_down: return "shutting-down";
    case State::terminated: return "terminated";
    case State::stopping: return "stopping";
    case State::stopped: return "stopped";
  }
  return {};
}

int code_of(State state) {
  switch (state) {
    case State::pending: return 0;
    case State::running: return 16;
    case State::shutting_down: return 32;
    case State::terminated: return 48;
    case State::stopping: return 64;
    case State::stopped: return 80;
  }
  return 0;
}

Model::Model(World world, std::uint64_t seed)
    : world_(std::move(world)), random_(seed * 2 + 0x9e3779b97f4a7c15ULL) {}

std::string Model::random_id(const std::string& prefix, int digits) {
  std::string out = prefix;
  for (int i = 0; i < digits; ++i) {
    // SplitMix64.
    random_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = random_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    out += "0123456789abcdef"[(z ^ (z >> 31)) & 15];
  }
  return out;
}

Answer<void> Model::permit(const std::string& action) const {
  for (const std::string& pattern : world_.denied_actions) {
    if (!matches_wildcard(pattern, action)) continue;
    return refuse("UnauthorizedOperation",
                  fmt::format("You are not authorized to perform this operation. User: {} is not "
                              "authorized to perform: ec2:{} on resource: arn:aws:ec2:{}:{}:* "
                              "because no identity-based policy allows the ec2:{} action",
                              world_.user_arn, action, world_.region, world_.account, action),
                  403);
  }
  return {};
}

Answer<void> Model::throttle(const std::string& action, bool is_unfiltered, TimePoint now) {
  if (!world_.throttles) return {};
  // EC2 developer guide, "Request throttling": request bucket sizes and refill rates.
  double size = 50;
  double refill = 5;
  if (action == "RunInstances") {
    size = 5;
    refill = 2;
  } else if (action == "TerminateInstances") {
    size = 100;
  } else if (action == "CreateTags") {
    size = 100;
    refill = 10;
  } else if (action.starts_with("Describe") || action.starts_with("Get")) {
    size = is_unfiltered ? 50 : 100;
    refill = is_unfiltered ? 10 : 20;
  }
  const std::string key = is_unfiltered ? action + " unfiltered" : action;
  if (buckets_.emplace(key, TokenBucket(size, refill)).first->second.take(1, now)) return {};
  return refuse("RequestLimitExceeded", "Request limit exceeded.", 503);
}

const Instance* Model::find(const std::string& id) const {
  const auto found = instances_.find(id);
  return found == instances_.end() ? nullptr : &found->second;
}

const Instance* Model::find_by_address(const std::string& private_address) const {
  const auto found = by_address_.find(private_address);
  return found == by_address_.end() ? nullptr : find(found->second);
}

const Image* Model::find_image(const std::string& id) const {
  const auto found = std::find_if(world_.images.begin(), world_.images.end(),
                                  [&](const Image& image) { return image.id == id; });
  return found == world_.images.end() ? nullptr : &*found;
}

int Model::free_address_count(const Subnet& subnet) const {
  const auto first = addresses_.lower_bound(subnet.first_address);
  const auto last = addresses_.lower_bound(subnet.first_address + subnet.address_count);
  return static_cast<int>(subnet.address_count) - static_cast<int>(std::distance(first, last));
}

const Tags& Model::tags_of(const std::string& resource) const {
  static const Tags none;
  if (const Instance* instance = find(resource)) return instance->tags;
  const auto found = tags_.find(resource);
  return found == tags_.end() ? none : found->second;
}

std::vector<Effect> Model::take_effects() {
  std::vector<Effect> taken(effects_.begin(), effects_.end());
  effects_.clear();
  return taken;
}

void Model::machine_running(const std::string& id) {
  const auto found = instances_.find(id);
  if (found == instances_.end() || found->second.state != State::pending) return;
  found->second.state = State::running;
  found->second.state_reason_code.clear();
  found->second.state_reason.clear();
}

void Model::end(Instance& instance, const std::string& code, const std::string& text,
                TimePoint now) {
  instance.state_reason_code = code;
  instance.state_reason = text;
  ledger_.end_machine(instance.id, now, code);
}

void Model::machine_gone(const std::string& id, bool is_shutdown, TimePoint now) {
  const auto found = instances_.find(id);
  if (found == instances_.end() || found->second.state == State::terminated) return;
  Instance& instance = found->second;
  if (is_shutdown && !instance.terminates_on_shutdown && instance.state == State::running) {
    // The default of InstanceInitiatedShutdownBehavior: it goes on to cost its disk.
    instance.state = State::stopped;
    instance.state_reason_code = "Client.InstanceInitiatedShutdown";
    instance.state_reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown";
    instance.transition_reason = "User initiated shutdown";
    return;
  }
  if (instance.state != State::shutting_down) {
    if (is_shutdown) {
      end(instance, "Client.InstanceInitiatedShutdown",
          "Client.InstanceInitiatedShutdown: Instance initiated shutdown", now);
    } else {
      end(instance, "Server.InternalError",
          "Server.InternalError: Internal error on launch or while running", now);
    }
    instance.transition_reason = "User initiated shutdown";
  }
  release(instance, now);
}

void Model::release(Instance& instance, TimePoint now) {
  instance.state = State::terminated;
  instance.ended_at = now;
  if (const auto address = parse_address(instance.private_address)) addresses_.erase(*address);
  if (const auto address = parse_address(instance.public_address)) addresses_.erase(*address);
  by_address_.erase(instance.private_address);
}

void Model::simulator_stops(TimePoint now) {
  for (auto& [id, instance] : instances_) {
    if (instance.state == State::terminated) continue;
    if (instance.state != State::shutting_down) {
      end(instance, kSimulatorStopped, "The simulator stopped", now);
    }
    instance.state = State::terminated;
  }
}

Answer<std::vector<StateChange>> Model::terminate_instances(const std::vector<std::string>& ids,
                                                            const Gate& gate, TimePoint now) {
  if (ids.empty()) return refuse("InvalidParameterCombination", "No instances specified");
  if (auto known =
          check_instance_ids(ids, [&](const std::string& id) { return find(id) != nullptr; });
      !known) {
    return tl::unexpected<Ec2Error>(known.error());
  }
  if (!gate.permission) return tl::unexpected<Ec2Error>(gate.permission.error());
  if (gate.is_dry_run) return dry_run_refusal();
  if (!gate.bucket) return tl::unexpected<Ec2Error>(gate.bucket.error());
  // One protected machine keeps all machines of its zone (API reference, TerminateInstances).
  std::set<std::string> kept_zones;
  std::string kept;
  for (const std::string& id : ids) {
    const Instance& instance = instances_.at(id);
    if (!instance.is_termination_protected || instance.state == State::terminated) continue;
    kept_zones.insert(instance.zone);
    if (kept.empty()) kept = id;
  }
  std::vector<StateChange> changes;
  for (const std::string& id : ids) {
    Instance& instance = instances_.at(id);
    if (kept_zones.contains(instance.zone)) continue;
    const State before = instance.state;
    if (before == State::stopped) {
      end(instance, "Client.UserInitiatedShutdown",
          "Client.UserInitiatedShutdown: User initiated shutdown", now);
      release(instance, now);
    } else if (before != State::terminated && before != State::shutting_down) {
      instance.state = State::shutting_down;
      instance.transition_reason = "User initiated (" + muster::format_iso8601(now) + ")";
      end(instance, "Client.UserInitiatedShutdown",
          "Client.UserInitiatedShutdown: User initiated shutdown", now);
      effects_.push_back({Effect::Kind::kill_machine, id});
    }
    changes.push_back({id, before, instance.state});
  }
  if (!kept.empty()) {
    return refuse("OperationNotPermitted",
                  fmt::format("The instance '{}' may not be terminated. Modify its "
                              "'disableApiTermination' instance attribute and try again.",
                              kept));
  }
  return changes;
}

Answer<void> Model::create_tags(const std::vector<std::string>& resources, const Tags& tags,
                                const Gate& gate) {
  if (auto fine = check_tag_keys(tags); !fine) return fine;
  for (const std::string& id : resources) {
    const std::string prefix = id.substr(0, id.find('-'));
    const bool is_known =
        prefix == "i"     ? find(id) != nullptr
        : prefix == "ami" ? find_image(id) != nullptr
                          : tags_.contains(id) ||
                                std::any_of(world_.subnets.begin(), world_.subnets.end(),
                                            [&](const Subnet& one) { return one.id == id; }) ||
                                std::any_of(world_.groups.begin(), world_.groups.end(),
                                            [&](const SecurityGroup& one) { return one.id == id; });
    if (!is_known) {
      if (prefix == "i") {
        auto known = check_instance_ids({id}, [](const std::string&) { return false; });
        return tl::unexpected<Ec2Error>(known.error());
      }
      return refuse("InvalidID", fmt::format("The ID '{}' is not valid", id));
    }
    Tags merged = tags_of(id);
    for (const auto& [key, value] : tags) merged[key] = value;
    if (merged.size() > kTagsMax) {
      return refuse("TagLimitExceeded",
                    "The maximum number of Tags for a resource has been reached.");
    }
    const Instance* instance = find(id);
    if (instance != nullptr && instance->metadata.shows_tags) {
      if (auto fine = check_metadata_tag_keys(tags); !fine) return fine;
    }
  }
  if (!gate.permission) return tl::unexpected<Ec2Error>(gate.permission.error());
  if (gate.is_dry_run) return dry_run_refusal();
  if (!gate.bucket) return tl::unexpected<Ec2Error>(gate.bucket.error());
  for (const std::string& id : resources) {
    const auto found = instances_.find(id);
    Tags& to = found != instances_.end() ? found->second.tags : tags_[id];
    for (const auto& [key, value] : tags) to[key] = value;
  }
  return {};
}

}  // namespace ec2model
