#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

/// EC2 needs a minute or two until the agent in the machine is ready; here it is shorter.
constexpr std::chrono::seconds kHibernationAgentTime{2};

constexpr const char* kByUser = "Client.UserInitiatedShutdown";
constexpr const char* kByUserText = "Client.UserInitiatedShutdown: User initiated shutdown";

}  // namespace

Answer<void> Gate::pass() const {
  if (!permission) return permission;
  if (is_dry_run) return dry_run_refusal();
  return bucket;
}

Answer<void> Model::check_instances(const std::vector<std::string>& ids) const {
  return check_instance_ids(ids, [&](const std::string& id) { return find(id) != nullptr; });
}

TokenBucket& Model::resource_bucket(const std::string& action) {
  // EC2 developer guide, "Request throttling": resource buckets, one token an instance.
  const double refill = action == "RunInstances" || action == "StartInstances" ? 2 : 20;
  return buckets_.emplace(action + " resources", TokenBucket(1000, refill)).first->second;
}

long Model::vcpus_in_use(bool is_spot) const { return vcpus_used_[is_spot ? 1 : 0]; }

void Model::set_state(Instance& instance, State state, TimePoint now) {
  const auto counts = [](State one) { return one == State::pending || one == State::running; };
  const long vcpus = find_type(instance.instance_type)->vcpu_count;
  const int market = instance.spot_request.empty() ? 0 : 1;
  if (counts(instance.state) && !counts(state)) vcpus_used_[market] -= vcpus;
  if (!counts(instance.state) && counts(state)) vcpus_used_[market] += vcpus;
  instance.state_before = instance.state;
  instance.state = state;
  instance.changed_at = now;
}

void Model::schedule(Due::Kind kind, const std::string& id, TimePoint at) {
  due_.emplace(at, Due{kind, id});
}

std::optional<TimePoint> Model::next_due() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

void Model::advance(TimePoint now) {
  retry_spot_requests(now);
  forget_terminated(now);
  while (!due_.empty() && due_.begin()->first <= now) {
    const Due due = due_.begin()->second;
    due_.erase(due_.begin());
    carry_out(due, now);
  }
}

/// Listings leave out what ended over an hour ago: it need not be looked at each time.
void Model::forget_terminated(TimePoint now) {
  if (now - forgotten_at_ < std::chrono::minutes{10}) return;
  forgotten_at_ = now;
  std::erase_if(order_, [&](const Instance* instance) {
    return instance->state == State::terminated &&
           now - instance->ended_at >= std::chrono::hours{1};
  });
}

void Model::carry_out(const Due& due, TimePoint now) {
  const auto found = instances_.find(due.instance);
  if (found == instances_.end()) return;
  Instance& instance = found->second;
  switch (due.kind) {
    case Due::Kind::start:
      if (instance.state != State::pending) return;
      if (instance.hangs) {
        machine_running(instance.id, now);
      } else {
        effects_.push_back({Effect::Kind::start_machine, instance.id});
      }
      return;
    case Due::Kind::running: machine_running(instance.id, now); return;
    case Due::Kind::stopped:
      if (instance.state != State::stopping) return;
      set_state(instance, State::stopped, now);
      ledger_.stop_machine(instance.id, now);
      ledger_changes_.push_back(instance.id);
      return;
    case Due::Kind::terminated:
      if (instance.state == State::shutting_down) release(instance, now);
      return;
    case Due::Kind::interrupted: {
      if (instance.state != State::running || !instance.interruption) return;
      const bool ends = instance.interruption->action == "terminate";
      instance.interruption.reset();
      if (ends) {
        begin_termination(instance, "Server.SpotInstanceTermination",
                          "Server.SpotInstanceTermination: Spot instance termination", now);
        close_spot_request(instance, "instance-terminated-no-capacity", now);
      } else {
        begin_stop(instance, "Server.SpotInstanceShutdown",
                   "Server.SpotInstanceShutdown: Spot instance shutdown", now);
        close_spot_request(instance, "instance-stopped-no-capacity", now);
      }
      return;
    }
  }
}

std::vector<Effect> Model::take_effects() {
  std::vector<Effect> taken(effects_.begin(), effects_.end());
  effects_.clear();
  return taken;
}

std::vector<std::string> Model::take_strikes() {
  for (const std::string& fault : strikes_) ledger_.add_fault(fault);
  return std::exchange(strikes_, {});
}

std::vector<std::string> Model::take_ledger_changes() { return std::exchange(ledger_changes_, {}); }

void Model::machine_running(const std::string& id, TimePoint now) {
  const auto found = instances_.find(id);
  if (found == instances_.end() || found->second.state != State::pending) return;
  set_state(found->second, State::running, now);
  found->second.state_reason_code.clear();
  found->second.state_reason.clear();
}

void Model::end(Instance& instance, const std::string& code, const std::string& text,
                TimePoint now) {
  instance.state_reason_code = code;
  instance.state_reason = text;
  ledger_.end_machine(instance.id, now, code);
  ledger_changes_.push_back(instance.id);
}

void Model::machine_gone(const std::string& id, bool is_shutdown, TimePoint now) {
  const auto found = instances_.find(id);
  if (found == instances_.end()) return;
  Instance& instance = found->second;
  if (instance.state == State::terminated || instance.state == State::stopped) return;
  if (instance.state == State::stopping) {
    schedule(Due::Kind::stopped, id, now + world_.durations.stopping.at(chance()));
    return advance(now);
  }
  if (instance.state == State::shutting_down) {
    schedule(Due::Kind::terminated, id, now + world_.durations.shutting_down.at(chance()));
    return advance(now);
  }
  if (is_shutdown && !instance.terminates_on_shutdown) {
    // The default of InstanceInitiatedShutdownBehavior: it goes on to cost its disk.
    instance.state_reason_code = "Client.InstanceInitiatedShutdown";
    instance.state_reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown";
    instance.transition_reason = "User initiated shutdown";
    drop_public_address(instance);
    set_state(instance, State::stopping, now);
    schedule(Due::Kind::stopped, id, now);
    return advance(now);
  }
  if (is_shutdown) {
    end(instance, "Client.InstanceInitiatedShutdown",
        "Client.InstanceInitiatedShutdown: Instance initiated shutdown", now);
  } else {
    end(instance, "Server.InternalError",
        "Server.InternalError: Internal error on launch or while running", now);
  }
  instance.transition_reason = "User initiated shutdown";
  close_spot_request(instance, "instance-terminated-by-user", now);
  release(instance, now);
}

/// Given back once, and gone from the machine and its interface at the same moment.
void Model::drop_public_address(Instance& instance) {
  if (const auto address = parse_address(instance.public_address)) addresses_.erase(*address);
  instance.public_address.clear();
  const auto interface = interfaces_.find(instance.interface_id);
  if (interface != interfaces_.end()) interface->second.public_address.clear();
}

void Model::release(Instance& instance, TimePoint now) {
  set_state(instance, State::terminated, now);
  instance.ended_at = now;
  addresses_.erase(instance.address);
  drop_public_address(instance);
  by_address_.erase(instance.private_address);
  for (const std::string& id : instance.volumes) {
    const auto volume = volumes_.find(id);
    if (volume == volumes_.end()) continue;
    if (volume->second.deletes_on_termination) {
      tags_.erase(id);
      volumes_.erase(volume);
    } else {
      volume->second.instance.clear();
    }
  }
  const auto interface = interfaces_.find(instance.interface_id);
  if (interface == interfaces_.end()) return;
  if (interface->second.deletes_on_termination) {
    tags_.erase(interface->first);
    interfaces_.erase(interface);
  } else {
    interface->second.instance.clear();
    interface->second.public_address.clear();
    addresses_.insert(instance.address);  // The interface keeps it.
  }
}

void Model::simulator_stops(TimePoint now) {
  for (auto& [id, instance] : instances_) {
    if (instance.state == State::terminated) continue;
    if (instance.state != State::shutting_down) {
      end(instance, kSimulatorStopped, "The simulator stopped", now);
    }
    instance.state = State::terminated;
  }
  due_.clear();
}

void Model::begin_termination(Instance& instance, const std::string& code, const std::string& text,
                              TimePoint now) {
  const State before = instance.state;
  end(instance, code, text, now);
  instance.transition_reason = "User initiated (" + muster::format_iso8601(now) + ")";
  set_state(instance, State::shutting_down, now);
  // Stopped machines and those that never came up have nothing to kill.
  if (before == State::stopped || instance.hangs) {
    schedule(Due::Kind::terminated, instance.id, now);
    // A stopped machine's disk is still there.
    if (before == State::stopped) effects_.push_back({Effect::Kind::kill_machine, instance.id});
    return;
  }
  effects_.push_back({Effect::Kind::kill_machine, instance.id});
}

void Model::begin_stop(Instance& instance, const std::string& code, const std::string& text,
                       TimePoint now) {
  instance.state_reason_code = code;
  instance.state_reason = text;
  instance.transition_reason = "User initiated (" + muster::format_iso8601(now) + ")";
  drop_public_address(instance);
  const bool has_machine = !instance.hangs;
  set_state(instance, State::stopping, now);
  if (has_machine) {
    effects_.push_back({Effect::Kind::stop_machine, instance.id});
  } else {
    schedule(Due::Kind::stopped, instance.id, now);
  }
}

void Model::begin_start(Instance& instance, TimePoint now) {
  set_state(instance, State::pending, now);
  instance.state_reason_code = "pending";
  instance.state_reason = "pending";
  instance.transition_reason.clear();
  instance.launched_at = now;
  instance.hangs = false;
  if (instance.wants_public_address && instance.kind != MachineKind::process) {
    take_public_address(instance);
  }
  const auto interface = interfaces_.find(instance.interface_id);
  if (interface != interfaces_.end()) interface->second.public_address = instance.public_address;
  ledger_.start_machine(instance.id, now);
  ledger_changes_.push_back(instance.id);
  schedule(Due::Kind::start, instance.id, now + world_.durations.pending.at(chance()));
}

Answer<std::vector<StateChange>> Model::terminate_instances(const std::vector<std::string>& ids,
                                                            const Gate& gate, TimePoint now) {
  if (ids.empty()) return refuse("InvalidParameterCombination", "No instances specified");
  if (auto known = check_instances(ids); !known) return again(known);
  if (auto open = gate.pass(); !open) return again(open);
  // One protected machine keeps all machines of its zone (API reference, TerminateInstances).
  std::set<std::string> kept_zones;
  std::string kept;
  for (const std::string& id : ids) {
    const Instance& instance = instances_.at(id);
    if (!instance.is_termination_protected || instance.state == State::terminated) continue;
    kept_zones.insert(instance.zone);
    if (kept.empty()) kept = id;
  }
  const auto count = std::count_if(ids.begin(), ids.end(), [&](const std::string& id) {
    return !kept_zones.contains(instances_.at(id).zone);
  });
  const bool has_tokens =
      !world_.throttles || count == 0 ||
      resource_bucket("TerminateInstances").take(static_cast<double>(count), now);
  if (!has_tokens) return refuse("RequestLimitExceeded", "Request limit exceeded.", 503);
  std::vector<StateChange> changes;
  std::set<std::string> seen;
  for (const std::string& id : ids) {
    Instance& instance = instances_.at(id);
    if (kept_zones.contains(instance.zone) || !seen.insert(id).second) continue;
    const State before = instance.state;
    if (before != State::terminated && before != State::shutting_down) {
      begin_termination(instance, kByUser, kByUserText, now);
      close_spot_request(instance, "instance-terminated-by-user", now);
    }
    const State after = instance.state;
    if (before == State::stopped) advance(now);
    changes.push_back({id, before, after});
  }
  if (!kept.empty()) {
    return refuse("OperationNotPermitted",
                  fmt::format("The instance '{}' may not be terminated. Modify its "
                              "'disableApiTermination' instance attribute and try again.",
                              kept));
  }
  return changes;
}

Answer<std::vector<StateChange>> Model::stop_instances(const std::vector<std::string>& ids,
                                                       bool hibernates, bool is_forced,
                                                       const Gate& gate, TimePoint now) {
  static_cast<void>(is_forced);
  if (ids.empty()) return refuse("InvalidParameterCombination", "No instances specified");
  if (auto known = check_instances(ids); !known) return again(known);
  if (!gate.permission) return again(gate.permission);
  for (const std::string& id : ids) {
    const Instance& instance = instances_.at(id);
    const bool can = instance.state == State::running || instance.state == State::stopping ||
                     instance.state == State::stopped;
    if (!can) {
      return refuse(
          "IncorrectInstanceState",
          fmt::format("This instance '{}' is not in a state from which it can be stopped.", id));
    }
    const SpotRequest* spot = find_spot_request(instance.spot_request);
    if (spot != nullptr && !spot->is_persistent) {
      return refuse(
          "UnsupportedOperation",
          fmt::format("You can't stop the Spot Instance '{}' because it is associated with a "
                      "one-time Spot Instance request. You can only stop Spot Instances "
                      "associated with persistent Spot Instance requests.",
                      id));
    }
    if (instance.is_stop_protected) {
      return refuse("OperationNotPermitted",
                    fmt::format("The instance '{}' may not be stopped. Modify its 'disableApiStop' "
                                "instance attribute and try again.",
                                id));
    }
    if (hibernates && !instance.is_hibernation_configured) {
      return refuse("UnsupportedHibernationConfiguration",
                    fmt::format("The instance '{}' is not configured for hibernation.", id));
    }
    if (hibernates && instance.state == State::running &&
        now - instance.changed_at < kHibernationAgentTime) {
      return refuse("UnsupportedOperation",
                    fmt::format("The instance '{}' is not ready to hibernate yet. Try again in a "
                                "few minutes.",
                                id));
    }
  }
  if (gate.is_dry_run) return dry_run_refusal();
  if (!gate.bucket) return again(gate.bucket);
  if (world_.throttles &&
      !resource_bucket("StopInstances").take(static_cast<double>(ids.size()), now)) {
    return refuse("RequestLimitExceeded", "Request limit exceeded.", 503);
  }
  std::vector<StateChange> changes;
  for (const std::string& id : ids) {
    Instance& instance = instances_.at(id);
    const State before = instance.state;
    if (before == State::running) {
      const std::string code = hibernates ? "Client.UserInitiatedHibernate" : kByUser;
      begin_stop(
          instance, code,
          hibernates ? "Client.UserInitiatedHibernate: User initiated hibernate" : kByUserText,
          now);
    }
    changes.push_back({id, before, instance.state});
  }
  return changes;
}

Answer<std::vector<StateChange>> Model::start_instances(const std::vector<std::string>& ids,
                                                        const Gate& gate, TimePoint now) {
  if (ids.empty()) return refuse("InvalidParameterCombination", "No instances specified");
  if (auto known = check_instances(ids); !known) return again(known);
  if (!gate.permission) return again(gate.permission);
  long vcpus[2] = {0, 0};
  double starts = 0;
  for (const std::string& id : ids) {
    const Instance& instance = instances_.at(id);
    if (instance.state == State::running || instance.state == State::pending) continue;
    if (instance.state != State::stopped) {
      return refuse(
          "IncorrectInstanceState",
          fmt::format("The instance '{}' is not in a state from which it can be started.", id));
    }
    const SpotRequest* spot = find_spot_request(instance.spot_request);
    if (spot != nullptr && spot->status_code == "instance-stopped-no-capacity") {
      return refuse(
          "IncorrectSpotRequestState",
          fmt::format("The Spot Instance '{}' was stopped by EC2, which alone can start it.", id));
    }
    vcpus[instance.spot_request.empty() ? 0 : 1] += find_type(instance.instance_type)->vcpu_count;
    ++starts;
  }
  if (gate.is_dry_run) return dry_run_refusal();
  if (!gate.bucket) return again(gate.bucket);
  if (vcpus[1] > 0 && vcpus[1] + vcpus_used_[1] > world_.spot_vcpu_quota) {
    return refuse("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded");
  }
  if (vcpus[0] > 0 && vcpus[0] + vcpus_used_[0] > world_.vcpu_quota) {
    return refuse("VcpuLimitExceeded",
                  fmt::format("You have requested more vCPU capacity than your current vCPU limit "
                              "of {} allows for the instance bucket that the specified instance "
                              "type belongs to.",
                              world_.vcpu_quota));
  }
  for (const std::string& id : ids) {
    const Instance& instance = instances_.at(id);
    const bool is_spot = !instance.spot_request.empty();
    if (instance.state == State::stopped &&
        is_full(is_spot, instance.instance_type, instance.zone)) {
      strike("no_capacity");
      return tl::unexpected<Ec2Error>(no_capacity(is_spot, instance.instance_type, instance.zone));
    }
  }
  if (world_.throttles && !resource_bucket("StartInstances").take(starts, now)) {
    return refuse("RequestLimitExceeded", "Request limit exceeded.", 503);
  }
  std::vector<StateChange> changes;
  for (const std::string& id : ids) {
    Instance& instance = instances_.at(id);
    const State before = instance.state;
    if (before == State::stopped) begin_start(instance, now);
    changes.push_back({id, before, instance.state});
  }
  advance(now);
  return changes;
}

Answer<void> Model::reboot_instances(const std::vector<std::string>& ids, const Gate& gate) {
  if (ids.empty()) return refuse("InvalidParameterCombination", "No instances specified");
  if (auto known = check_instances(ids); !known) return known;
  for (const std::string& id : ids) {
    const State state = instances_.at(id).state;
    if (state != State::running && state != State::pending) {
      return refuse(
          "IncorrectState",
          fmt::format("The instance '{}' is not in a state from which it can be rebooted.", id));
    }
  }
  if (auto open = gate.pass(); !open) return open;
  for (const std::string& id : ids) {
    const Instance& instance = instances_.at(id);
    if (instance.state == State::running && !instance.hangs) {
      effects_.push_back({Effect::Kind::reboot_machine, id});
    }
  }
  return {};
}

Answer<void> Model::modify_instance(const std::string& id, const AttributeChange& change,
                                    const Gate& gate) {
  if (auto known = check_instances({id}); !known) return known;
  Instance& instance = instances_.at(id);
  if (change.user_data && change.user_data->size() > kUserDataBytesMax) {
    return refuse("InvalidParameterValue", "User data is limited to 16384 bytes");
  }
  if (change.instance_type) {
    const InstanceType* type = find_type(*change.instance_type);
    if (type == nullptr) {
      return refuse("InvalidInstanceAttributeValue",
                    fmt::format("Invalid value '{}' for InstanceType.", *change.instance_type));
    }
    if (type->architecture != instance.architecture) {
      return refuse(
          "InvalidParameterValue",
          fmt::format("The architecture '{}' of the specified instance type does not match "
                      "the architecture '{}' of the specified AMI. Specify an instance "
                      "type and an AMI that have matching architectures, and try again.",
                      type->architecture, instance.architecture));
    }
    if (!instance.spot_request.empty()) {
      return refuse("UnsupportedOperation",
                    fmt::format("You can't change the type of the Spot Instance '{}'.", id));
    }
  }
  for (const auto& [device, deletes] : change.deletes_on_termination) {
    const bool has =
        std::any_of(instance.volumes.begin(), instance.volumes.end(), [&](const std::string& one) {
          const Volume* volume = find_volume(one);
          return volume != nullptr && volume->device == device;
        });
    if (!has) {
      return refuse("InvalidInstanceAttributeValue",
                    fmt::format("No device is currently mapped at {}", device));
    }
  }
  if (change.groups) {
    for (const std::string& group : *change.groups) {
      if (!is_well_formed(group, "sg")) {
        return refuse("InvalidGroupId.Malformed", fmt::format("Invalid id: \"{}\"", group));
      }
      const SecurityGroup* found = find_group(group);
      if (found == nullptr || found->vpc != instance.vpc) {
        return refuse("InvalidGroup.NotFound",
                      fmt::format("The security group '{}' does not exist", group));
      }
    }
  }
  if (instance.state == State::terminated || instance.state == State::shutting_down) {
    return refuse(
        "IncorrectInstanceState",
        fmt::format("The instance '{}' is not in a state in which it can be modified.", id));
  }
  if ((change.instance_type || change.user_data) && instance.state != State::stopped) {
    return refuse("IncorrectInstanceState",
                  fmt::format("The instance '{}' is not in the 'stopped' state.", id));
  }
  if (auto open = gate.pass(); !open) return open;
  if (change.instance_type) instance.instance_type = *change.instance_type;
  if (change.user_data) instance.user_data = *change.user_data;
  if (change.terminates_on_shutdown)
    instance.terminates_on_shutdown = *change.terminates_on_shutdown;
  if (change.is_termination_protected)
    instance.is_termination_protected = *change.is_termination_protected;
  if (change.is_stop_protected) instance.is_stop_protected = *change.is_stop_protected;
  if (change.is_ebs_optimized) instance.is_ebs_optimized = *change.is_ebs_optimized;
  if (change.has_source_check) instance.has_source_check = *change.has_source_check;
  if (change.groups) {
    instance.groups = *change.groups;
    interfaces_.at(instance.interface_id).groups = *change.groups;
  }
  if (change.has_source_check) {
    interfaces_.at(instance.interface_id).has_source_check = *change.has_source_check;
  }
  for (const std::string& one : instance.volumes) {
    const auto volume = volumes_.find(one);
    if (volume == volumes_.end()) continue;
    const auto wanted = change.deletes_on_termination.find(volume->second.device);
    if (wanted != change.deletes_on_termination.end()) {
      volume->second.deletes_on_termination = wanted->second;
    }
  }
  return {};
}

Answer<const Instance*> Model::modify_metadata(const std::string& id,
                                               const MetadataOptions& options, const Gate& gate) {
  if (auto known = check_instances({id}); !known) return again(known);
  Instance& instance = instances_.at(id);
  if (instance.state == State::terminated || instance.state == State::shutting_down) {
    return refuse(
        "IncorrectInstanceState",
        fmt::format("The instance '{}' is not in a state in which it can be modified.", id));
  }
  if (options.shows_tags) {
    if (auto fine = check_metadata_tag_keys(instance.tags); !fine) return again(fine);
  }
  if (auto open = gate.pass(); !open) return again(open);
  instance.metadata = options;
  return &instance;
}

Answer<void> Model::interrupt(const std::string& id, const Interruption& interruption,
                              bool recommends_rebalance, TimePoint now) {
  if (auto known = check_instances({id}); !known) return known;
  Instance& instance = instances_.at(id);
  if (instance.spot_request.empty()) {
    return refuse("UnsupportedOperation",
                  fmt::format("The instance '{}' is no Spot Instance.", id));
  }
  if (instance.state != State::running) {
    return refuse("IncorrectInstanceState", fmt::format("The instance '{}' does not run.", id));
  }
  instance.interruption = interruption;
  if (recommends_rebalance) instance.rebalance_at = now;
  schedule(Due::Kind::interrupted, id, interruption.at);
  strike("interrupt");
  advance(now);
  return {};
}

}  // namespace ec2model
