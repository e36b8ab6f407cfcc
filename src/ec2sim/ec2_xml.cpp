#include "ec2sim/ec2_xml.hpp"

#include <algorithm>

namespace ec2sim {

using ec2model::Instance;
using ec2model::Model;
using muster::wire::XmlWriter;

namespace {

constexpr std::chrono::seconds kStaleFor{10};

/// What a listing shows of a machine's state: with the fault `flap` at times the one before.
ec2model::State shown_state(const Instance& at, const Model& model, muster::TimePoint now) {
  const double chance = model.world().faults.flap;
  const bool may_be_stale = chance > 0 && now - at.changed_at < kStaleFor;
  if (!may_be_stale || model.chance() >= chance) return at.state;
  model.strike("flap");
  return at.state_before;
}

void write_interface(XmlWriter& out, const ec2model::NetworkInterface& at, const Model& model) {
  out.open("networkInterfaceSet").open("item");
  out.text("networkInterfaceId", at.id).text("subnetId", at.subnet).text("vpcId", at.vpc);
  out.text("description", at.description).text("ownerId", model.world().account);
  out.text("status", "in-use").text("macAddress", at.mac);
  out.text("privateIpAddress", at.private_address);
  out.text("privateDnsName", private_name(at.private_address));
  out.boolean("sourceDestCheck", at.has_source_check);
  write_group_names(out, model, at.groups);
  out.open("attachment").text("attachmentId", "eni-attach-" + at.id.substr(4));
  out.text("deviceIndex", "0").text("status", "attached");
  out.text("attachTime", muster::format_iso8601_millis(at.attached_at));
  out.boolean("deleteOnTermination", at.deletes_on_termination).close();
  if (!at.public_address.empty()) {
    out.open("association").text("publicIp", at.public_address).text("publicDnsName", "").close();
  }
  out.open("privateIpAddressesSet").open("item").text("privateIpAddress", at.private_address);
  out.text("primary", "true").close().close();
  out.text("interfaceType", "interface").close().close();
}

}  // namespace

std::string private_name(const std::string& address) {
  std::string name = "ip-" + address;
  std::replace(name.begin(), name.end(), '.', '-');
  return name + ".ec2.internal";
}

void write_tags(XmlWriter& out, const ec2model::Tags& tags) {
  out.open("tagSet");
  for (const auto& [key, value] : tags) {
    out.open("item").text("key", key).text("value", value).close();
  }
  out.close();
}

void write_group_names(XmlWriter& out, const Model& model, const std::vector<std::string>& groups) {
  out.open("groupSet");
  for (const std::string& id : groups) {
    const ec2model::SecurityGroup* group = model.find_group(id);
    out.open("item")
        .text("groupId", id)
        .text("groupName", group != nullptr ? group->name : "")
        .close();
  }
  out.close();
}

void write_block_devices(XmlWriter& out, const Instance& at, const Model& model) {
  out.open("blockDeviceMapping");
  for (const std::string& id : at.volumes) {
    const ec2model::Volume* volume = model.find_volume(id);
    if (volume == nullptr || volume->instance != at.id) continue;
    out.open("item").text("deviceName", volume->device).open("ebs");
    out.text("volumeId", id).text("status", "attached");
    out.text("attachTime", muster::format_iso8601_millis(volume->created_at));
    out.boolean("deleteOnTermination", volume->deletes_on_termination).close().close();
  }
  out.close();
}

void write_instance(XmlWriter& out, const Instance& at, const Model& model, ec2model::State state) {
  out.text("instanceId", at.id).text("imageId", at.image);
  out.open("instanceState").number("code", code_of(state)).text("name", name_of(state)).close();
  out.text("privateDnsName", private_name(at.private_address)).text("dnsName", "");
  out.text("reason", at.transition_reason).number("amiLaunchIndex", at.launch_index);
  if (!at.key_name.empty()) out.text("keyName", at.key_name);
  out.text("instanceType", at.instance_type);
  out.text("launchTime", muster::format_iso8601_millis(at.launched_at));
  out.open("placement").text("availabilityZone", at.zone).text("availabilityZoneId", at.zone_id);
  out.text("groupName", "").text("tenancy", "default").close();
  out.open("monitoring").text("state", at.is_monitored ? "enabled" : "disabled").close();
  const bool is_gone = at.state == ec2model::State::terminated;
  if (!is_gone) {
    out.text("subnetId", at.subnet).text("vpcId", at.vpc);
    out.text("privateIpAddress", at.private_address);
    if (!at.public_address.empty()) out.text("ipAddress", at.public_address);
  }
  if (!at.state_reason_code.empty()) {
    out.open("stateReason")
        .text("code", at.state_reason_code)
        .text("message", at.state_reason)
        .close();
  }
  out.text("architecture", at.architecture).text("rootDeviceType", "ebs");
  out.text("rootDeviceName", at.root_device);
  if (at.state == ec2model::State::pending) {
    out.open("blockDeviceMapping").close();
  } else {
    write_block_devices(out, at, model);
  }
  out.text("virtualizationType", "hvm").text("hypervisor", "xen");
  if (!at.spot_request.empty()) {
    out.text("instanceLifecycle", "spot").text("spotInstanceRequestId", at.spot_request);
  }
  out.text("clientToken", at.client_token).boolean("ebsOptimized", at.is_ebs_optimized);
  if (at.profile) {
    out.open("iamInstanceProfile").text("arn", at.profile->arn).text("id", at.profile->id).close();
  }
  if (!is_gone) {
    const ec2model::NetworkInterface* interface = model.find_interface(at.interface_id);
    if (interface != nullptr) write_interface(out, *interface, model);
    write_group_names(out, model, at.groups);
    out.boolean("sourceDestCheck", at.has_source_check);
  }
  out.open("metadataOptions").text("state", "applied");
  out.text("httpTokens", at.metadata.needs_token ? "required" : "optional");
  out.number("httpPutResponseHopLimit", at.metadata.hop_limit);
  out.text("httpEndpoint", at.metadata.is_enabled ? "enabled" : "disabled");
  out.text("instanceMetadataTags", at.metadata.shows_tags ? "enabled" : "disabled").close();
  out.text("platformDetails", "Linux/UNIX");
  out.open("hibernationOptions").boolean("configured", at.is_hibernation_configured).close();
  write_tags(out, at.tags);
}

void write_reservation(XmlWriter& out, const ec2model::Reservation& reservation, const Model& model,
                       muster::TimePoint now) {
  out.text("reservationId", reservation.id)
      .text("ownerId", model.world().account)
      .open("groupSet")
      .close();
  out.open("instancesSet");
  for (const Instance* instance : reservation.instances) {
    out.open("item");
    write_instance(out, *instance, model, shown_state(*instance, model, now));
    out.close();
  }
  out.close();
}

void write_changes(XmlWriter& out, const std::vector<ec2model::StateChange>& changes) {
  out.open("instancesSet");
  for (const ec2model::StateChange& change : changes) {
    out.open("item").text("instanceId", change.id);
    out.open("currentState").number("code", code_of(change.current));
    out.text("name", name_of(change.current)).close();
    out.open("previousState").number("code", code_of(change.previous));
    out.text("name", name_of(change.previous)).close().close();
  }
  out.close();
}

}  // namespace ec2sim
