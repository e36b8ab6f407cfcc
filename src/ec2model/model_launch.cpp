#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.hpp"
#include "ec2model/catalog.hpp"
#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

std::string dollars(long micros) {
  return fmt::format("{:.4f}", static_cast<double>(micros) / 1e6);
}

Answer<void> check_form(const LaunchRequest& request) {
  if (request.min_count < 1 || request.max_count < 1 || request.max_count < request.min_count) {
    const int wrong = request.min_count < 1 ? request.min_count : request.max_count;
    return refuse("InvalidParameterValue",
                  fmt::format("Invalid value '{}' for {}.", wrong,
                              request.min_count < 1 ? "MinCount" : "MaxCount"));
  }
  if (!is_well_formed(request.image, "ami")) {
    return refuse("InvalidAMIID.Malformed",
                  fmt::format("Invalid id: \"{}\" (expecting \"ami-...\")", request.image));
  }
  if (find_type(request.instance_type) == nullptr) {
    return refuse("InvalidParameterValue",
                  fmt::format("Invalid value '{}' for InstanceType.", request.instance_type));
  }
  if (request.user_data.size() > 16384) {
    return refuse("InvalidParameterValue", "User data is limited to 16384 bytes");
  }
  if (request.client_token.size() > 64) {
    return refuse("InvalidParameterValue",
                  "Invalid value for ClientToken: at most 64 characters are allowed");
  }
  if (!request.private_address.empty() && !parse_address(request.private_address)) {
    return refuse("InvalidParameterValue",
                  fmt::format("Invalid value '{}' for PrivateIpAddress.", request.private_address));
  }
  return {};
}

Answer<void> check_combinations(const LaunchRequest& request) {
  if (!request.group_names.empty() && !request.subnet.empty()) {
    return refuse("InvalidParameterCombination",
                  "The parameter groupName cannot be used with the parameter subnet");
  }
  if (!request.private_address.empty() && request.max_count > 1) {
    return refuse("InvalidParameterCombination",
                  "A private IP address can be given to a single instance only");
  }
  if (!request.is_spot && !request.max_price_text.empty()) {
    return refuse("InvalidParameterCombination",
                  "SpotOptions may be given only with the market type spot");
  }
  return {};
}

}  // namespace

Answer<void> Model::check_known(const LaunchRequest& request) const {
  const Image* image = find_image(request.image);
  if (image == nullptr) {
    return refuse("InvalidAMIID.NotFound",
                  fmt::format("The image id '[{}]' does not exist", request.image));
  }
  const InstanceType& type = *find_type(request.instance_type);
  if (type.architecture != image->architecture) {
    return refuse("InvalidParameterValue",
                  fmt::format("The architecture '{}' of the specified instance type does not match "
                              "the architecture '{}' of the specified AMI. Specify an instance "
                              "type and an AMI that have matching architectures, and try again.",
                              type.architecture, image->architecture));
  }
  if (!request.key_name.empty()) {
    return refuse("InvalidKeyPair.NotFound",
                  fmt::format("The key pair '{}' does not exist", request.key_name));
  }
  return {};
}

Answer<Model::Place> Model::find_place(const LaunchRequest& request) const {
  Place place;
  if (!request.subnet.empty()) {
    for (const Subnet& subnet : world_.subnets) {
      if (subnet.id == request.subnet) place.subnet = &subnet;
    }
    if (place.subnet == nullptr) {
      return refuse("InvalidSubnetID.NotFound",
                    fmt::format("The subnet ID '{}' does not exist", request.subnet));
    }
  } else {
    if (world_.default_vpc.empty()) {
      return refuse("VPCIdNotSpecified", "No default VPC for this user");
    }
    // EC2's choice: the default subnet with the most room.
    for (const Subnet& subnet : world_.subnets) {
      if (!subnet.is_default) continue;
      if (!request.zone.empty() && subnet.zone != request.zone) continue;
      if (place.subnet == nullptr ||
          free_address_count(subnet) > free_address_count(*place.subnet)) {
        place.subnet = &subnet;
      }
    }
    if (place.subnet == nullptr) {
      return refuse("InvalidParameterValue",
                    fmt::format("Invalid availability zone: [{}]", request.zone));
    }
  }
  if (!request.zone.empty() && place.subnet->zone != request.zone) {
    return refuse("InvalidParameterCombination",
                  fmt::format("The subnet '{}' is not in the Availability Zone '{}'.",
                              place.subnet->id, request.zone));
  }
  const auto add = [&](const auto& is_it, const std::string& named) -> Answer<void> {
    const auto found = std::find_if(world_.groups.begin(), world_.groups.end(), is_it);
    if (found == world_.groups.end()) {
      return refuse("InvalidGroup.NotFound",
                    fmt::format("The security group '{}' does not exist", named));
    }
    if (found->vpc != place.subnet->vpc) {
      return refuse("InvalidParameter",
                    fmt::format("Security group {} and subnet {} belong to different networks.",
                                found->id, place.subnet->id));
    }
    place.groups.push_back(*found);
    return {};
  };
  for (const std::string& id : request.group_ids) {
    const auto added = add([&](const SecurityGroup& group) { return group.id == id; }, id);
    if (!added) return tl::unexpected<Ec2Error>(added.error());
  }
  for (const std::string& name : request.group_names) {
    const auto is_it = [&](const SecurityGroup& group) {
      return group.name == name && group.vpc == place.subnet->vpc;
    };
    const auto added = add(is_it, name);
    if (!added) return tl::unexpected<Ec2Error>(added.error());
  }
  if (place.groups.empty()) {
    const auto is_it = [&](const SecurityGroup& group) {
      return group.name == "default" && group.vpc == place.subnet->vpc;
    };
    const auto added = add(is_it, "default");
    if (!added) return tl::unexpected<Ec2Error>(added.error());
  }
  return place;
}

Answer<std::optional<InstanceProfile>> Model::find_profile(const LaunchRequest& request) const {
  if (request.profile_name.empty() && request.profile_arn.empty()) {
    return std::optional<InstanceProfile>();
  }
  for (const InstanceProfile& profile : world_.profiles) {
    const bool is_it = request.profile_arn.empty() ? profile.name == request.profile_name
                                                   : profile.arn == request.profile_arn;
    if (is_it) return std::optional<InstanceProfile>(profile);
  }
  const bool by_name = request.profile_arn.empty();
  return refuse("InvalidParameterValue",
                fmt::format("Value ({}) for parameter iamInstanceProfile.{} is invalid. Invalid "
                            "IAM Instance Profile {}",
                            by_name ? request.profile_name : request.profile_arn,
                            by_name ? "name" : "arn", by_name ? "name" : "ARN"));
}

Answer<void> Model::check_tags(const LaunchRequest& request) const {
  if (auto fine = check_tag_keys(request.instance_tags); !fine) return fine;
  if (auto fine = check_tag_keys(request.volume_tags); !fine) return fine;
  if (auto fine = check_tag_keys(request.other_tags); !fine) return fine;
  if (request.metadata.shows_tags) return check_metadata_tag_keys(request.instance_tags);
  return {};
}

bool Model::is_full(bool is_spot, const std::string& type, const std::string& zone) const {
  const std::string offering = fmt::format("{}/{}/{}", is_spot ? "spot" : "on-demand", type, zone);
  return std::any_of(
      world_.full_offerings.begin(), world_.full_offerings.end(),
      [&](const std::string& pattern) { return matches_wildcard(pattern, offering); });
}

Answer<int> Model::count_with_room(const LaunchRequest& request, const Place& place,
                                   TimePoint now) {
  const InstanceType& type = *find_type(request.instance_type);
  long used = 0;
  for (const auto& [id, instance] : instances_) {
    const bool counts = instance.state == State::pending || instance.state == State::running;
    if (counts && instance.spot_request.empty() != request.is_spot) {
      used += find_type(instance.instance_type)->vcpu_count;
    }
  }
  const long quota = request.is_spot ? world_.spot_vcpu_quota : world_.vcpu_quota;
  const long fits = std::max(0L, (quota - used) / type.vcpu_count);
  if (fits < request.min_count) {
    if (request.is_spot) {
      return refuse("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded");
    }
    return refuse("VcpuLimitExceeded",
                  fmt::format("You have requested more vCPU capacity than your current vCPU limit "
                              "of {} allows for the instance bucket that the specified instance "
                              "type belongs to. Please visit http://aws.amazon.com/contact-us/"
                              "ec2-request to request an adjustment to this limit.",
                              quota));
  }
  const int addresses = free_address_count(*place.subnet);
  if (addresses < request.min_count) {
    return refuse("InsufficientFreeAddressesInSubnet",
                  fmt::format("There are not enough free addresses in subnet '{}' to satisfy the "
                              "requested number of instances.",
                              place.subnet->id));
  }
  if (request.is_spot && request.max_price_usd_micros &&
      *request.max_price_usd_micros < type.spot_usd_micros) {
    return refuse("SpotMaxPriceTooLow",
                  fmt::format("Your Spot request price of {} is lower than the minimum required "
                              "Spot request fulfillment price of {}.",
                              request.max_price_text, dollars(type.spot_usd_micros)));
  }
  if (!is_full(request.is_spot, request.instance_type, place.subnet->zone)) {
    int count = static_cast<int>(std::min<long>({request.max_count, addresses, fits}));
    TokenBucket& tokens =
        buckets_.emplace("RunInstances resources", TokenBucket(1000, 2)).first->second;
    while (world_.throttles && count > request.min_count && !tokens.has(count, now)) --count;
    if (world_.throttles && !tokens.take(count, now)) {
      return refuse("RequestLimitExceeded", "Request limit exceeded.", 503);
    }
    return count;
  }
  if (request.is_spot) {
    return refuse("InsufficientInstanceCapacity",
                  "There is no Spot capacity available that matches your request.", 500);
  }
  std::vector<std::string> others;
  for (const std::string& zone : world_.zones) {
    if (zone != place.subnet->zone && !is_full(false, request.instance_type, zone)) {
      others.push_back(zone);
    }
  }
  return refuse(
      "InsufficientInstanceCapacity",
      fmt::format("We currently do not have sufficient {} capacity in the Availability Zone you "
                  "requested ({}). Our system will be working on provisioning additional capacity. "
                  "You can currently get {} capacity by not specifying an Availability Zone in "
                  "your request or choosing {}.",
                  request.instance_type, place.subnet->zone, request.instance_type,
                  fmt::join(others, ", ")),
      500);
}

Answer<std::optional<Reservation>> Model::replayed(const LaunchRequest& request,
                                                   const std::string& scope) const {
  const auto found = replays_.find(scope + " " + request.client_token);
  if (request.client_token.empty() || found == replays_.end()) return std::optional<Reservation>();
  const Replay& before = found->second;
  if (before.fingerprint != request.fingerprint) {
    return refuse("IdempotentParameterMismatch",
                  "Arguments on this idempotent request are inconsistent with arguments used in "
                  "previous request(s).");
  }
  Reservation reservation{before.reservation, {}};
  for (const std::string& id : before.instances) {
    const Instance* instance = find(id);
    if (instance == nullptr || instance->state == State::terminated ||
        instance->state == State::shutting_down) {
      return refuse("IdempotentInstanceTerminated",
                    "The client token you have provided is associated with a terminated instance. "
                    "Please use a different client token.");
    }
    reservation.instances.push_back(instance);
  }
  return std::optional<Reservation>(std::move(reservation));
}

Answer<unsigned> Model::pick_address(const Subnet& subnet, const std::string& asked) {
  if (const auto address = parse_address(asked)) {
    const bool is_inside =
        *address >= subnet.first_address && *address < subnet.first_address + subnet.address_count;
    if (!is_inside) {
      return refuse(
          "InvalidParameterValue",
          fmt::format("Address {} does not fall within the subnet's address range", asked));
    }
    if (addresses_.contains(*address)) {
      return refuse("InvalidIPAddress.InUse", fmt::format("Address {} is in use.", asked));
    }
    return *address;
  }
  // The next one after the last handed out, so that an address is not used again at once.
  for (unsigned i = 0; i < subnet.address_count; ++i) {
    const unsigned step = (static_cast<unsigned>(next_host_) + i) % subnet.address_count;
    const unsigned address = subnet.first_address + step;
    if (addresses_.contains(address)) continue;
    next_host_ = static_cast<int>(step + 1);
    return address;
  }
  return refuse("InsufficientFreeAddressesInSubnet",
                fmt::format("There are not enough free addresses in subnet '{}' to satisfy the "
                            "requested number of instances.",
                            subnet.id));
}

Instance Model::make_instance(const LaunchRequest& request, const Place& place,
                              const std::optional<InstanceProfile>& profile,
                              const std::string& reservation, TimePoint now) {
  const Image& image = *find_image(request.image);
  Instance made;
  made.id = random_id("i-");
  made.reservation = reservation;
  made.image = request.image;
  made.architecture = image.architecture;
  made.instance_type = request.instance_type;
  made.subnet = place.subnet->id;
  made.vpc = place.subnet->vpc;
  made.zone = place.subnet->zone;
  made.zone_id = place.subnet->zone_id;
  made.groups = place.groups;
  made.interface_id = random_id("eni-");
  made.interface_description = request.interface_description;
  made.root_device = image.root_device;
  made.key_name = request.key_name;
  made.user_data = request.user_data;
  made.client_token = request.client_token;
  if (request.is_spot) made.spot_request = random_id("sir-", 8);
  made.profile = profile;
  made.metadata = request.metadata;
  made.is_monitored = request.is_monitored;
  made.is_ebs_optimized = request.is_ebs_optimized;
  made.is_termination_protected = request.is_termination_protected;
  made.terminates_on_shutdown = request.terminates_on_shutdown;
  made.launched_at = now;
  made.tags = request.instance_tags;
  made.volumes = request.volumes;
  const bool has_root =
      std::any_of(made.volumes.begin(), made.volumes.end(),
                  [&](const Volume& volume) { return volume.device == image.root_device; });
  if (!has_root) {
    Volume root;
    root.device = image.root_device;
    root.size_gib = image.disk_gib;
    made.volumes.insert(made.volumes.begin(), root);
  }
  for (Volume& volume : made.volumes) {
    volume.id = random_id("vol-");
    volume.tags = request.volume_tags;
    tags_[volume.id] = request.volume_tags;
  }
  return made;
}

void Model::enter(Instance& instance, TimePoint now) {
  const InstanceType& type = *find_type(instance.instance_type);
  MachineEntry entry;
  entry.id = instance.id;
  entry.reservation = instance.reservation;
  entry.instance_type = instance.instance_type;
  entry.zone = instance.zone;
  const auto intent = instance.tags.find(kIntentTag);
  if (intent != instance.tags.end()) entry.intent = intent->second;
  entry.client_token = instance.client_token;
  entry.is_spot = !instance.spot_request.empty();
  entry.has_tags = !instance.tags.empty();
  entry.usd_micros_per_hour = entry.is_spot ? type.spot_usd_micros : type.on_demand_usd_micros;
  entry.launched_at = now;
  ledger_.add_machine(std::move(entry));
  by_address_[instance.private_address] = instance.id;
  order_.push_back(instance.id);
  effects_.push_back({Effect::Kind::start_machine, instance.id});
}

Answer<Reservation> Model::run_instances(const LaunchRequest& request, const Gate& gate,
                                         TimePoint now) {
  // One after the other: what comes later relies on what was checked before.
  if (auto fine = check_form(request); !fine) return tl::unexpected<Ec2Error>(fine.error());
  if (auto fine = check_tags(request); !fine) return tl::unexpected<Ec2Error>(fine.error());
  if (auto fine = check_combinations(request); !fine) {
    return tl::unexpected<Ec2Error>(fine.error());
  }
  if (auto fine = check_known(request); !fine) return tl::unexpected<Ec2Error>(fine.error());
  const Answer<Place> place = find_place(request);
  if (!place) return tl::unexpected<Ec2Error>(place.error());
  const auto profile = find_profile(request);
  if (!profile) return tl::unexpected<Ec2Error>(profile.error());
  const InstanceType& type = *find_type(request.instance_type);
  if (!type.is_everywhere && place->subnet->zone == world_.zones.back()) {
    const std::vector<std::string> others(world_.zones.begin(), world_.zones.end() - 1);
    return refuse(
        "Unsupported",
        fmt::format("Your requested instance type ({}) is not supported in your requested "
                    "Availability Zone ({}). Please retry your request by not specifying "
                    "an Availability Zone or choosing {}.",
                    type.name, place->subnet->zone, fmt::join(others, ", ")));
  }
  if (!gate.permission) return tl::unexpected<Ec2Error>(gate.permission.error());
  if (gate.is_dry_run) return dry_run_refusal();
  // A token counts in a zone when the call names one, else in the region (EC2 developer guide,
  // "Ensuring idempotency").
  const bool names_zone = !request.subnet.empty() || !request.zone.empty();
  const std::string scope = names_zone ? place->subnet->zone : world_.region;
  auto before = replayed(request, scope);
  if (!before) return tl::unexpected<Ec2Error>(before.error());
  if (*before) return **before;
  if (!gate.bucket) return tl::unexpected<Ec2Error>(gate.bucket.error());
  const Answer<int> room = count_with_room(request, *place, now);
  if (!room) return tl::unexpected<Ec2Error>(room.error());
  const int count = *room;
  Reservation reservation{random_id("r-"), {}};
  Replay replay{request.fingerprint, reservation.id, {}};
  for (int i = 0; i < count; ++i) {
    const Answer<unsigned> address = pick_address(*place->subnet, request.private_address);
    if (!address) return tl::unexpected<Ec2Error>(address.error());
    Instance made = make_instance(request, *place, *profile, reservation.id, now);
    made.launch_index = i;
    made.private_address = format_address(*address);
    made.mac = fmt::format("02:00:{:02x}:{:02x}:{:02x}:{:02x}", *address >> 24,
                           *address >> 16 & 255, *address >> 8 & 255, *address & 255);
    addresses_.insert(*address);
    if (request.public_address.value_or(place->subnet->maps_public_address)) {
      for (unsigned host = 0; host < world_.public_address_count; ++host) {
        const unsigned candidate = world_.public_address_first + host;
        if (!addresses_.insert(candidate).second) continue;
        made.public_address = format_address(candidate);
        break;
      }
    }
    enter(made, now);
    replay.instances.push_back(made.id);
    const std::string id = made.id;
    reservation.instances.push_back(&instances_.emplace(id, std::move(made)).first->second);
  }
  if (!request.client_token.empty()) {
    replays_[scope + " " + request.client_token] = std::move(replay);
  }
  return reservation;
}

}  // namespace ec2model
