#include <fmt/format.h>

#include <algorithm>

#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

constexpr std::chrono::hours kPriceStep{6};

/// A price between 0.9 and 1.1 of the type's usual one, the same for the same offering and step.
long price_in_step(const InstanceType& type, const std::string& zone, long long step) {
  std::uint64_t hash = 1469598103934665603ULL;
  const std::string text = fmt::format("{}/{}/{}", type.name, zone, step);
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  const long tenth_percent = static_cast<long>(hash % 201) - 100;
  return type.spot_usd_micros + type.spot_usd_micros * tenth_percent / 1000;
}

long long step_of(TimePoint at) {
  return std::chrono::floor<std::chrono::hours>(at).time_since_epoch().count() / kPriceStep.count();
}

}  // namespace

long Model::spot_price(const InstanceType& type, const std::string& zone, TimePoint now) const {
  return price_in_step(type, zone, step_of(now));
}

std::vector<SpotPrice> Model::spot_prices(TimePoint from, TimePoint to) const {
  std::vector<SpotPrice> found;
  // EC2 keeps 90 days.
  const long long last = step_of(to);
  const long long first = std::max(step_of(from), last - 4 * 90);
  for (long long step = last; step >= first; --step) {
    for (const InstanceType& type : all_types()) {
      for (const std::string& zone : world_.zones) {
        if (!is_offered(type, zone)) continue;
        found.push_back({std::string(type.name), zone, world_.zone_id(zone),
                         price_in_step(type, zone, step),
                         TimePoint{std::chrono::hours{step * kPriceStep.count()}}});
      }
    }
  }
  return found;
}

const SpotRequest* Model::find_spot_request(const std::string& id) const {
  const auto found = spot_requests_.find(id);
  return found == spot_requests_.end() ? nullptr : &found->second;
}

void Model::close_spot_request(const Instance& instance, const std::string& code, TimePoint now) {
  const auto found = spot_requests_.find(instance.spot_request);
  if (found == spot_requests_.end()) return;
  SpotRequest& request = found->second;
  request.status_code = code;
  request.status = code;
  request.updated_at = now;
  if (request.state != "active") return;
  if (code == "instance-stopped-no-capacity") return;
  if (!request.is_persistent) {
    request.state = "closed";
    return;
  }
  // A persistent request that nobody cancelled asks for the next machine (EC2 user guide, "Spot
  // request states").
  request.state = "open";
  may_have_open_spot_ = true;
  request.instance.clear();
  fulfil(request, now);
}

void Model::fulfil(SpotRequest& request, TimePoint now) {
  LaunchRequest wanted = request.launch;
  wanted.is_spot = true;
  wanted.min_count = 1;
  wanted.max_count = 1;
  wanted.client_token.clear();
  const Answer<Place> place = check_launch(wanted);
  const Answer<int> room = place ? count_with_room(wanted, *place, false, now)
                                 : Answer<int>(tl::unexpected<Ec2Error>(place.error()));
  if (!room) {
    const std::string& why = room.error().code;
    request.status_code = why == "SpotMaxPriceTooLow"             ? "price-too-low"
                          : why == "InsufficientInstanceCapacity" ? "capacity-not-available"
                                                                  : "bad-parameters";
    request.status = room.error().message;
    if (request.status_code == "bad-parameters") request.state = "failed";
    request.updated_at = now;
    return;
  }
  Answer<Reservation> made = launch(wanted, *place, 1, now);
  if (!made || made->instances.empty()) return;
  Instance& instance = instances_.at(made->instances.front()->id);
  // The launch made a request of its own; this machine belongs to the one that asked.
  spot_requests_.erase(instance.spot_request);
  tags_.erase(instance.spot_request);
  instance.spot_request = request.id;
  request.instance = instance.id;
  request.zone = instance.zone;
  request.state = "active";
  request.status_code = "fulfilled";
  request.status = "Your Spot request is fulfilled.";
  request.updated_at = now;
}

void Model::retry_spot_requests(TimePoint now) {
  constexpr std::chrono::seconds kOften{1};
  if (is_retrying_ || now - spot_retried_at_ < kOften) return;
  spot_retried_at_ = now;
  if (!may_have_open_spot_) return;
  is_retrying_ = true;
  std::vector<std::string> open;
  for (const auto& [id, request] : spot_requests_) {
    if (request.state == "open" && request.instance.empty()) open.push_back(id);
  }
  may_have_open_spot_ = !open.empty();
  for (const std::string& id : open) fulfil(spot_requests_.at(id), now);
  is_retrying_ = false;
}

Answer<std::vector<SpotRequest>> Model::request_spot(const LaunchRequest& request, const Tags& tags,
                                                     const Gate& gate, TimePoint now) {
  LaunchRequest wanted = request;
  wanted.is_spot = true;
  const int count = request.max_count;
  wanted.min_count = 1;
  wanted.max_count = 1;
  if (count < 1) {
    return refuse("InvalidParameterValue",
                  fmt::format("Invalid value '{}' for InstanceCount.", count));
  }
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  if (const auto place = check_launch(wanted); !place) return again(place);
  const std::string token = "RequestSpotInstances " + request.client_token;
  if (!gate.permission) return again(gate.permission);
  if (gate.is_dry_run) return dry_run_refusal();
  std::vector<SpotRequest> made;
  const auto before = replays_.find(token);
  if (!request.client_token.empty() && before != replays_.end()) {
    if (before->second.fingerprint != request.fingerprint) {
      return refuse("IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in "
                    "previous request(s).");
    }
    for (const std::string& id : before->second.instances) made.push_back(spot_requests_.at(id));
    return made;
  }
  if (!gate.bucket) return again(gate.bucket);
  Replay replay{request.fingerprint, "", {}};
  for (int i = 0; i < count; ++i) {
    SpotRequest one;
    one.id = random_id("sir-", 8);
    one.created_at = now;
    one.updated_at = now;
    one.price = request.max_price_text;
    one.is_persistent = request.is_persistent;
    one.behaviour = request.interruption_behaviour;
    one.launch = wanted;
    one.zone = wanted.zone;
    if (!tags.empty()) tags_[one.id] = tags;
    const std::string id = one.id;
    spot_requests_.emplace(id, std::move(one));
    may_have_open_spot_ = true;
    replay.instances.push_back(id);
  }
  for (const std::string& id : replay.instances) made.push_back(spot_requests_.at(id));
  if (!request.client_token.empty()) replays_[token] = replay;
  for (const std::string& id : replay.instances) fulfil(spot_requests_.at(id), now);
  return made;
}

Answer<std::vector<const SpotRequest*>> Model::cancel_spot(const std::vector<std::string>& ids,
                                                           const Gate& gate, TimePoint now) {
  for (const std::string& id : ids) {
    if (find_spot_request(id) == nullptr) {
      return refuse("InvalidSpotInstanceRequestID.NotFound",
                    fmt::format("The spot instance request ID '{}' does not exist", id));
    }
  }
  if (auto open = gate.pass(); !open) return again(open);
  std::vector<const SpotRequest*> cancelled;
  for (const std::string& id : ids) {
    SpotRequest& request = spot_requests_.at(id);
    if (request.state == "open" || request.state == "active") {
      const auto instance = instances_.find(request.instance);
      const bool runs = instance != instances_.end() && instance->second.state != State::terminated;
      const bool is_stopped =
          instance != instances_.end() && instance->second.state == State::stopped;
      request.state = "cancelled";
      request.status_code =
          runs ? "request-canceled-and-instance-running" : "canceled-before-fulfillment";
      request.status = request.status_code;
      request.updated_at = now;
      if (is_stopped) {
        begin_termination(instance->second, "Server.SpotInstanceTermination",
                          "Server.SpotInstanceTermination: Spot instance termination", now);
        advance(now);
      }
    }
    cancelled.push_back(&request);
  }
  return cancelled;
}

}  // namespace ec2model
