#include "ec2sim/ec2_api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/document.hpp"
#include "ec2model/ids.hpp"
#include "wire/digest.hpp"
#include "wire/xml.hpp"

namespace ec2sim {

using ec2model::Instance;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

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

void write_groups(XmlWriter& out, const std::vector<ec2model::SecurityGroup>& groups) {
  out.open("groupSet");
  for (const auto& group : groups) {
    out.open("item").text("groupId", group.id).text("groupName", group.name).close();
  }
  out.close();
}

void write_interface(XmlWriter& out, const Instance& at, const std::string& account) {
  const std::string launched = muster::format_iso8601_millis(at.launched_at);
  out.open("networkInterfaceSet").open("item");
  out.text("networkInterfaceId", at.interface_id).text("subnetId", at.subnet).text("vpcId", at.vpc);
  out.text("description", at.interface_description).text("ownerId", account);
  out.text("status", "in-use").text("macAddress", at.mac);
  out.text("privateIpAddress", at.private_address);
  out.text("privateDnsName", private_name(at.private_address)).text("sourceDestCheck", "true");
  write_groups(out, at.groups);
  out.open("attachment").text("attachmentId", "eni-attach-" + at.interface_id.substr(4));
  out.text("deviceIndex", "0").text("status", "attached").text("attachTime", launched);
  out.text("deleteOnTermination", "true").close();
  if (!at.public_address.empty()) {
    out.open("association").text("publicIp", at.public_address).text("publicDnsName", "").close();
  }
  out.text("interfaceType", "interface").close().close();
}

void write_volumes(XmlWriter& out, const Instance& at) {
  out.open("blockDeviceMapping");
  for (const ec2model::Volume& volume : at.volumes) {
    if (at.state == ec2model::State::pending) break;
    out.open("item").text("deviceName", volume.device).open("ebs");
    out.text("volumeId", volume.id).text("status", "attached");
    out.text("attachTime", muster::format_iso8601_millis(at.launched_at));
    out.boolean("deleteOnTermination", volume.deletes_on_termination).close().close();
  }
  out.close();
}

void write_instance(XmlWriter& out, const Instance& at, const std::string& account) {
  out.open("item");
  out.text("instanceId", at.id).text("imageId", at.image);
  out.open("instanceState")
      .number("code", code_of(at.state))
      .text("name", name_of(at.state))
      .close();
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
  write_volumes(out, at);
  out.text("virtualizationType", "hvm").text("hypervisor", "xen");
  if (!at.spot_request.empty()) {
    out.text("instanceLifecycle", "spot").text("spotInstanceRequestId", at.spot_request);
  }
  out.text("clientToken", at.client_token).boolean("ebsOptimized", at.is_ebs_optimized);
  if (at.profile) {
    out.open("iamInstanceProfile").text("arn", at.profile->arn).text("id", at.profile->id).close();
  }
  if (!is_gone) {
    write_interface(out, at, account);
    write_groups(out, at.groups);
  }
  out.open("metadataOptions").text("state", "applied");
  out.text("httpTokens", at.metadata.needs_token ? "required" : "optional");
  out.number("httpPutResponseHopLimit", at.metadata.hop_limit);
  out.text("httpEndpoint", at.metadata.is_enabled ? "enabled" : "disabled");
  out.text("instanceMetadataTags", at.metadata.shows_tags ? "enabled" : "disabled").close();
  out.text("platformDetails", "Linux/UNIX");
  write_tags(out, at.tags);
  out.close();
}

void write_reservation(XmlWriter& out, const ec2model::Reservation& reservation,
                       const std::string& account) {
  out.text("reservationId", reservation.id).text("ownerId", account).open("groupSet").close();
  out.open("instancesSet");
  for (const Instance* instance : reservation.instances) write_instance(out, *instance, account);
  out.close();
}

/// The gate of an action that only reads.
Answer<void> pass(const ec2model::Gate& gate) {
  if (!gate.permission) return gate.permission;
  if (gate.is_dry_run) return ec2model::dry_run_refusal();
  return gate.bucket;
}

muster::HttpServerResponse xml_response(int status, const std::string& request_id,
                                        std::string body) {
  muster::HttpServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "text/xml;charset=UTF-8"},
                      {"x-amzn-requestid", request_id},
                      {"Server", "AmazonEC2"}};
  response.body = R"(<?xml version="1.0" encoding="UTF-8"?>)" + std::move(body);
  return response;
}

}  // namespace

Ec2Api::Ec2Api(ec2model::Model& model, const Authenticator& authenticator, muster::Clock& clock,
               ConsoleReader console, CallObserver observer)
    : model_(model),
      authenticator_(authenticator),
      clock_(clock),
      console_(std::move(console)),
      observer_(std::move(observer)) {}

const std::map<std::string, Ec2Api::Entry>& Ec2Api::actions() {
  static const std::vector<std::string_view> paged{"Filter.N.Name", "Filter.N.Value.N",
                                                   "MaxResults", "NextToken"};
  const auto with = [](std::vector<std::string_view> more) {
    more.insert(more.end(), paged.begin(), paged.end());
    return more;
  };
  static const std::map<std::string, Entry> table{
      {"RunInstances",
       {&Ec2Api::run_instances,
        {"BlockDeviceMapping.N.DeviceName",
         "BlockDeviceMapping.N.Ebs.DeleteOnTermination",
         "BlockDeviceMapping.N.Ebs.Iops",
         "BlockDeviceMapping.N.Ebs.VolumeSize",
         "BlockDeviceMapping.N.Ebs.VolumeType",
         "BlockDeviceMapping.N.Ebs.KmsKeyId",
         "BlockDeviceMapping.N.Ebs.Throughput",
         "BlockDeviceMapping.N.Ebs.Encrypted",
         "ImageId",
         "InstanceType",
         "KeyName",
         "MaxCount",
         "MinCount",
         "Monitoring.Enabled",
         "Placement.AvailabilityZone",
         "Placement.Tenancy",
         "SecurityGroupId.N",
         "SecurityGroup.N",
         "SubnetId",
         "UserData",
         "TagSpecification.N.ResourceType",
         "TagSpecification.N.Tag.N.Key",
         "TagSpecification.N.Tag.N.Value",
         "InstanceMarketOptions.MarketType",
         "InstanceMarketOptions.SpotOptions.MaxPrice",
         "InstanceMarketOptions.SpotOptions.SpotInstanceType",
         "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
         "CreditSpecification.CpuCredits",
         "MetadataOptions.HttpTokens",
         "MetadataOptions.HttpPutResponseHopLimit",
         "MetadataOptions.HttpEndpoint",
         "MetadataOptions.InstanceMetadataTags",
         "DisableApiStop",
         "DisableApiTermination",
         "InstanceInitiatedShutdownBehavior",
         "PrivateIpAddress",
         "ClientToken",
         "NetworkInterface.N.AssociatePublicIpAddress",
         "NetworkInterface.N.DeleteOnTermination",
         "NetworkInterface.N.Description",
         "NetworkInterface.N.DeviceIndex",
         "NetworkInterface.N.SecurityGroupId.N",
         "NetworkInterface.N.PrivateIpAddress",
         "NetworkInterface.N.SubnetId",
         "NetworkInterface.N.InterfaceType",
         "IamInstanceProfile.Arn",
         "IamInstanceProfile.Name",
         "EbsOptimized"},
        {"MaxCount", "MinCount", "ImageId"}}},
      {"DescribeInstances", {&Ec2Api::describe_instances, with({"InstanceId.N"}), {}, true}},
      // An empty list is a combination error, not a missing parameter.
      {"TerminateInstances",
       {&Ec2Api::terminate_instances, {"InstanceId.N", "Force", "SkipOsShutdown"}, {}}},
      {"CreateTags",
       {&Ec2Api::create_tags,
        {"ResourceId.N", "Tag.N.Key", "Tag.N.Value"},
        {"ResourceId.N", "Tag.N"}}},
      {"DescribeImages",
       {&Ec2Api::describe_images,
        with({"ImageId.N", "Owner.N", "IncludeDeprecated", "IncludeDisabled"}),
        {}}},
      {"DescribeSubnets", {&Ec2Api::describe_subnets, with({"SubnetId.N"}), {}}},
      {"DescribeSecurityGroups",
       {&Ec2Api::describe_security_groups, with({"GroupId.N", "GroupName.N"}), {}, true}},
      {"GetConsoleOutput", {&Ec2Api::get_console_output, {"InstanceId", "Latest"}, {"InstanceId"}}},
  };
  return table;
}

Answer<std::string> Ec2Api::answer(const muster::HttpServerRequest& request, std::string& action) {
  const std::size_t question = request.target.find('?');
  const std::string path = request.target.substr(0, question);
  const std::string query_text =
      question == std::string::npos ? std::string() : request.target.substr(question + 1);
  const auto query = muster::wire::form_decode(query_text);
  const auto body = muster::wire::form_decode(request.body);
  if (!query || !body) return refuse("MalformedQueryString", "The query string is malformed");
  muster::wire::Parameters given = request.method == "GET" ? *query : *body;
  for (const auto& [name, value] : given) {
    if (name == "Action") action = value;
  }
  if (auto fine = authenticator_.check(request, path, *query, clock_.now()); !fine) {
    return tl::unexpected<Ec2Error>(fine.error());
  }
  const auto entry = actions().find(action);
  if (entry == actions().end()) {
    return refuse("InvalidAction",
                  fmt::format("The action {} is not valid for this web service.", action));
  }
  const Answer<Parameters> parameters =
      Parameters::check(given, entry->second.known, entry->second.required);
  if (!parameters) return tl::unexpected<Ec2Error>(parameters.error());
  const bool is_unfiltered = entry->second.is_refused_unfiltered &&
                             !parameters->has_prefix("Filter.") && !parameters->has("MaxResults") &&
                             !parameters->has_prefix("InstanceId.") &&
                             !parameters->has_prefix("Group");
  const auto is_dry_run = parameters->boolean("DryRun");
  if (!is_dry_run) return tl::unexpected<Ec2Error>(is_dry_run.error());
  const ec2model::Gate gate{model_.permit(action),
                            model_.throttle(action, is_unfiltered, clock_.now()),
                            is_dry_run->value_or(false)};
  return (this->*entry->second.run)(*parameters, gate);
}

muster::Task<muster::HttpServerResponse> Ec2Api::handle(muster::HttpServerRequest request) {
  std::string id = model_.random_id("", 32);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) id.insert(at, "-");
  std::string action;
  Answer<std::string> answered = answer(request, action);
  observer_(actions().contains(action) ? action : "(unknown)",
            answered ? "" : answered.error().code);
  if (!answered) {
    const Ec2Error& error = answered.error();
    XmlWriter out;
    out.open("Response").open("Errors").open("Error");
    out.text("Code", error.code).text("Message", error.message);
    out.close().close().text("RequestID", id).close();
    co_return xml_response(error.status, id, out.take());
  }
  XmlWriter out;
  out.open(action + "Response", R"(xmlns="http://ec2.amazonaws.com/doc/2016-11-15/")");
  out.text("requestId", id).raw(*answered).close();
  co_return xml_response(200, id, out.take());
}

Answer<Ec2Api::Page> Ec2Api::page_of(const Parameters& given, std::size_t count, int smallest,
                                     int largest, bool has_ids, const std::string& ids_name) const {
  const auto size = given.integer("MaxResults");
  if (!size) return tl::unexpected<Ec2Error>(size.error());
  if (*size && has_ids) {
    return refuse("InvalidParameterCombination",
                  fmt::format("The parameter {} cannot be used with the parameter {}", ids_name,
                              ids_name == "SubnetIds" ? "MaxResults" : "maxResults"));
  }
  if (*size && (**size < smallest || **size > largest)) {
    const bool is_small = **size < smallest;
    return refuse(
        "InvalidParameterValue",
        fmt::format("Value ( {} ) for parameter maxResults is invalid. Expecting a value "
                    "{} than or equal to {}.",
                    **size, is_small ? "greater" : "less", is_small ? smallest : largest));
  }
  Page page;
  const std::string token = given.text("NextToken");
  if (!token.empty()) {
    const auto bytes = muster::wire::base64_decode(token);
    const auto number = bytes && bytes->starts_with("page:")
                            ? muster::parse_integer(bytes->substr(5))
                            : std::nullopt;
    if (!number || *number < 0) {
      return refuse("InvalidNextToken", fmt::format("The token '{}' is invalid", token));
    }
    page.begin = std::min(count, static_cast<std::size_t>(*number));
  }
  page.end = *size ? std::min(count, page.begin + static_cast<std::size_t>(**size)) : count;
  if (page.end < count) {
    page.next_token = muster::wire::base64_encode(fmt::format("page:{:09}", page.end));
  }
  return page;
}

Answer<std::string> Ec2Api::run_instances(const Parameters& given, const ec2model::Gate& gate) {
  Answer<ec2model::LaunchRequest> request = read_launch(given);
  if (!request) return tl::unexpected<Ec2Error>(request.error());
  const auto launched = model_.run_instances(*request, gate, clock_.now());
  if (!launched) return tl::unexpected<Ec2Error>(launched.error());
  XmlWriter out;
  write_reservation(out, *launched, model_.world().account);
  return out.take();
}

Answer<std::string> Ec2Api::describe_instances(const Parameters& given,
                                               const ec2model::Gate& gate) {
  const auto filters = given.filters();
  if (!filters) return tl::unexpected<Ec2Error>(filters.error());
  const std::vector<std::string> ids = given.list("InstanceId");
  const auto found = model_.describe_instances(ids, *filters, clock_.now());
  if (!found) return tl::unexpected<Ec2Error>(found.error());
  const auto page = page_of(given, found->size(), 5, 1000, !ids.empty(), "instancesSet");
  if (!page) return tl::unexpected<Ec2Error>(page.error());
  if (auto open = pass(gate); !open) return tl::unexpected<Ec2Error>(open.error());
  XmlWriter out;
  out.open("reservationSet");
  for (std::size_t i = page->begin; i < page->end;) {
    ec2model::Reservation reservation{(*found)[i]->reservation, {}};
    for (; i < page->end && (*found)[i]->reservation == reservation.id; ++i) {
      reservation.instances.push_back((*found)[i]);
    }
    out.open("item");
    write_reservation(out, reservation, model_.world().account);
    out.close();
  }
  out.close();
  if (!page->next_token.empty()) out.text("nextToken", page->next_token);
  return out.take();
}

Answer<std::string> Ec2Api::terminate_instances(const Parameters& given,
                                                const ec2model::Gate& gate) {
  for (const char* name : {"Force", "SkipOsShutdown"}) {
    const auto read = given.boolean(name);
    if (!read) return tl::unexpected<Ec2Error>(read.error());
  }
  const auto changes = model_.terminate_instances(given.list("InstanceId"), gate, clock_.now());
  if (!changes) return tl::unexpected<Ec2Error>(changes.error());
  XmlWriter out;
  out.open("instancesSet");
  for (const ec2model::StateChange& change : *changes) {
    out.open("item").text("instanceId", change.id);
    out.open("currentState").number("code", code_of(change.current));
    out.text("name", name_of(change.current)).close();
    out.open("previousState").number("code", code_of(change.previous));
    out.text("name", name_of(change.previous)).close().close();
  }
  out.close();
  return out.take();
}

Answer<std::string> Ec2Api::create_tags(const Parameters& given, const ec2model::Gate& gate) {
  const auto tags = given.tags("Tag");
  if (!tags) return tl::unexpected<Ec2Error>(tags.error());
  const auto done = model_.create_tags(given.list("ResourceId"), *tags, gate);
  if (!done) return tl::unexpected<Ec2Error>(done.error());
  return XmlWriter().text("return", "true").take();
}

Answer<std::string> Ec2Api::describe_images(const Parameters& given, const ec2model::Gate& gate) {
  const auto filters = given.filters();
  if (!filters) return tl::unexpected<Ec2Error>(filters.error());
  const std::vector<std::string> ids = given.list("ImageId");
  const auto found = model_.describe_images(ids, given.list("Owner"), *filters);
  if (!found) return tl::unexpected<Ec2Error>(found.error());
  const auto page = page_of(given, found->size(), 1, 1000, !ids.empty(), "imageIdsSet");
  if (!page) return tl::unexpected<Ec2Error>(page.error());
  if (auto open = pass(gate); !open) return tl::unexpected<Ec2Error>(open.error());
  XmlWriter out;
  out.open("imagesSet");
  for (std::size_t i = page->begin; i < page->end; ++i) {
    const ec2model::Image& image = *(*found)[i];
    out.open("item").text("imageId", image.id).text("name", image.name);
    out.text("imageLocation", image.owner + "/" + image.name).text("imageState", "available");
    out.text("imageOwnerId", image.owner).text("creationDate", image.creation_date);
    out.text("isPublic", "false").text("architecture", image.architecture);
    out.text("imageType", "machine").text("description", image.description);
    out.text("rootDeviceType", "ebs").text("rootDeviceName", image.root_device);
    out.text("virtualizationType", "hvm").text("hypervisor", "xen").text("enaSupport", "true");
    out.text("platformDetails", "Linux/UNIX").open("blockDeviceMapping").open("item");
    out.text("deviceName", image.root_device).open("ebs");
    out.text("snapshotId", "snap-" + image.id.substr(4)).number("volumeSize", image.disk_gib);
    out.text("volumeType", "gp3").text("deleteOnTermination", "true").text("encrypted", "false");
    out.close().close().close();
    write_tags(out, model_.tags_of(image.id));
    out.close();
  }
  out.close();
  if (!page->next_token.empty()) out.text("nextToken", page->next_token);
  return out.take();
}

Answer<std::string> Ec2Api::describe_subnets(const Parameters& given, const ec2model::Gate& gate) {
  const auto filters = given.filters();
  if (!filters) return tl::unexpected<Ec2Error>(filters.error());
  const std::vector<std::string> ids = given.list("SubnetId");
  const auto found = model_.describe_subnets(ids, *filters);
  if (!found) return tl::unexpected<Ec2Error>(found.error());
  const auto page = page_of(given, found->size(), 5, 1000, !ids.empty(), "SubnetIds");
  if (!page) return tl::unexpected<Ec2Error>(page.error());
  if (auto open = pass(gate); !open) return tl::unexpected<Ec2Error>(open.error());
  XmlWriter out;
  out.open("subnetSet");
  for (std::size_t i = page->begin; i < page->end; ++i) {
    const ec2model::Subnet& subnet = *(*found)[i];
    out.open("item").text("subnetId", subnet.id).text("state", "available");
    out.text("vpcId", subnet.vpc).text("cidrBlock", subnet.cidr);
    out.number("availableIpAddressCount", model_.free_address_count(subnet));
    out.text("availabilityZone", subnet.zone).text("availabilityZoneId", subnet.zone_id);
    out.text("ownerId", model_.world().account).boolean("defaultForAz", subnet.is_default);
    out.boolean("mapPublicIpOnLaunch", subnet.maps_public_address);
    write_tags(out, model_.tags_of(subnet.id));
    out.close();
  }
  out.close();
  if (!page->next_token.empty()) out.text("nextToken", page->next_token);
  return out.take();
}

Answer<std::string> Ec2Api::describe_security_groups(const Parameters& given,
                                                     const ec2model::Gate& gate) {
  const auto filters = given.filters();
  if (!filters) return tl::unexpected<Ec2Error>(filters.error());
  const std::vector<std::string> ids = given.list("GroupId");
  const std::vector<std::string> names = given.list("GroupName");
  const auto found = model_.describe_groups(ids, names, *filters);
  if (!found) return tl::unexpected<Ec2Error>(found.error());
  const auto page =
      page_of(given, found->size(), 5, 1000, !ids.empty() || !names.empty(), "GroupIds");
  if (!page) return tl::unexpected<Ec2Error>(page.error());
  if (auto open = pass(gate); !open) return tl::unexpected<Ec2Error>(open.error());
  XmlWriter out;
  out.open("securityGroupInfo");
  for (std::size_t i = page->begin; i < page->end; ++i) {
    const ec2model::SecurityGroup& group = *(*found)[i];
    out.open("item").text("ownerId", model_.world().account).text("groupId", group.id);
    out.text("groupName", group.name).text("groupDescription", group.description);
    out.text("vpcId", group.vpc);
    // The default group: all from its own members, all outwards.
    out.open("ipPermissions").open("item").text("ipProtocol", "-1").open("groups").open("item");
    out.text("userId", model_.world().account).text("groupId", group.id).close().close();
    out.open("ipRanges").close().open("ipv6Ranges").close().open("prefixListIds").close();
    out.close().close();
    out.open("ipPermissionsEgress").open("item").text("ipProtocol", "-1").open("groups").close();
    out.open("ipRanges").open("item").text("cidrIp", "0.0.0.0/0").close().close();
    out.open("ipv6Ranges").close().open("prefixListIds").close().close().close();
    write_tags(out, model_.tags_of(group.id));
    out.close();
  }
  out.close();
  if (!page->next_token.empty()) out.text("nextToken", page->next_token);
  return out.take();
}

Answer<std::string> Ec2Api::get_console_output(const Parameters& given,
                                               const ec2model::Gate& gate) {
  const std::string id = given.text("InstanceId");
  const auto is_latest = given.boolean("Latest");
  const auto is_dry_run = given.boolean("DryRun");
  if (!is_latest) return tl::unexpected<Ec2Error>(is_latest.error());
  if (!is_dry_run) return tl::unexpected<Ec2Error>(is_dry_run.error());
  const auto known = ec2model::check_instance_ids(
      {id}, [&](const std::string& one) { return model_.find(one) != nullptr; });
  if (!known) return tl::unexpected<Ec2Error>(known.error());
  if (auto open = pass(gate); !open) return tl::unexpected<Ec2Error>(open.error());
  // Without `Latest` EC2 shows what it took down some minutes after the start.
  const bool is_posted = clock_.now() - model_.find(id)->launched_at > std::chrono::minutes{2};
  const std::string text = is_latest->value_or(false) || is_posted ? console_(id) : std::string();
  XmlWriter out;
  out.text("instanceId", id).text("timestamp", muster::format_iso8601_millis(clock_.now()));
  out.text("output", muster::wire::base64_encode(text));
  return out.take();
}

}  // namespace ec2sim
