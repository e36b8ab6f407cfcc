#include <fmt/format.h>

#include <algorithm>

#include "ec2model/ids.hpp"
#include "ec2sim/call.hpp"
#include "ec2sim/ec2_xml.hpp"
#include "ec2sim/launch_parameters.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::InstanceType;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

void write_image(XmlWriter& out, const ec2model::Image& image, const Call& call) {
  out.text("imageId", image.id).text("name", image.name);
  out.text("imageLocation", image.owner + "/" + image.name).text("imageState", "available");
  out.text("imageOwnerId", image.owner).text("creationDate", image.creation_date);
  if (!image.owner_alias.empty()) out.text("imageOwnerAlias", image.owner_alias);
  out.boolean("isPublic", image.is_public).text("architecture", image.architecture);
  out.text("imageType", "machine").text("description", image.description);
  out.text("rootDeviceType", "ebs").text("rootDeviceName", image.root_device);
  out.text("virtualizationType", "hvm").text("hypervisor", "xen").text("enaSupport", "true");
  out.text("platformDetails", "Linux/UNIX").open("blockDeviceMapping").open("item");
  out.text("deviceName", image.root_device).open("ebs");
  out.text("snapshotId", image.snapshot()).number("volumeSize", image.disk_gib);
  out.text("volumeType", "gp3").text("deleteOnTermination", "true").text("encrypted", "false");
  out.close().close().close();
  write_tags(out, call.model.tags_of(image.id));
}

Answer<std::string> describe_images(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  static_cast<void>(reader.boolean("IncludeDeprecated"));
  static_cast<void>(reader.boolean("IncludeDisabled"));
  if (reader.has_failed()) return reader.failure();
  const auto ids = call.given.list("ImageId");
  auto found = call.model.describe_images(ids, call.given.list("Owner"), filters);
  const auto executable = call.given.list("ExecutableBy");
  if (found && !executable.empty()) {
    // Launch permissions are `all` for public images; the simulator gives no others.
    const bool wants_public =
        std::find(executable.begin(), executable.end(), "all") != executable.end();
    std::erase_if(*found,
                  [&](const ec2model::Image* image) { return !wants_public || !image->is_public; });
  }
  return list_page(
      call, "imagesSet", found, {1, 1000, !ids.empty(), "imageIdsSet"},
      [&](XmlWriter& out, const ec2model::Image* image) { write_image(out, *image, call); });
}

Answer<std::string> deregister_image(const Call& call) {
  ParameterReader reader(call.given);
  const bool deletes_snapshots = reader.boolean("DeleteAssociatedSnapshots");
  if (reader.has_failed()) return reader.failure();
  const std::string id = call.given.text("ImageId");
  const ec2model::Image* image = call.model.find_image(id);
  const std::string snapshot = image != nullptr ? image->snapshot() : "";
  const auto gone = call.model.deregister_image(id, call.gate);
  if (!gone) return again(gone);
  XmlWriter out;
  out.text("return", "true");
  if (deletes_snapshots) {
    out.open("deleteSnapshotResultSet").open("item").text("snapshotId", snapshot);
    out.text("returnCode", "success").close().close();
  }
  return out.take();
}

Answer<std::string> copy_image(const Call& call) {
  ParameterReader reader(call.given);
  auto tags = reader.tag_specifications({"image", "snapshot"});
  static_cast<void>(reader.boolean("Encrypted"));
  if (reader.has_failed()) return reader.failure();
  const std::string region = call.given.text("SourceRegion");
  ec2model::Model* from = call.around.region(call.model, region);
  if (from == nullptr)
    return refuse("InvalidParameterValue", fmt::format("Invalid region: [{}]", region));
  const std::string id = call.given.text("SourceImageId");
  const ec2model::Image* source = from->find_image(id);
  if (!ec2model::is_well_formed(id, "ami")) {
    return refuse("InvalidAMIID.Malformed",
                  fmt::format("Invalid id: \"{}\" (expecting \"ami-...\")", id));
  }
  if (source != nullptr && source->is_deregistered) {
    return refuse("InvalidAMIID.Unavailable",
                  fmt::format("The image id '[{}]' is no longer available", id));
  }
  if (source == nullptr || !from->is_visible(*source)) {
    return refuse("InvalidAMIID.NotFound", fmt::format("The image id '[{}]' does not exist", id));
  }
  const ec2model::Image original = *source;
  const auto made =
      call.model.copy_image(original, call.given.text("Name"), call.given.text("Description"),
                            tags["image"], call.given.text("ClientToken"), call.gate, call.now);
  if (!made) return again(made);
  return XmlWriter().text("imageId", *made).take();
}

void write_type(XmlWriter& out, const InstanceType& type) {
  const bool is_old = !type.is_nitro();
  out.text("instanceType", type.name).boolean("currentGeneration", !is_old);
  out.text("freeTierEligible", "false").open("supportedUsageClasses");
  out.text("item", "on-demand").text("item", "spot").close();
  out.open("supportedRootDeviceTypes").text("item", "ebs").close();
  out.open("supportedVirtualizationTypes").text("item", "hvm").close();
  out.text("bareMetal", "false").text("hypervisor", is_old ? "xen" : "nitro");
  out.open("processorInfo").open("supportedArchitectures").text("item", type.architecture).close();
  out.text("sustainedClockSpeedInGhz", "3.1");
  out.text("manufacturer", type.architecture == "arm64" ? "AWS" : "Intel").close();
  const int threads = type.architecture == "arm64" || type.vcpu_count == 1 ? 1 : 2;
  out.open("vCpuInfo").number("defaultVCpus", type.vcpu_count);
  out.number("defaultCores", type.vcpu_count / threads)
      .number("defaultThreadsPerCore", threads)
      .close();
  out.open("memoryInfo").number("sizeInMiB", type.memory_mib).close();
  out.text("instanceStorageSupported", "false");
  out.open("ebsInfo").text("ebsOptimizedSupport", "default").text("encryptionSupport", "supported");
  out.text("nvmeSupport", is_old ? "unsupported" : "required").close();
  out.open("networkInfo").text("networkPerformance", "Up to 5 Gigabit");
  out.number("maximumNetworkInterfaces", 3).number("maximumNetworkCards", 1);
  out.number("ipv4AddressesPerInterface", 12);
  out.text("enaSupport", is_old ? "unsupported" : "required").close();
  out.boolean("hibernationSupported", type.can_hibernate());
  out.boolean("burstablePerformanceSupported", type.is_burstable());
  out.open("supportedBootModes").text("item", "legacy-bios").text("item", "uefi").close();
}

Answer<std::string> describe_types(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto names = call.given.list("InstanceType");
  if (names.size() > 100) {
    return refuse("InvalidParameterValue", "At most 100 instance types may be named");
  }
  return list_page(call, "instanceTypeSet", call.model.describe_types(names, *filters),
                   {5, 100, !names.empty(), "InstanceTypes"},
                   [](XmlWriter& out, const InstanceType* type) { write_type(out, *type); });
}

Answer<std::string> describe_offerings(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  std::string kind = reader.word(
      "LocationType", {"region", "availability-zone", "availability-zone-id", "outpost"});
  if (reader.has_failed()) return reader.failure();
  if (kind.empty()) kind = "region";
  for (const ec2model::Filter& filter : filters) {
    if (filter.name == "instance-type" || filter.name == "location") continue;
    return refuse("InvalidParameterValue", fmt::format("The filter '{}' is invalid", filter.name));
  }
  struct Offering {
    std::string type;
    std::string location;
  };
  std::vector<Offering> found;
  const ec2model::World& world = call.model.world();
  const auto add = [&](const InstanceType& type, const std::string& location) {
    const bool matches =
        std::all_of(filters.begin(), filters.end(), [&](const ec2model::Filter& filter) {
          const std::string_view value = filter.name == "location" ? location : type.name;
          return matches_any(filter, value);
        });
    if (matches) found.push_back({std::string(type.name), location});
  };
  for (const InstanceType& type : ec2model::all_types()) {
    if (kind == "region") add(type, world.region);
    if (kind == "region" || kind == "outpost") continue;
    for (const std::string& zone : world.zones) {
      if (!call.model.is_offered(type, zone)) continue;
      add(type, kind == "availability-zone" ? zone : world.zone_id(zone));
    }
  }
  return list_page(call, "instanceTypeOfferingSet", Answer<std::vector<Offering>>(std::move(found)),
                   {}, [&](XmlWriter& out, const Offering& offering) {
                     out.text("instanceType", offering.type).text("locationType", kind);
                     out.text("location", offering.location);
                   });
}

Answer<std::string> describe_prices(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  const auto from = reader.maybe_time("StartTime");
  const auto to = reader.maybe_time("EndTime");
  if (reader.has_failed()) return reader.failure();
  const auto types = call.given.list("InstanceType");
  const auto products = call.given.list("ProductDescription");
  const std::string zone = call.given.text("AvailabilityZone");
  const std::string zone_id = call.given.text("AvailabilityZoneId");
  for (const std::string& type : types) {
    if (ec2model::find_type(type) == nullptr) return invalid_value(type, "InstanceType");
  }
  for (const ec2model::Filter& filter : filters) {
    const bool is_known = filter.name == "availability-zone" || filter.name == "instance-type" ||
                          filter.name == "product-description" || filter.name == "spot-price" ||
                          filter.name == "timestamp";
    if (is_known) continue;
    return refuse("InvalidParameterValue", fmt::format("The filter '{}' is invalid", filter.name));
  }
  const bool sells_linux =
      products.empty() || std::any_of(products.begin(), products.end(), [](const std::string& one) {
        return one.starts_with("Linux/UNIX");
      });
  const auto last = to.value_or(call.now);
  std::vector<ec2model::SpotPrice> found;
  if (sells_linux) {
    for (ec2model::SpotPrice& price : call.model.spot_prices(from.value_or(last), last)) {
      if (!types.empty() &&
          std::find(types.begin(), types.end(), price.instance_type) == types.end())
        continue;
      if (!zone.empty() && price.zone != zone) continue;
      if (!zone_id.empty() && price.zone_id != zone_id) continue;
      const std::string amount = fmt::format("{:.6f}", static_cast<double>(price.usd_micros) / 1e6);
      const bool matches =
          std::all_of(filters.begin(), filters.end(), [&](const ec2model::Filter& filter) {
            if (filter.name == "availability-zone") return matches_any(filter, price.zone);
            if (filter.name == "instance-type") return matches_any(filter, price.instance_type);
            if (filter.name == "spot-price") return matches_any(filter, amount);
            if (filter.name == "timestamp")
              return matches_any(filter, muster::format_iso8601(price.at));
            return matches_any(filter, "Linux/UNIX");
          });
      if (matches) found.push_back(std::move(price));
    }
  }
  return list_page(
      call, "spotPriceHistorySet", Answer<std::vector<ec2model::SpotPrice>>(std::move(found)),
      {1, 1000, false, ""}, [](XmlWriter& out, const ec2model::SpotPrice& price) {
        out.text("instanceType", price.instance_type);
        out.text("productDescription", "Linux/UNIX");
        out.text("spotPrice", fmt::format("{:.6f}", static_cast<double>(price.usd_micros) / 1e6));
        out.text("timestamp", muster::format_iso8601_millis(price.at));
        out.text("availabilityZone", price.zone).text("availabilityZoneId", price.zone_id);
      });
}

Answer<std::string> placement_scores(const Call& call) {
  ParameterReader reader(call.given);
  const bool is_single = reader.boolean("SingleAvailabilityZone");
  const int capacity = reader.integer("TargetCapacity");
  if (reader.has_failed()) return reader.failure();
  if (capacity < 1) return invalid_value(std::to_string(capacity), "TargetCapacity");
  struct Score {
    std::string zone_id;
    int value;
  };
  std::vector<Score> scores;
  const ec2model::World& world = call.model.world();
  const auto types = call.given.list("InstanceType");
  int best = 1;
  for (const std::string& zone : world.zones) {
    int score = 1;
    for (const std::string& name : types) {
      const InstanceType* type = ec2model::find_type(name);
      if (type == nullptr) return invalid_value(name, "InstanceType");
      const bool is_full = std::any_of(
          world.faults.full_offerings.begin(), world.faults.full_offerings.end(),
          [&](const std::string& pattern) {
            return ec2model::matches_wildcard(pattern, fmt::format("spot/{}/{}", name, zone));
          });
      if (call.model.is_offered(*type, zone) && !is_full) score = 9;
    }
    best = std::max(best, score);
    scores.push_back({world.zone_id(zone), score});
  }
  if (!is_single) scores = {{"", best}};
  return list_page(call, "spotPlacementScoreSet", Answer<std::vector<Score>>(std::move(scores)),
                   {10, 1000, false, ""}, [&](XmlWriter& out, const Score& score) {
                     out.text("region", world.region);
                     if (!score.zone_id.empty()) out.text("availabilityZoneId", score.zone_id);
                     out.number("score", score.value);
                   });
}

void write_volume(XmlWriter& out, const ec2model::Volume& volume, const Call& call) {
  out.text("volumeId", volume.id)
      .number("size", volume.size_gib)
      .text("snapshotId", volume.snapshot);
  out.text("availabilityZone", volume.zone)
      .text("status", volume.instance.empty() ? "available" : "in-use");
  out.text("createTime", muster::format_iso8601_millis(volume.created_at))
      .text("volumeType", volume.type);
  if (volume.iops) out.number("iops", *volume.iops);
  if (volume.throughput) out.number("throughput", *volume.throughput);
  out.boolean("encrypted", volume.is_encrypted).text("multiAttachEnabled", "false");
  out.open("attachmentSet");
  if (!volume.instance.empty()) {
    out.open("item").text("volumeId", volume.id).text("instanceId", volume.instance);
    out.text("device", volume.device).text("status", "attached");
    out.text("attachTime", muster::format_iso8601_millis(volume.created_at));
    out.boolean("deleteOnTermination", volume.deletes_on_termination).close();
  }
  out.close();
  write_tags(out, call.model.tags_of(volume.id));
}

Answer<std::string> describe_volumes(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("VolumeId");
  return list_page(
      call, "volumeSet", call.model.describe_volumes(ids, *filters),
      {5, 1000, !ids.empty(), "volumeIdsSet"},
      [&](XmlWriter& out, const ec2model::Volume* one) { write_volume(out, *one, call); });
}

Answer<std::string> delete_volume(const Call& call) {
  return done(call.model.delete_volume(call.given.text("VolumeId"), call.gate));
}

void write_interface(XmlWriter& out, const ec2model::NetworkInterface& at, const Call& call) {
  const std::string& account = call.model.world().account;
  out.text("networkInterfaceId", at.id).text("subnetId", at.subnet).text("vpcId", at.vpc);
  out.text("availabilityZone", at.zone)
      .text("description", at.description)
      .text("ownerId", account);
  out.text("requesterManaged", "false")
      .text("status", at.instance.empty() ? "available" : "in-use");
  out.text("macAddress", at.mac).text("privateIpAddress", at.private_address);
  out.text("privateDnsName", private_name(at.private_address));
  out.boolean("sourceDestCheck", at.has_source_check);
  out.text("interfaceType", "interface");
  write_group_names(out, call.model, at.groups);
  if (!at.instance.empty()) {
    out.open("attachment").text("attachmentId", "eni-attach-" + at.id.substr(4));
    out.text("instanceId", at.instance).text("instanceOwnerId", account).text("deviceIndex", "0");
    out.text("status", "attached")
        .text("attachTime", muster::format_iso8601_millis(at.attached_at));
    out.boolean("deleteOnTermination", at.deletes_on_termination).close();
  }
  if (!at.public_address.empty()) {
    out.open("association").text("publicIp", at.public_address).text("publicDnsName", "");
    out.text("ipOwnerId", "amazon").close();
  }
  out.open("privateIpAddressesSet").open("item").text("privateIpAddress", at.private_address);
  out.text("primary", "true").close().close();
  write_tags(out, call.model.tags_of(at.id));
}

Answer<std::string> describe_interfaces(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("NetworkInterfaceId");
  return list_page(call, "networkInterfaceSet", call.model.describe_interfaces(ids, *filters),
                   {5, 1000, !ids.empty(), "networkInterfaceIdsSet"},
                   [&](XmlWriter& out, const ec2model::NetworkInterface* one) {
                     write_interface(out, *one, call);
                   });
}

Answer<std::string> delete_interface(const Call& call) {
  return done(call.model.delete_interface(call.given.text("NetworkInterfaceId"), call.gate));
}

void write_spot_request(XmlWriter& out, const ec2model::SpotRequest& at, const Call& call) {
  out.text("spotInstanceRequestId", at.id);
  if (!at.price.empty()) out.text("spotPrice", at.price);
  out.text("type", at.is_persistent ? "persistent" : "one-time").text("state", at.state);
  out.open("status").text("code", at.status_code);
  out.text("updateTime", muster::format_iso8601_millis(at.updated_at))
      .text("message", at.status)
      .close();
  out.text("createTime", muster::format_iso8601_millis(at.created_at));
  out.text("productDescription", "Linux/UNIX");
  if (!at.instance.empty()) out.text("instanceId", at.instance);
  if (!at.zone.empty() && at.state == "active") out.text("launchedAvailabilityZone", at.zone);
  out.text("instanceInterruptionBehavior", at.behaviour);
  out.open("launchSpecification").text("imageId", at.launch.image);
  out.text("instanceType", at.launch.instance_type);
  if (!at.launch.key_name.empty()) out.text("keyName", at.launch.key_name);
  if (!at.launch.subnet.empty()) out.text("subnetId", at.launch.subnet);
  out.open("groupSet");
  for (const std::string& group : at.launch.group_ids) {
    out.open("item").text("groupId", group).close();
  }
  out.close().open("monitoring").boolean("enabled", at.launch.is_monitored).close().close();
  write_tags(out, call.model.tags_of(at.id));
}

Answer<std::string> request_spot(const Call& call) {
  ParameterReader reader(call.given);
  auto tags = reader.tag_specifications({"spot-instances-request"});
  if (reader.has_failed()) return reader.failure();
  const auto request = read_spot_request(call.given);
  if (!request) return again(request);
  const auto made =
      call.model.request_spot(*request, tags["spot-instances-request"], call.gate, call.now);
  if (!made) return again(made);
  XmlWriter out;
  out.open("spotInstanceRequestSet");
  for (const ec2model::SpotRequest& one : *made) {
    out.open("item");
    write_spot_request(out, one, call);
    out.close();
  }
  out.close();
  return out.take();
}

Answer<std::string> describe_spot(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("SpotInstanceRequestId");
  return list_page(call, "spotInstanceRequestSet", call.model.describe_spot_requests(ids, *filters),
                   {5, 1000, !ids.empty(), "spotInstanceRequestIdsSet"},
                   [&](XmlWriter& out, const ec2model::SpotRequest* one) {
                     write_spot_request(out, *one, call);
                   });
}

Answer<std::string> cancel_spot(const Call& call) {
  const auto cancelled =
      call.model.cancel_spot(call.given.list("SpotInstanceRequestId"), call.gate, call.now);
  if (!cancelled) return again(cancelled);
  XmlWriter out;
  out.open("spotInstanceRequestSet");
  for (const ec2model::SpotRequest* one : *cancelled) {
    out.open("item").text("spotInstanceRequestId", one->id).text("state", one->state).close();
  }
  out.close();
  return out.take();
}

}  // namespace

ActionTable image_actions() {
  return {
      {"DescribeImages",
       {describe_images,
        paged({"ImageId.N", "Owner.N", "ExecutableBy.N", "IncludeDeprecated", "IncludeDisabled"}),
        {},
        false}},
      {"DeregisterImage",
       {deregister_image, {"ImageId", "DeleteAssociatedSnapshots"}, {"ImageId"}, false}},
      {"CopyImage",
       {copy_image,
        tagged({"SourceRegion", "SourceImageId", "Name", "Description", "Encrypted", "KmsKeyId",
                "ClientToken"}),
        {"SourceRegion", "SourceImageId", "Name"},
        false}},
  };
}

ActionTable storage_actions() {
  return {
      {"DescribeVolumes", {describe_volumes, paged({"VolumeId.N"}), {}, true}},
      {"DeleteVolume", {delete_volume, {"VolumeId"}, {"VolumeId"}, false}},
      {"DescribeNetworkInterfaces",
       {describe_interfaces, paged({"NetworkInterfaceId.N"}), {}, true}},
      {"DeleteNetworkInterface",
       {delete_interface, {"NetworkInterfaceId"}, {"NetworkInterfaceId"}, false}},
  };
}

ActionTable catalog_actions() {
  return {
      {"DescribeInstanceTypes", {describe_types, paged({"InstanceType.N"}), {}, false}},
      {"DescribeInstanceTypeOfferings", {describe_offerings, paged({"LocationType"}), {}, false}},
      {"DescribeSpotPriceHistory",
       {describe_prices,
        paged({"AvailabilityZone", "AvailabilityZoneId", "StartTime", "EndTime", "InstanceType.N",
               "ProductDescription.N"}),
        {},
        false}},
      {"GetSpotPlacementScores",
       {placement_scores,
        paged({"InstanceType.N", "TargetCapacity", "SingleAvailabilityZone", "RegionName.N",
               "TargetCapacityUnitType"}),
        {"TargetCapacity"},
        false}},
  };
}

ActionTable spot_actions() {
  std::vector<std::string_view> names =
      tagged({"SpotPrice", "InstanceCount", "Type", "InstanceInterruptionBehavior", "ValidFrom",
              "ValidUntil", "ClientToken"});
  static const std::vector<std::string>& inner = *[] {
    auto made = std::make_unique<std::vector<std::string>>();
    for (const std::string_view name : launch_names()) {
      made->push_back("LaunchSpecification." + std::string(name));
    }
    return made.release();
  }();
  names.insert(names.end(), inner.begin(), inner.end());
  return {
      {"RequestSpotInstances", {request_spot, names, {"LaunchSpecification.ImageId"}, false}},
      {"DescribeSpotInstanceRequests",
       {describe_spot, paged({"SpotInstanceRequestId.N"}), {}, true}},
      {"CancelSpotInstanceRequests",
       {cancel_spot, {"SpotInstanceRequestId.N"}, {"SpotInstanceRequestId.N"}, false}},
  };
}

}  // namespace ec2sim
