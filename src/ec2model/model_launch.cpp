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
  if (request.user_data.size() > kUserDataBytesMax) {
    return refuse("InvalidParameterValue", "User data is limited to 16384 bytes");
  }
  if (request.client_token.size() > 64) {
    return refuse("InvalidParameterValue",
                  "Invalid value for ClientToken: at most 64 characters are allowed");
  }
  for (const std::string& id : request.group_ids) {
    if (!is_well_formed(id, "sg")) {
      return refuse("InvalidGroupId.Malformed", fmt::format("Invalid id: \"{}\"", id));
    }
  }
  for (const DeviceMapping& device : request.devices) {
    if (!device.snapshot.empty() && !is_well_formed(device.snapshot, "snap")) {
      return refuse("InvalidSnapshotID.Malformed",
                    fmt::format("Invalid id: \"{}\" (expecting \"snap-...\")", device.snapshot));
    }
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
  if (request.is_spot && request.terminates_on_shutdown &&
      request.interruption_behaviour == "stop") {
    return refuse("InvalidParameterCombination",
                  "The shutdown behavior terminate cannot be used with the interruption behavior "
                  "stop.");
  }
  if (!request.is_spot && !request.max_price_text.empty()) {
    return refuse("InvalidParameterCombination",
                  "SpotOptions may be given only with the market type spot");
  }
  return {};
}

bool has_encrypted_root(const LaunchRequest& request, const Image& image) {
  return std::any_of(request.devices.begin(), request.devices.end(),
                     [&](const DeviceMapping& device) {
                       return device.device == image.root_device && device.is_encrypted;
                     });
}

}  // namespace

Answer<void> Model::check_known(const LaunchRequest& request) const {
  const Image* image = find_image(request.image);
  if (image == nullptr || !is_visible(*image)) {
    return refuse("InvalidAMIID.NotFound",
                  fmt::format("The image id '[{}]' does not exist", request.image));
  }
  if (image->is_deregistered) {
    return refuse("InvalidAMIID.Unavailable",
                  fmt::format("The image id '[{}]' is no longer available", request.image));
  }
  const InstanceType& type = *find_type(request.instance_type);
  if (type.architecture != image->architecture) {
    return refuse("InvalidParameterValue",
                  fmt::format("The architecture '{}' of the specified instance type does not match "
                              "the architecture '{}' of the specified AMI. Specify an instance "
                              "type and an AMI that have matching architectures, and try again.",
                              type.architecture, image->architecture));
  }
  if (!request.key_name.empty() && !key_pairs_.contains(request.key_name)) {
    return refuse("InvalidKeyPair.NotFound",
                  fmt::format("The key pair '{}' does not exist", request.key_name));
  }
  if (request.is_hibernation_configured &&
      !(type.can_hibernate() && has_encrypted_root(request, *image))) {
    return refuse("Unsupported",
                  "The requested configuration is currently not supported. Please check the "
                  "documentation for supported configurations.");
  }
  if (!request.capacity_reservation.empty()) {
    return refuse("InvalidCapacityReservationId.NotFound",
                  fmt::format("The capacity reservation ID '{}' does not exist",
                              request.capacity_reservation));
  }
  if (!request.interface_id.empty()) {
    if (find_interface(request.interface_id) == nullptr) {
      return refuse(
          "InvalidNetworkInterfaceID.NotFound",
          fmt::format("The network interface ID '{}' does not exist", request.interface_id));
    }
    return refuse("InvalidNetworkInterface.InUse",
                  fmt::format("Interface: [{}] in use", request.interface_id));
  }
  for (const DeviceMapping& device : request.devices) {
    const bool is_known =
        device.snapshot.empty() ||
        std::any_of(world_.images.begin(), world_.images.end(),
                    [&](const Image& one) { return one.snapshot() == device.snapshot; });
    if (!is_known) {
      return refuse("InvalidSnapshot.NotFound",
                    fmt::format("The snapshot '{}' does not exist.", device.snapshot));
    }
  }
  return {};
}

Answer<Model::Place> Model::find_place(const LaunchRequest& request) const {
  Place place;
  std::string zone = request.zone;
  if (!request.zone_id.empty()) {
    const auto named = std::find_if(world_.zones.begin(), world_.zones.end(), [&](const auto& one) {
      return world_.zone_id(one) == request.zone_id;
    });
    if (named == world_.zones.end() || (!zone.empty() && zone != *named)) {
      return refuse("InvalidParameterValue",
                    fmt::format("Invalid availability zone ID: [{}]", request.zone_id));
    }
    zone = *named;
  }
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
      if (!zone.empty() && subnet.zone != zone) continue;
      if (place.subnet == nullptr ||
          free_address_count(subnet) > free_address_count(*place.subnet)) {
        place.subnet = &subnet;
      }
    }
    if (place.subnet == nullptr) {
      return refuse("InvalidParameterValue", fmt::format("Invalid availability zone: [{}]", zone));
    }
  }
  if (!zone.empty() && place.subnet->zone != zone) {
    return refuse("InvalidParameterCombination",
                  fmt::format("The subnet '{}' is not in the Availability Zone '{}'.",
                              place.subnet->id, zone));
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
    place.groups.push_back(found->id);
    return {};
  };
  for (const std::string& id : request.group_ids) {
    const auto added = add([&](const SecurityGroup& group) { return group.id == id; }, id);
    if (!added) return again(added);
  }
  std::vector<std::string> names = request.group_names;
  if (names.empty() && request.group_ids.empty()) names.push_back("default");
  for (const std::string& name : names) {
    const auto is_it = [&](const SecurityGroup& group) {
      return group.name == name && group.vpc == place.subnet->vpc;
    };
    const auto added = add(is_it, name);
    if (!added) return again(added);
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
  if (auto fine = check_tag_keys(request.interface_tags); !fine) return fine;
  if (auto fine = check_tag_keys(request.spot_request_tags); !fine) return fine;
  if (request.metadata.shows_tags) return check_metadata_tag_keys(request.instance_tags);
  return {};
}

bool Model::is_full(bool is_spot, const std::string& type, const std::string& zone) const {
  const std::string offering = fmt::format("{}/{}/{}", is_spot ? "spot" : "on-demand", type, zone);
  return std::any_of(
      world_.faults.full_offerings.begin(), world_.faults.full_offerings.end(),
      [&](const std::string& pattern) { return matches_wildcard(pattern, offering); });
}

bool Model::is_offered(const InstanceType& type, const std::string& zone) const {
  return type.is_everywhere || world_.zones.empty() || zone != world_.zones.back();
}

Ec2Error Model::no_capacity(bool is_spot, const std::string& type, const std::string& zone) const {
  if (is_spot) {
    return {"InsufficientInstanceCapacity", 500,
            "There is no Spot capacity available that matches your request."};
  }
  std::vector<std::string> others;
  for (const std::string& other : world_.zones) {
    const bool has_room = is_offered(*find_type(type), other) && !is_full(false, type, other);
    if (other != zone && has_room) others.push_back(other);
  }
  return {"InsufficientInstanceCapacity", 500,
          fmt::format(
              "We currently do not have sufficient {} capacity in the Availability Zone you "
              "requested ({}). Our system will be working on provisioning additional capacity. "
              "You can currently get {} capacity by not specifying an Availability Zone in "
              "your request{}{}.",
              type, zone, type, others.empty() ? "" : " or choosing ", fmt::join(others, ", "))};
}

Answer<int> Model::count_with_room(const LaunchRequest& request, const Place& place,
                                   bool takes_tokens, TimePoint now) {
  const InstanceType& type = *find_type(request.instance_type);
  const long used = vcpus_in_use(request.is_spot);
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
  const auto asked = parse_address(request.private_address);
  if (asked && addresses_.contains(*asked)) {
    return refuse("InvalidIPAddress.InUse",
                  fmt::format("Address {} is in use.", request.private_address));
  }
  const long price = spot_price(type, place.subnet->zone, now);
  if (request.is_spot && request.max_price_usd_micros && *request.max_price_usd_micros < price) {
    return refuse("SpotMaxPriceTooLow",
                  fmt::format("Your Spot request price of {} is lower than the minimum required "
                              "Spot request fulfillment price of {}.",
                              request.max_price_text, dollars(price)));
  }
  if (is_full(request.is_spot, request.instance_type, place.subnet->zone)) {
    strike("no_capacity");
    return tl::unexpected<Ec2Error>(
        no_capacity(request.is_spot, request.instance_type, place.subnet->zone));
  }
  int count = static_cast<int>(std::min<long>({request.max_count, addresses, fits}));
  if (!world_.throttles || !takes_tokens) return count;
  TokenBucket& tokens = resource_bucket("RunInstances");
  while (count > request.min_count && !tokens.has(count, now)) --count;
  if (!tokens.take(count, now)) {
    return refuse("RequestLimitExceeded", "Request limit exceeded.", 503);
  }
  return count;
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
    const unsigned step = (next_host_ + i) % subnet.address_count;
    const unsigned address = subnet.first_address + step;
    if (addresses_.contains(address)) continue;
    next_host_ = step + 1;
    return address;
  }
  return refuse("InsufficientFreeAddressesInSubnet",
                fmt::format("There are not enough free addresses in subnet '{}' to satisfy the "
                            "requested number of instances.",
                            subnet.id));
}

void Model::make_volumes(Instance& instance, const LaunchRequest& request, TimePoint now) {
  const Image& image = *find_image(request.image);
  std::vector<DeviceMapping> devices;
  const auto asked = [&](const std::string& device) {
    return std::find_if(request.devices.begin(), request.devices.end(),
                        [&](const DeviceMapping& one) { return one.device == device; });
  };
  if (asked(image.root_device) == request.devices.end()) {
    DeviceMapping root;
    root.device = image.root_device;
    devices.push_back(root);
  }
  devices.insert(devices.end(), request.devices.begin(), request.devices.end());
  for (const DeviceMapping& device : devices) {
    if (device.is_left_out && device.device != image.root_device) continue;
    const bool is_root = device.device == image.root_device;
    Volume volume;
    volume.id = random_id("vol-");
    volume.instance = instance.id;
    volume.device = device.device;
    volume.zone = instance.zone;
    volume.size_gib = device.size_gib.value_or(is_root ? image.disk_gib : 8);
    volume.type = device.type;
    volume.iops = device.iops ? device.iops
                              : (volume.type == "gp3" ? std::optional<int>(3000) : std::nullopt);
    volume.throughput = device.throughput
                            ? device.throughput
                            : (volume.type == "gp3" ? std::optional<int>(125) : std::nullopt);
    volume.snapshot = !device.snapshot.empty() ? device.snapshot : is_root ? image.snapshot() : "";
    volume.is_encrypted = device.is_encrypted;
    volume.deletes_on_termination = device.deletes_on_termination;
    volume.created_at = now;
    if (!request.volume_tags.empty()) tags_[volume.id] = request.volume_tags;
    instance.volumes.push_back(volume.id);
    volumes_.emplace(volume.id, std::move(volume));
  }
}

Instance Model::make_instance(const LaunchRequest& request, const Place& place,
                              const std::optional<InstanceProfile>& profile,
                              const std::string& reservation, TimePoint now) {
  const Image& image = *find_image(request.image);
  Instance made;
  made.id = random_id("i-");
  made.reservation = reservation;
  made.image = request.image;
  made.kind = world_.kind_of(image);
  made.architecture = image.architecture;
  made.instance_type = request.instance_type;
  made.subnet = place.subnet->id;
  made.vpc = place.subnet->vpc;
  made.zone = place.subnet->zone;
  made.zone_id = place.subnet->zone_id;
  made.groups = place.groups;
  made.interface_id = random_id("eni-");
  made.root_device = image.root_device;
  made.key_name = request.key_name;
  const auto key = key_pairs_.find(request.key_name);
  if (key != key_pairs_.end()) made.public_key = key->second.public_key;
  made.user_data = request.user_data;
  made.client_token = request.client_token;
  made.profile = profile;
  made.metadata = request.metadata;
  made.is_monitored = request.is_monitored;
  made.is_ebs_optimized = request.is_ebs_optimized;
  made.is_termination_protected = request.is_termination_protected;
  made.is_stop_protected = request.is_stop_protected;
  made.is_hibernation_configured = request.is_hibernation_configured;
  made.terminates_on_shutdown = request.terminates_on_shutdown;
  made.wants_public_address = request.public_address.value_or(place.subnet->maps_public_address);
  made.launched_at = now;
  made.changed_at = now;
  made.visible_at = now;
  made.tags = request.instance_tags;
  made.tags.insert(request.system_tags.begin(), request.system_tags.end());
  return made;
}

void Model::take_public_address(Instance& instance) {
  for (unsigned host = 0; host < world_.public_address_count; ++host) {
    const unsigned candidate = world_.public_address_first + host;
    if (!addresses_.insert(candidate).second) continue;
    instance.public_address = format_address(candidate);
    return;
  }
}

void Model::plan_faults(Instance& instance, TimePoint now) {
  const Faults& faults = world_.faults;
  const auto part = [&](muster::Duration whole) {
    return std::chrono::duration_cast<muster::Duration>(whole * chance());
  };
  if (faults.invisible_for.count() > 0) {
    instance.visible_at = now + part(faults.invisible_for);
    strike("invisible_for");
  }
  if (faults.hang > 0 && chance() < faults.hang) {
    instance.hangs = true;
    strike("hang");
  }
  if (!instance.spot_request.empty() && faults.interrupt > 0 && chance() < faults.interrupt) {
    instance.interruption =
        Interruption{"terminate", now + part(faults.interrupt_after) + faults.notice};
    schedule(Due::Kind::interrupted, instance.id, instance.interruption->at);
    strike("interrupt");
  }
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
  entry.has_tags = std::any_of(instance.tags.begin(), instance.tags.end(),
                               [](const auto& tag) { return !tag.first.starts_with("aws:"); });
  entry.usd_micros_per_hour =
      entry.is_spot ? spot_price(type, instance.zone, now) : type.on_demand_usd_micros;
  entry.launched_at = now;
  ledger_.add_machine(std::move(entry));
  ledger_changes_.push_back(instance.id);
  by_address_[instance.private_address] = instance.id;
  instance.number = launched_count_++;
  vcpus_used_[instance.spot_request.empty() ? 0 : 1] += type.vcpu_count;
  plan_faults(instance, now);
  schedule(Due::Kind::start, instance.id, now + world_.durations.pending.at(chance()));
}

Answer<Model::Place> Model::check_launch(const LaunchRequest& request) const {
  // One after the other: what comes later relies on what was checked before.
  if (auto fine = check_form(request); !fine) return again(fine);
  if (auto fine = check_tags(request); !fine) return again(fine);
  if (auto fine = check_combinations(request); !fine) return again(fine);
  if (auto fine = check_known(request); !fine) return again(fine);
  Answer<Place> place = find_place(request);
  if (!place) return place;
  if (const auto profile = find_profile(request); !profile) return again(profile);
  const InstanceType& type = *find_type(request.instance_type);
  if (!is_offered(type, place->subnet->zone)) {
    std::vector<std::string> others;
    for (const std::string& zone : world_.zones) {
      if (is_offered(type, zone)) others.push_back(zone);
    }
    return refuse(
        "Unsupported",
        fmt::format("Your requested instance type ({}) is not supported in your requested "
                    "Availability Zone ({}). Please retry your request by not specifying "
                    "an Availability Zone or choosing {}.",
                    type.name, place->subnet->zone, fmt::join(others, ", ")));
  }
  const bool is_real = world_.kind_of(*find_image(request.image)) != MachineKind::record;
  if (is_real && !world_.machine_network.contains(place->subnet->cidr)) {
    return refuse("UnsupportedOperation",
                  fmt::format("The simulator's machines can live in {} only, and {} is {}. Use an "
                              "image of kind record there.",
                              world_.machine_network.describe(), place->subnet->id,
                              place->subnet->cidr.describe()));
  }
  return place;
}

Answer<Reservation> Model::launch(const LaunchRequest& request, const Place& place, int count,
                                  TimePoint now) {
  const auto profile = find_profile(request);
  Reservation reservation{random_id("r-"), {}};
  for (int i = 0; i < count; ++i) {
    const Answer<unsigned> address = pick_address(*place.subnet, request.private_address);
    if (!address) return again(address);
    Instance made = make_instance(request, place, *profile, reservation.id, now);
    made.launch_index = i;
    made.address = *address;
    // Processes have no network of their own: each has an address of the loopback network.
    made.private_address = format_address(
        made.kind == MachineKind::process ? 127U << 24 | (*address & 0xffffffU) : *address);
    made.mac = fmt::format("02:00:{:02x}:{:02x}:{:02x}:{:02x}", *address >> 24,
                           *address >> 16 & 255, *address >> 8 & 255, *address & 255);
    addresses_.insert(*address);
    if (made.wants_public_address && made.kind != MachineKind::process) take_public_address(made);
    make_volumes(made, request, now);
    NetworkInterface interface{made.interface_id,
                               made.id,
                               request.interface_description,
                               made.subnet,
                               made.vpc,
                               made.zone,
                               made.groups,
                               made.private_address,
                               made.public_address,
                               made.mac,
                               request.interface_deletes_on_termination,
                               now};
    if (!request.interface_tags.empty()) tags_[interface.id] = request.interface_tags;
    interfaces_.emplace(interface.id, std::move(interface));
    if (request.is_spot) {
      SpotRequest asked;
      asked.id = random_id("sir-", 8);
      asked.created_at = now;
      asked.price = request.max_price_text.empty()
                        ? dollars(find_type(request.instance_type)->on_demand_usd_micros)
                        : request.max_price_text;
      asked.is_persistent = request.is_persistent;
      asked.behaviour = request.interruption_behaviour;
      asked.launch = request;
      asked.state = "active";
      asked.status_code = "fulfilled";
      asked.status = "Your Spot request is fulfilled.";
      asked.updated_at = now;
      asked.zone = made.zone;
      asked.instance = made.id;
      made.spot_request = asked.id;
      if (!request.spot_request_tags.empty()) tags_[asked.id] = request.spot_request_tags;
      spot_requests_.emplace(asked.id, std::move(asked));
    }
    enter(made, now);
    const std::string id = made.id;
    order_.push_back(&instances_.emplace(id, std::move(made)).first->second);
    reservation.instances.push_back(order_.back());
  }
  // What takes no time has happened before the answer.
  advance(now);
  return reservation;
}

Answer<Reservation> Model::run_instances(const LaunchRequest& request, const Gate& gate,
                                         TimePoint now) {
  const Answer<Place> place = check_launch(request);
  if (!place) return again(place);
  if (!gate.permission) return again(gate.permission);
  if (gate.is_dry_run) return dry_run_refusal();
  // A token counts in a zone when the call names one, else in the region (EC2 developer guide,
  // "Ensuring idempotency").
  const bool names_zone =
      !request.subnet.empty() || !request.zone.empty() || !request.zone_id.empty();
  const std::string scope = names_zone ? place->subnet->zone : world_.region;
  auto before = replayed(request, scope);
  if (!before) return again(before);
  if (*before) return **before;
  if (!gate.bucket) return again(gate.bucket);
  const Answer<int> room = count_with_room(request, *place, true, now);
  if (!room) return again(room);
  Answer<Reservation> made = launch(request, *place, *room, now);
  if (!made || request.client_token.empty()) return made;
  Replay replay{request.fingerprint, made->id, {}};
  for (const Instance* instance : made->instances) replay.instances.push_back(instance->id);
  replays_[scope + " " + request.client_token] = std::move(replay);
  return made;
}

}  // namespace ec2model
