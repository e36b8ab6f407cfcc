#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

/// The order in which a strategy tries candidates.
std::vector<std::size_t> order_of(const FleetRequest& request, const std::string& strategy,
                                  const std::vector<long>& prices) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < request.candidates.size(); ++i) order.push_back(i);
  const bool by_priority =
      strategy == "prioritized" || strategy == "capacity-optimized-prioritized";
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (by_priority) {
      const double first = request.candidates[a].priority.value_or(1e9);
      const double second = request.candidates[b].priority.value_or(1e9);
      if (first != second) return first < second;
    }
    return prices[a] != prices[b] ? prices[a] < prices[b] : a < b;
  });
  return order;
}

/// A price limit is one of the spot market.
LaunchRequest for_market(LaunchRequest request, bool is_spot) {
  request.is_spot = is_spot;
  if (!is_spot) {
    request.max_price_text.clear();
    request.max_price_usd_micros.reset();
  }
  return request;
}

}  // namespace

/// Why fewer machines fit than were asked for.
Ec2Error Model::shortage(const LaunchRequest& request, const Place& place) const {
  if (free_address_count(*place.subnet) < request.max_count) {
    return {"InsufficientFreeAddressesInSubnet", 400,
            fmt::format("There are not enough free addresses in subnet '{}' to satisfy the "
                        "requested number of instances.",
                        place.subnet->id)};
  }
  if (request.is_spot) {
    return {"MaxSpotInstanceCountExceeded", 400, "Max spot instance count exceeded"};
  }
  return {"VcpuLimitExceeded", 400,
          fmt::format("You have requested more vCPU capacity than your current vCPU limit of {} "
                      "allows for the instance bucket that the specified instance type belongs to.",
                      world_.vcpu_quota)};
}

Answer<FleetAnswer> Model::create_fleet(const FleetRequest& request, const Gate& gate,
                                        TimePoint now) {
  if (auto fine = check_tag_keys(request.fleet_tags); !fine) return again(fine);
  if (!gate.permission) return again(gate.permission);
  if (gate.is_dry_run) return dry_run_refusal();
  const auto before = fleet_replays_.find(request.client_token);
  if (!request.client_token.empty() && before != fleet_replays_.end()) {
    if (fingerprints_["CreateFleet " + request.client_token] != request.fingerprint) {
      return refuse("IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in "
                    "previous request(s).");
    }
    return before->second;
  }
  if (!gate.bucket) return again(gate.bucket);

  FleetAnswer answer;
  answer.id = random_id("fleet-", 32);
  for (const std::size_t at : {14U, 19U, 24U, 29U}) answer.id.insert(at, "-");
  Fleet fleet{answer.id, {}, false};
  const auto launch_market = [&](bool is_spot, int wanted, int minimum) {
    std::vector<long> prices;
    std::vector<Answer<Place>> places;
    for (const FleetRequest::Candidate& candidate : request.candidates) {
      LaunchRequest one = for_market(candidate.launch, is_spot);
      one.min_count = one.max_count = 1;
      places.push_back(check_launch(one));
      const InstanceType* type = find_type(one.instance_type);
      long price = 0;
      if (type != nullptr && places.back()) {
        price = is_spot ? spot_price(*type, places.back()->subnet->zone, now)
                        : type->on_demand_usd_micros;
        price = std::lround(static_cast<double>(price) / candidate.weight);
      }
      prices.push_back(price);
    }
    double missing = wanted;
    const auto order =
        order_of(request, is_spot ? request.spot_strategy : request.on_demand_strategy, prices);
    std::string only_type;
    std::string only_zone;
    for (const std::size_t index : order) {
      if (missing <= 0) break;
      const FleetRequest::Candidate& candidate = request.candidates[index];
      const Answer<Place>& place = places[index];
      if (!place) {
        answer.failures.push_back({index, is_spot, place.error()});
        continue;
      }
      const std::string& zone = place->subnet->zone;
      if (request.is_single_type && !only_type.empty() &&
          only_type != candidate.launch.instance_type)
        continue;
      if (request.is_single_zone && !only_zone.empty() && only_zone != zone) continue;
      LaunchRequest one = for_market(candidate.launch, is_spot);
      one.max_count = static_cast<int>(std::ceil(missing / candidate.weight));
      one.min_count =
          minimum > 0 ? std::max(1, static_cast<int>(std::ceil(minimum / candidate.weight))) : 1;
      one.min_count = std::min(one.min_count, one.max_count);
      // CreateFleet has no documented resource bucket.
      const Answer<int> room = count_with_room(one, *place, false, now);
      if (!room) {
        answer.failures.push_back({index, is_spot, room.error()});
        continue;
      }
      if (*room < one.max_count) answer.failures.push_back({index, is_spot, shortage(one, *place)});
      const Answer<Reservation> made = launch(one, *place, *room, now);
      if (!made) {
        answer.failures.push_back({index, is_spot, made.error()});
        continue;
      }
      FleetAnswer::Group group{index, is_spot, {}};
      for (const Instance* instance : made->instances) {
        group.instances.push_back(instance->id);
        fleet.instances.push_back(instance->id);
      }
      missing -= candidate.weight * static_cast<double>(group.instances.size());
      answer.groups.push_back(std::move(group));
      only_type = candidate.launch.instance_type;
      only_zone = zone;
    }
  };
  launch_market(false, request.on_demand_count, request.min_on_demand);
  launch_market(true, request.spot_count, request.min_spot);
  if (!request.fleet_tags.empty()) tags_[answer.id] = request.fleet_tags;
  for (const std::string& id : fleet.instances) {
    instances_.at(id).tags["aws:ec2:fleet-id"] = answer.id;
  }
  fleets_[answer.id] = std::move(fleet);
  if (!request.client_token.empty()) {
    fleet_replays_[request.client_token] = answer;
    fingerprints_["CreateFleet " + request.client_token] = request.fingerprint;
  }
  return answer;
}

Answer<std::vector<std::string>> Model::delete_fleets(const std::vector<std::string>& ids,
                                                      bool terminates_instances,
                                                      std::vector<std::string>& unknown,
                                                      const Gate& gate, TimePoint now) {
  // API reference, DeleteFleets: an instant fleet can only be deleted with its instances.
  if (!terminates_instances) {
    return refuse("UnsupportedOperation",
                  "An instant fleet cannot be deleted without terminating its instances.");
  }
  if (auto open = gate.pass(); !open) return again(open);
  std::vector<std::string> deleted;
  for (const std::string& id : ids) {
    const auto found = fleets_.find(id);
    if (found == fleets_.end()) {
      unknown.push_back(id);
      continue;
    }
    found->second.is_deleted = true;
    for (const std::string& machine : found->second.instances) {
      Instance& instance = instances_.at(machine);
      if (instance.state == State::terminated || instance.state == State::shutting_down) continue;
      begin_termination(instance, "Client.UserInitiatedShutdown",
                        "Client.UserInitiatedShutdown: User initiated shutdown", now);
      close_spot_request(instance, "instance-terminated-by-user", now);
    }
    deleted.push_back(id);
  }
  advance(now);
  return deleted;
}

}  // namespace ec2model
