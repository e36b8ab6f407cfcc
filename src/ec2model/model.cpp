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

std::uint64_t Model::next_random() const {
  // SplitMix64.
  random_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = random_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

double Model::chance() const { return static_cast<double>(next_random() >> 11) * 0x1.0p-53; }

std::string Model::random_id(const std::string& prefix, int digits) const {
  std::string out = prefix;
  for (int i = 0; i < digits; ++i) {
    out += "0123456789abcdef"[next_random() & 15];
  }
  return out;
}

Answer<void> Model::permit(const std::string& action, const std::string& caller_arn) const {
  for (const std::string& pattern : world_.denied_actions) {
    if (!matches_wildcard(pattern, action)) continue;
    return refuse("UnauthorizedOperation",
                  fmt::format("You are not authorized to perform this operation. User: {} is not "
                              "authorized to perform: ec2:{} on resource: arn:aws:ec2:{}:{}:* "
                              "because no identity-based policy allows the ec2:{} action",
                              caller_arn.empty() ? world_.user_arn : caller_arn, action,
                              world_.region, world_.account, action),
                  403);
  }
  return {};
}

Answer<void> Model::throttle(const std::string& action, bool is_unfiltered, TimePoint now) {
  if (!world_.throttles) return {};
  struct Rate {
    double size;
    double refill;
  };
  // EC2 developer guide, "Request throttling": request bucket sizes and refill rates.
  static const std::map<std::string_view, Rate> rates{
      {"RunInstances", {5, 2}},
      {"StartInstances", {5, 2}},
      {"TerminateInstances", {100, 5}},
      {"CreateTags", {100, 10}},
      {"DeleteTags", {100, 10}},
      {"CreateLaunchTemplateVersion", {100, 5}},
      {"ModifyLaunchTemplate", {100, 5}},
      {"ModifyInstanceMetadataOptions", {100, 5}},
      {"DeregisterImage", {100, 5}},
      {"DeleteVolume", {100, 5}},
      {"DeleteNetworkInterface", {100, 5}},
      {"CopyImage", {100, 1}},
  };
  Rate rate{50, 5};
  if (const auto found = rates.find(action); found != rates.end()) {
    rate = found->second;
  } else if (action.starts_with("Describe") || action.starts_with("Get")) {
    rate = is_unfiltered ? Rate{50, 10} : Rate{100, 20};
  }
  const std::string key = is_unfiltered ? action + " unfiltered" : action;
  if (buckets_.emplace(key, TokenBucket(rate.size, rate.refill)).first->second.take(1, now)) {
    return {};
  }
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

}  // namespace ec2model
