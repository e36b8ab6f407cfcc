#include "ec2sim/launch_parameters.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "wire/encoding.hpp"

namespace ec2sim {
namespace {

void read_volumes(const Parameters& given, ParameterReader& reader, ec2model::LaunchRequest& to) {
  for (const int index : given.indices("BlockDeviceMapping")) {
    const std::string at = fmt::format("BlockDeviceMapping.{}.", index);
    ec2model::DeviceMapping device;
    device.device = given.text(at + "DeviceName");
    if (device.device.empty()) {
      reader.refuse("InvalidBlockDeviceMapping", "A device name is required");
    }
    device.is_left_out = given.has(at + "NoDevice");
    device.size_gib = reader.maybe_integer(at + "Ebs.VolumeSize");
    device.deletes_on_termination = reader.boolean(at + "Ebs.DeleteOnTermination", true);
    const std::string type =
        reader.word(at + "Ebs.VolumeType", {"standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"});
    if (!type.empty()) device.type = type;
    device.is_encrypted = reader.boolean(at + "Ebs.Encrypted");
    device.iops = reader.maybe_integer(at + "Ebs.Iops");
    device.throughput = reader.maybe_integer(at + "Ebs.Throughput");
    device.snapshot = given.text(at + "Ebs.SnapshotId");
    const auto rate = reader.maybe_integer(at + "Ebs.VolumeInitializationRate");
    if (rate && (*rate < 100 || *rate > 300)) {
      reader.refuse("InvalidParameterValue",
                    fmt::format("Invalid value '{}' for VolumeInitializationRate.", *rate));
    }
    if (device.throughput && device.type != "gp3") {
      reader.refuse("InvalidParameterCombination",
                    "The parameter throughput is not supported for this volume type.");
    }
    if (device.throughput && (*device.throughput < 125 || *device.throughput > 2000)) {
      reader.refuse("InvalidParameterValue",
                    fmt::format("Volume throughput of {} MiB/s is not between 125 and 2000.",
                                *device.throughput));
    }
    if (device.iops && device.type == "gp3" && (*device.iops < 3000 || *device.iops > 80000)) {
      reader.refuse("InvalidParameterValue",
                    fmt::format("Volume iops of {} is not between 3000 and 80000.", *device.iops));
    }
    if (device.size_gib && (*device.size_gib < 1 || *device.size_gib > 65536)) {
      reader.refuse("InvalidParameterValue",
                    fmt::format("Invalid value '{}' for VolumeSize.", *device.size_gib));
    }
    to.devices.push_back(device);
  }
}

void read_network(const Parameters& given, ParameterReader& reader, ec2model::LaunchRequest& to) {
  to.subnet = given.text("SubnetId");
  to.group_ids = given.list("SecurityGroupId");
  to.group_names = given.list("SecurityGroup");
  to.private_address = given.text("PrivateIpAddress");
  const std::vector<int> interfaces = given.indices("NetworkInterface");
  if (interfaces.empty()) return;
  const auto combined = [&](std::string_view what) {
    reader.refuse("InvalidParameterCombination",
                  fmt::format("Network interfaces and an instance-level {} may not be "
                              "specified on the same request",
                              what));
  };
  if (!to.subnet.empty()) combined("subnet ID");
  if (!to.group_ids.empty() || !to.group_names.empty()) combined("security groups");
  if (!to.private_address.empty()) combined("private IP address");
  if (interfaces.size() > 1) {
    reader.refuse("UnsupportedOperation", "The simulator's machines have one network interface");
  }
  const std::string at = fmt::format("NetworkInterface.{}.", interfaces.front());
  to.subnet = given.text(at + "SubnetId");
  to.group_ids = given.list(at + "SecurityGroupId");
  to.private_address = given.text(at + "PrivateIpAddress");
  const std::vector<int> addresses = given.indices(at + "PrivateIpAddresses");
  if (addresses.size() > 1) {
    reader.refuse("UnsupportedOperation",
                  "The simulator's interfaces have one address (PrivateIpAddresses)");
  } else if (!addresses.empty()) {
    to.private_address =
        given.text(fmt::format("{}PrivateIpAddresses.{}.PrivateIpAddress", at, addresses.front()));
  }
  to.interface_id = given.text(at + "NetworkInterfaceId");
  to.interface_description = given.text(at + "Description");
  static_cast<void>(reader.integer(at + "DeviceIndex"));
  to.interface_deletes_on_termination = reader.boolean(at + "DeleteOnTermination", true);
  to.public_address = reader.maybe_boolean(at + "AssociatePublicIpAddress");
  if (!given.has(at + "DeviceIndex")) {
    reader.refuse("MissingParameter",
                  fmt::format("The request must contain the parameter {}DeviceIndex", at));
  }
}

void read_price(const std::string& text, ParameterReader& reader, ec2model::LaunchRequest& to) {
  to.max_price_text = text;
  if (text.empty()) return;
  double price = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, price);
  if (error != std::errc{} || stop != end || !(price > 0) || price > 1000) {
    return reader.refuse("InvalidParameterValue",
                         fmt::format("Invalid value '{}' for MaxPrice.", text));
  }
  to.max_price_usd_micros = std::lround(price * 1e6);
}

void read_market(const Parameters& given, ParameterReader& reader, ec2model::LaunchRequest& to) {
  const std::string at = "InstanceMarketOptions.";
  to.is_spot = reader.word(at + "MarketType", {"spot"}) == "spot";
  read_price(given.text(at + "SpotOptions.MaxPrice"), reader, to);
  const std::string behaviour = reader.word(at + "SpotOptions.InstanceInterruptionBehavior",
                                            {"terminate", "stop", "hibernate"});
  if (!behaviour.empty()) to.interruption_behaviour = behaviour;
  to.is_persistent =
      reader.word(at + "SpotOptions.SpotInstanceType", {"one-time", "persistent"}) == "persistent";
  static_cast<void>(reader.maybe_time(at + "SpotOptions.ValidUntil"));
  if (to.is_spot && to.is_persistent && to.interruption_behaviour == "terminate") {
    reader.refuse("InvalidParameterCombination",
                  "A persistent Spot Instance request needs the interruption behavior stop or "
                  "hibernate.");
  }
  if (!to.is_persistent && to.interruption_behaviour != "terminate") {
    reader.refuse("InvalidParameterCombination",
                  fmt::format("The interruption behavior {} is supported for persistent Spot "
                              "Instance requests only.",
                              to.interruption_behaviour));
  }
}

void read_placement(const Parameters& given, ParameterReader& reader, const std::string& prefix,
                    ec2model::LaunchRequest& to) {
  to.zone = given.text(prefix + "Placement.AvailabilityZone");
  to.zone_id = given.text(prefix + "Placement.AvailabilityZoneId");
  const std::string tenancy =
      reader.word(prefix + "Placement.Tenancy", {"default", "dedicated", "host"});
  if (!tenancy.empty() && tenancy != "default") {
    reader.refuse("UnsupportedOperation",
                  "The simulator plays the tenancy default only (Placement.Tenancy)");
  }
  const std::string group = given.text(prefix + "Placement.GroupName");
  if (!group.empty()) {
    reader.refuse("InvalidPlacementGroup.Unknown",
                  fmt::format("The Placement Group '{}' is unknown.", group));
  }
}

}  // namespace

void read_metadata(ParameterReader& reader, const std::string& at, ec2model::MetadataOptions& to) {
  const std::string tokens = reader.word(at + "HttpTokens", {"optional", "required"});
  if (!tokens.empty()) to.needs_token = tokens != "optional";
  const std::string endpoint = reader.word(at + "HttpEndpoint", {"enabled", "disabled"});
  if (!endpoint.empty()) to.is_enabled = endpoint != "disabled";
  const std::string tags = reader.word(at + "InstanceMetadataTags", {"enabled", "disabled"});
  if (!tags.empty()) to.shows_tags = tags == "enabled";
  to.hop_limit = reader.integer(at + "HttpPutResponseHopLimit", to.hop_limit);
  if (to.hop_limit < 1 || to.hop_limit > 64) {
    reader.refuse("InvalidParameterValue",
                  fmt::format("Invalid value '{}' for HttpPutResponseHopLimit.", to.hop_limit));
  }
}

std::string read_user_data(const std::string& encoded, ParameterReader& reader) {
  const auto bytes = muster::wire::base64_decode(encoded);
  if (bytes) return *bytes;
  reader.refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.");
  return {};
}

Answer<ec2model::LaunchRequest> read_launch(const Parameters& given) {
  ParameterReader reader(given);
  ec2model::LaunchRequest to;
  to.image = given.text("ImageId");
  to.instance_type = given.has("InstanceType") ? given.text("InstanceType") : "m1.small";
  to.min_count = reader.integer("MinCount");
  to.max_count = reader.integer("MaxCount");
  to.key_name = given.text("KeyName");
  to.client_token = given.text("ClientToken");
  to.profile_name = given.text("IamInstanceProfile.Name");
  to.profile_arn = given.text("IamInstanceProfile.Arn");
  to.is_monitored = reader.boolean("Monitoring.Enabled");
  to.is_ebs_optimized = reader.boolean("EbsOptimized");
  to.is_termination_protected = reader.boolean("DisableApiTermination");
  to.is_stop_protected = reader.boolean("DisableApiStop");
  to.is_hibernation_configured = reader.boolean("HibernationOptions.Configured");
  to.terminates_on_shutdown =
      reader.word("InstanceInitiatedShutdownBehavior", {"stop", "terminate"}) == "terminate";
  static_cast<void>(reader.word("CreditSpecification.CpuCredits", {"standard", "unlimited"}));
  read_placement(given, reader, "", to);
  read_volumes(given, reader, to);
  to.capacity_reservation = given.text(
      "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId");
  read_network(given, reader, to);
  read_market(given, reader, to);
  read_metadata(reader, "MetadataOptions.", to.metadata);
  to.user_data = read_user_data(given.text("UserData"), reader);
  auto tags = reader.tag_specifications(
      {"instance", "volume", "network-interface", "spot-instances-request"});
  to.instance_tags = std::move(tags["instance"]);
  to.volume_tags = std::move(tags["volume"]);
  to.interface_tags = std::move(tags["network-interface"]);
  to.spot_request_tags = std::move(tags["spot-instances-request"]);
  to.fingerprint = given.fingerprint();
  if (reader.has_failed()) return reader.failure();
  return to;
}

Answer<ec2model::LaunchRequest> read_spot_request(const Parameters& given) {
  // The specification is RunInstances without counts, market and tags.
  std::map<std::string, std::string> values = given.below("LaunchSpecification.");
  values["ClientToken"] = given.text("ClientToken");
  values["MinCount"] = "1";
  values["MaxCount"] = given.has("InstanceCount") ? given.text("InstanceCount") : "1";
  const Parameters inner = Parameters::of(std::move(values));
  Answer<ec2model::LaunchRequest> to = read_launch(inner);
  if (!to) return to;
  ParameterReader reader(given);
  to->is_persistent = reader.word("Type", {"one-time", "persistent"}) == "persistent";
  const std::string behaviour =
      reader.word("InstanceInterruptionBehavior", {"terminate", "stop", "hibernate"});
  if (!behaviour.empty()) to->interruption_behaviour = behaviour;
  static_cast<void>(reader.maybe_time("ValidFrom"));
  static_cast<void>(reader.maybe_time("ValidUntil"));
  read_price(given.text("SpotPrice"), reader, *to);
  to->fingerprint = given.fingerprint();
  if (reader.has_failed()) return reader.failure();
  return to;
}

const std::vector<std::string_view>& launch_names() {
  static const std::vector<std::string_view> names{
      "BlockDeviceMapping.N.DeviceName",
      "BlockDeviceMapping.N.NoDevice",
      "BlockDeviceMapping.N.Ebs.DeleteOnTermination",
      "BlockDeviceMapping.N.Ebs.Iops",
      "BlockDeviceMapping.N.Ebs.SnapshotId",
      "BlockDeviceMapping.N.Ebs.VolumeSize",
      "BlockDeviceMapping.N.Ebs.VolumeType",
      "BlockDeviceMapping.N.Ebs.KmsKeyId",
      "BlockDeviceMapping.N.Ebs.Throughput",
      "BlockDeviceMapping.N.Ebs.AvailabilityZone",
      "BlockDeviceMapping.N.Ebs.AvailabilityZoneId",
      "BlockDeviceMapping.N.Ebs.Encrypted",
      "BlockDeviceMapping.N.Ebs.VolumeInitializationRate",
      "ImageId",
      "InstanceType",
      "KeyName",
      "Monitoring.Enabled",
      "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId",
      "Placement.AvailabilityZone",
      "Placement.AvailabilityZoneId",
      "Placement.GroupName",
      "Placement.Tenancy",
      "SecurityGroupId.N",
      "SecurityGroup.N",
      "SubnetId",
      "PrivateIpAddress",
      "UserData",
      "TagSpecification.N.ResourceType",
      "TagSpecification.N.Tag.N.Key",
      "TagSpecification.N.Tag.N.Value",
      "InstanceMarketOptions.MarketType",
      "InstanceMarketOptions.SpotOptions.MaxPrice",
      "InstanceMarketOptions.SpotOptions.SpotInstanceType",
      "InstanceMarketOptions.SpotOptions.ValidUntil",
      "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
      "CreditSpecification.CpuCredits",
      "HibernationOptions.Configured",
      "MetadataOptions.HttpTokens",
      "MetadataOptions.HttpPutResponseHopLimit",
      "MetadataOptions.HttpEndpoint",
      "MetadataOptions.InstanceMetadataTags",
      "DisableApiStop",
      "DisableApiTermination",
      "InstanceInitiatedShutdownBehavior",
      "NetworkInterface.N.AssociatePublicIpAddress",
      "NetworkInterface.N.DeleteOnTermination",
      "NetworkInterface.N.Description",
      "NetworkInterface.N.DeviceIndex",
      "NetworkInterface.N.SecurityGroupId.N",
      "NetworkInterface.N.PrivateIpAddress",
      "NetworkInterface.N.PrivateIpAddresses.N.PrivateIpAddress",
      "NetworkInterface.N.PrivateIpAddresses.N.Primary",
      "NetworkInterface.N.SubnetId",
      "NetworkInterface.N.InterfaceType",
      "NetworkInterface.N.NetworkInterfaceId",
      "IamInstanceProfile.Arn",
      "IamInstanceProfile.Name",
      "EbsOptimized",
  };
  return names;
}

}  // namespace ec2sim
