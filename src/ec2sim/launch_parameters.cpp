#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "ec2sim/ec2_api.hpp"
#include "wire/encoding.hpp"

namespace ec2sim {
namespace {

using ec2model::refuse;

/// Collects the first refusal while many parameters are read.
class Reader {
 public:
  explicit Reader(const Parameters& given) : given_(given) {}

  template <class T, class U>
  void take(Answer<T> read, U& to) {
    if (!read) {
      note(read.error());
      return;
    }
    to = std::move(*read);
  }
  void take_bool(const std::string& name, bool& to) {
    auto read = given_.boolean(name);
    if (!read) return note(read.error());
    if (*read) to = **read;
  }
  void take_int(const std::string& name, int& to) {
    auto read = given_.integer(name);
    if (!read) return note(read.error());
    if (*read) to = **read;
  }
  std::string take_word(const std::string& name, const std::vector<std::string_view>& allowed) {
    auto read = given_.word(name, allowed);
    if (read) return *read;
    note(read.error());
    return {};
  }
  void note(const Ec2Error& error) {
    if (!failure_) failure_ = error;
  }
  [[nodiscard]] const std::optional<Ec2Error>& failure() const { return failure_; }

 private:
  const Parameters& given_;
  std::optional<Ec2Error> failure_;
};

void read_volumes(const Parameters& given, Reader& reader, ec2model::LaunchRequest& to) {
  for (const int index : given.indices("BlockDeviceMapping")) {
    const std::string at = fmt::format("BlockDeviceMapping.{}.", index);
    ec2model::Volume volume;
    volume.device = given.text(at + "DeviceName");
    if (volume.device.empty()) {
      reader.note(refuse("InvalidBlockDeviceMapping", "A device name is required").value());
    }
    reader.take_int(at + "Ebs.VolumeSize", volume.size_gib);
    reader.take_bool(at + "Ebs.DeleteOnTermination", volume.deletes_on_termination);
    const std::string type = reader.take_word(
        at + "Ebs.VolumeType", {"standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"});
    if (!type.empty()) volume.type = type;
    bool is_encrypted = false;
    int number = 0;
    reader.take_bool(at + "Ebs.Encrypted", is_encrypted);
    reader.take_int(at + "Ebs.Iops", number);
    reader.take_int(at + "Ebs.Throughput", number);
    if (given.has(at + "Ebs.Throughput") && volume.type != "gp3") {
      reader.note(refuse("InvalidParameterCombination",
                         "The parameter throughput is not supported for this volume type.")
                      .value());
    }
    if (volume.size_gib < 1 || volume.size_gib > 65536) {
      reader.note(refuse("InvalidParameterValue",
                         fmt::format("Invalid value '{}' for VolumeSize.", volume.size_gib))
                      .value());
    }
    to.volumes.push_back(volume);
  }
}

void read_network(const Parameters& given, Reader& reader, ec2model::LaunchRequest& to) {
  to.subnet = given.text("SubnetId");
  to.group_ids = given.list("SecurityGroupId");
  to.group_names = given.list("SecurityGroup");
  to.private_address = given.text("PrivateIpAddress");
  const std::vector<int> interfaces = given.indices("NetworkInterface");
  if (interfaces.empty()) return;
  const auto combined = [&](std::string_view what) {
    reader.note(refuse("InvalidParameterCombination",
                       fmt::format("Network interfaces and an instance-level {} may not be "
                                   "specified on the same request",
                                   what))
                    .value());
  };
  if (!to.subnet.empty()) combined("subnet ID");
  if (!to.group_ids.empty() || !to.group_names.empty()) combined("security groups");
  if (!to.private_address.empty()) combined("private IP address");
  if (interfaces.size() > 1) {
    reader.note(
        refuse("UnsupportedOperation", "The simulator's machines have one network interface")
            .value());
  }
  const std::string at = fmt::format("NetworkInterface.{}.", interfaces.front());
  to.has_interface = true;
  to.subnet = given.text(at + "SubnetId");
  to.group_ids = given.list(at + "SecurityGroupId");
  to.private_address = given.text(at + "PrivateIpAddress");
  to.interface_description = given.text(at + "Description");
  int device_index = 0;
  bool ignored = true;
  reader.take_int(at + "DeviceIndex", device_index);
  reader.take_bool(at + "DeleteOnTermination", ignored);
  reader.take(given.boolean(at + "AssociatePublicIpAddress"), to.public_address);
  if (!given.has(at + "DeviceIndex")) {
    reader.note(refuse("MissingParameter",
                       fmt::format("The request must contain the parameter {}DeviceIndex", at))
                    .value());
  }
}

void read_market(const Parameters& given, Reader& reader, ec2model::LaunchRequest& to) {
  const std::string at = "InstanceMarketOptions.";
  to.is_spot = reader.take_word(at + "MarketType", {"spot"}) == "spot";
  to.max_price_text = given.text(at + "SpotOptions.MaxPrice");
  if (!to.max_price_text.empty()) {
    double price = 0;
    const char* end = to.max_price_text.data() + to.max_price_text.size();
    const auto [stop, error] = std::from_chars(to.max_price_text.data(), end, price);
    if (error != std::errc{} || stop != end || !(price > 0) || price > 1000) {
      reader.note(refuse("InvalidParameterValue",
                         fmt::format("Invalid value '{}' for MaxPrice.", to.max_price_text))
                      .value());
    } else {
      to.max_price_usd_micros = std::lround(price * 1e6);
    }
  }
  reader.take_word(at + "SpotOptions.InstanceInterruptionBehavior",
                   {"terminate", "stop", "hibernate"});
  const std::string kind =
      reader.take_word(at + "SpotOptions.SpotInstanceType", {"one-time", "persistent"});
  const std::string behaviour = given.text(at + "SpotOptions.InstanceInterruptionBehavior");
  if (kind == "persistent" || (!behaviour.empty() && behaviour != "terminate")) {
    reader.note(
        refuse("UnsupportedOperation", "The simulator does not play persistent spot requests yet")
            .value());
  }
}

void read_metadata(Reader& reader, ec2model::LaunchRequest& to) {
  const std::string at = "MetadataOptions.";
  const std::string tokens = reader.take_word(at + "HttpTokens", {"optional", "required"});
  to.metadata.needs_token = tokens != "optional";
  to.metadata.is_enabled =
      reader.take_word(at + "HttpEndpoint", {"enabled", "disabled"}) != "disabled";
  to.metadata.shows_tags =
      reader.take_word(at + "InstanceMetadataTags", {"enabled", "disabled"}) == "enabled";
  reader.take_int(at + "HttpPutResponseHopLimit", to.metadata.hop_limit);
  if (to.metadata.hop_limit < 1 || to.metadata.hop_limit > 64) {
    reader.note(refuse("InvalidParameterValue",
                       fmt::format("Invalid value '{}' for HttpPutResponseHopLimit.",
                                   to.metadata.hop_limit))
                    .value());
  }
}

void read_user_data(const Parameters& given, Reader& reader, ec2model::LaunchRequest& to) {
  const auto bytes = muster::wire::base64_decode(given.text("UserData"));
  if (!bytes) {
    reader.note(
        refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.").value());
    return;
  }
  to.user_data = *bytes;
}

}  // namespace

Answer<ec2model::LaunchRequest> read_launch(const Parameters& given) {
  Reader reader(given);
  ec2model::LaunchRequest to;
  to.image = given.text("ImageId");
  to.instance_type = given.has("InstanceType") ? given.text("InstanceType") : "m1.small";
  reader.take_int("MinCount", to.min_count);
  reader.take_int("MaxCount", to.max_count);
  to.zone = given.text("Placement.AvailabilityZone");
  to.key_name = given.text("KeyName");
  to.client_token = given.text("ClientToken");
  to.profile_name = given.text("IamInstanceProfile.Name");
  to.profile_arn = given.text("IamInstanceProfile.Arn");
  reader.take_bool("Monitoring.Enabled", to.is_monitored);
  reader.take_bool("EbsOptimized", to.is_ebs_optimized);
  reader.take_bool("DisableApiTermination", to.is_termination_protected);
  bool ignored = false;
  reader.take_bool("DisableApiStop", ignored);
  to.terminates_on_shutdown =
      reader.take_word("InstanceInitiatedShutdownBehavior", {"stop", "terminate"}) == "terminate";
  reader.take_word("CreditSpecification.CpuCredits", {"standard", "unlimited"});
  const std::string tenancy =
      reader.take_word("Placement.Tenancy", {"default", "dedicated", "host"});
  if (!tenancy.empty() && tenancy != "default") {
    reader.note(refuse("UnsupportedOperation",
                       "The simulator plays the tenancy default only (Placement.Tenancy)")
                    .value());
  }
  read_volumes(given, reader, to);
  read_network(given, reader, to);
  read_market(given, reader, to);
  read_metadata(reader, to);
  read_user_data(given, reader, to);
  auto tags = given.tag_specifications(
      {"instance", "volume", "network-interface", "spot-instances-request"});
  if (!tags) {
    reader.note(tags.error());
  } else {
    to.instance_tags = (*tags)["instance"];
    to.volume_tags = (*tags)["volume"];
    for (const char* type : {"network-interface", "spot-instances-request"}) {
      to.other_tags.insert((*tags)[type].begin(), (*tags)[type].end());
    }
  }
  to.fingerprint = given.fingerprint();
  if (reader.failure()) return tl::unexpected<Ec2Error>(*reader.failure());
  return to;
}

}  // namespace ec2sim
