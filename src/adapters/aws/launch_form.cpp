#include "adapters/aws/launch_form.hpp"

#include <fmt/format.h>

#include "adapters/aws/query_form.hpp"

namespace muster::aws {
namespace {

std::string text_of(bool value) { return value ? "true" : "false"; }

void put_disk(wire::Parameters& to, const LaunchSpec& spec) {
  const DiskPolicy& disk = spec.disk;
  const bool is_default = !disk.size_gib && disk.type.empty() && !disk.iops &&
                          !disk.throughput_mib && !disk.is_encrypted && disk.device.empty();
  if (is_default) return;
  const std::string at = "BlockDeviceMapping.1.";
  put(to, at + "DeviceName", disk.device.empty() ? spec.root_device : disk.device);
  put(to, at + "Ebs.DeleteOnTermination", "true");
  if (disk.size_gib) put(to, at + "Ebs.VolumeSize", std::to_string(*disk.size_gib));
  put(to, at + "Ebs.VolumeType", disk.type);
  if (disk.iops) put(to, at + "Ebs.Iops", std::to_string(*disk.iops));
  if (disk.throughput_mib) put(to, at + "Ebs.Throughput", std::to_string(*disk.throughput_mib));
  if (disk.is_encrypted) put(to, at + "Ebs.Encrypted", text_of(*disk.is_encrypted));
}

void put_network(wire::Parameters& to, const LaunchSpec& spec) {
  if (!spec.public_ip) {
    put(to, "SubnetId", spec.offering.subnet);
    put_list(to, "SecurityGroupId", spec.security_groups);
    put(to, "PrivateIpAddress", spec.private_ip);
    return;
  }
  // A public address can only be asked for on an interface, and then all else stands there too.
  const std::string at = "NetworkInterface.1.";
  put(to, at + "DeviceIndex", "0");
  put(to, at + "AssociatePublicIpAddress", text_of(*spec.public_ip));
  put(to, at + "DeleteOnTermination", "true");
  put(to, at + "SubnetId", spec.offering.subnet);
  put_list(to, at + "SecurityGroupId", spec.security_groups);
  put(to, at + "PrivateIpAddress", spec.private_ip);
}

void put_template(wire::Parameters& to, const std::string& at, const TemplateRef& ref) {
  put(to, at + "LaunchTemplateId", ref.id);
  if (ref.id.empty()) put(to, at + "LaunchTemplateName", ref.name);
  put(to, at + "Version", ref.version);
}

}  // namespace

void put_tag_specifications(wire::Parameters& to, const std::vector<std::string>& resources,
                            const std::map<std::string, std::string>& tags) {
  for (std::size_t i = 0; i < resources.size() && !tags.empty(); ++i) {
    const std::string at = fmt::format("TagSpecification.{}.", i + 1);
    to.emplace_back(at + "ResourceType", resources[i]);
    int number = 0;
    for (const auto& [key, value] : tags) {
      ++number;
      to.emplace_back(fmt::format("{}Tag.{}.Key", at, number), key);
      to.emplace_back(fmt::format("{}Tag.{}.Value", at, number), value);
    }
  }
}

wire::Parameters launch_form(const LaunchSpec& spec) {
  wire::Parameters to;
  put_template(to, "LaunchTemplate.", spec.launch_template);
  put(to, "ImageId", spec.image.value());
  put(to, "InstanceType", spec.offering.instance_type);
  put(to, "KeyName", spec.key_name);
  put_network(to, spec);
  put_disk(to, spec);
  const bool is_spot = spec.offering.capacity_type == CapacityType::spot;
  if (is_spot) {
    put(to, "InstanceMarketOptions.MarketType", "spot");
    put(to, "InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
    put(to, "InstanceMarketOptions.SpotOptions.MaxPrice", spec.max_price);
  }
  const bool is_arn = spec.iam_profile.starts_with("arn:");
  put(to, is_arn ? "IamInstanceProfile.Arn" : "IamInstanceProfile.Name", spec.iam_profile);
  if (spec.monitoring) put(to, "Monitoring.Enabled", "true");
  put(to, "InstanceInitiatedShutdownBehavior", "terminate");
  put(to, "MetadataOptions.HttpTokens", "required");
  put(to, "MetadataOptions.HttpEndpoint", "enabled");
  put(to, "MetadataOptions.HttpPutResponseHopLimit", std::to_string(spec.metadata_hop_limit));
  put(to, "UserData", wire::base64_encode(spec.user_data));
  std::vector<std::string> resources{"instance", "volume", "network-interface"};
  if (is_spot) resources.emplace_back("spot-instances-request");
  put_tag_specifications(to, resources, spec.tags);
  return to;
}

wire::Parameters template_form(LaunchSpec spec) {
  // Market and place are the launch's to say.
  spec.offering = {};
  spec.launch_template = {};
  wire::Parameters data;
  for (auto& [name, value] : launch_form(spec)) {
    data.emplace_back("LaunchTemplateData." + name, std::move(value));
  }
  return data;
}

wire::Parameters fleet_form(const FleetSpec& spec) {
  wire::Parameters to;
  const bool is_spot =
      !spec.offerings.empty() && spec.offerings.front().capacity_type == CapacityType::spot;
  put(to, "Type", "instant");
  put(to, "TargetCapacitySpecification.TotalTargetCapacity", std::to_string(spec.count));
  put(to, "TargetCapacitySpecification.DefaultTargetCapacityType", is_spot ? "spot" : "on-demand");
  // The default strategy ignores how often machines are taken back: never rely on it.
  if (is_spot) put(to, "SpotOptions.AllocationStrategy", "price-capacity-optimized");
  if (!is_spot) put(to, "OnDemandOptions.AllocationStrategy", "prioritized");
  const std::string at = "LaunchTemplateConfigs.1.";
  TemplateRef ref = spec.launch_template;
  if (ref.version.empty()) ref.version = "$Default";  // The action demands one.
  put_template(to, at + "LaunchTemplateSpecification.", ref);
  put(to, at + "LaunchTemplateSpecification.LaunchTemplateSpecificationUserData",
      wire::base64_encode(spec.user_data));
  for (std::size_t i = 0; i < spec.offerings.size(); ++i) {
    const Offering& offering = spec.offerings[i];
    const std::string own = fmt::format("{}Overrides.{}.", at, i + 1);
    put(to, own + "InstanceType", offering.instance_type);
    put(to, own + "SubnetId", offering.subnet);
    // With the zone, so that an error can be told apart without another look-up.
    put(to, own + "AvailabilityZone", offering.zone);
    put(to, own + "ImageId", spec.image.value());
    if (is_spot) put(to, own + "MaxPrice", spec.max_price);
    if (!is_spot) put(to, own + "Priority", std::to_string(i));
  }
  put_tag_specifications(to, {"fleet", "instance", "volume", "network-interface"}, spec.tags);
  return to;
}

}  // namespace muster::aws
