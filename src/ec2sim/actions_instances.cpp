#include <fmt/format.h>

#include "ec2model/ids.hpp"
#include "ec2sim/call.hpp"
#include "ec2sim/ec2_xml.hpp"
#include "ec2sim/launch_parameters.hpp"
#include "wire/encoding.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

std::vector<std::string_view> run_names() {
  std::vector<std::string_view> names = launch_names();
  for (const std::string_view name :
       {"MinCount", "MaxCount", "ClientToken", "LaunchTemplate.LaunchTemplateId",
        "LaunchTemplate.LaunchTemplateName", "LaunchTemplate.Version"}) {
    names.push_back(name);
  }
  return names;
}

Answer<std::string> run_instances(const Call& call) {
  Answer<MergedLaunch> merged = with_template(call, call.given);
  if (!merged) return again(merged);
  const Answer<Parameters> resolved = with_resolved_image(call, merged->parameters);
  if (!resolved) return again(resolved);
  if (!resolved->has("ImageId")) {
    return refuse("MissingParameter", "The request must contain the parameter ImageId");
  }
  Answer<ec2model::LaunchRequest> request = read_launch(*resolved);
  if (!request) return again(request);
  request->fingerprint = call.given.fingerprint();
  request->system_tags = merged->system_tags;
  const auto launched = call.model.run_instances(*request, call.gate, call.now);
  if (!launched) return again(launched);
  XmlWriter out;
  write_reservation(out, *launched, call.model, call.now);
  return out.take();
}

Answer<std::string> describe_instances(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const std::vector<std::string> ids = call.given.list("InstanceId");
  if (auto fine = check_page(call, {5, 1000, !ids.empty(), "instancesSet"}); !fine) {
    return again(fine);
  }
  const auto found = call.model.describe_instances(ids, *filters, call.now);
  if (!found) return again(found);
  const auto page = page_of(call, page_keys(*found));
  if (!page) return again(page);
  if (auto open = call.gate.pass(); !open) return again(open);
  XmlWriter out;
  out.open("reservationSet");
  for (std::size_t i = page->begin; i < page->end;) {
    ec2model::Reservation reservation{(*found)[i]->reservation, {}};
    for (; i < page->end && (*found)[i]->reservation == reservation.id; ++i) {
      reservation.instances.push_back((*found)[i]);
    }
    out.open("item");
    write_reservation(out, reservation, call.model, call.now);
    out.close();
  }
  out.close();
  if (!page->next_token.empty()) out.text("nextToken", page->next_token);
  return out.take();
}

void write_status(XmlWriter& out, const ec2model::Instance& at) {
  out.text("instanceId", at.id).text("availabilityZone", at.zone);
  out.text("availabilityZoneId", at.zone_id);
  out.open("instanceState").number("code", code_of(at.state)).text("name", name_of(at.state));
  out.close();
  const bool runs = at.state == ec2model::State::running;
  // Status checks of a young machine are still on their way.
  const std::string status = !runs ? "not-applicable" : at.hangs ? "impaired" : "ok";
  for (const char* name : {"systemStatus", "instanceStatus"}) {
    const bool is_system = std::string_view(name) == "systemStatus";
    const std::string own = is_system && runs ? "ok" : status;
    out.open(name).text("status", own).open("details");
    if (runs) {
      out.open("item").text("name", "reachability");
      out.text("status", own == "ok" ? "passed" : "failed").close();
    }
    out.close().close();
  }
}

Answer<std::string> describe_status(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  const bool includes_all = reader.boolean("IncludeAllInstances");
  if (reader.has_failed()) return reader.failure();
  const std::vector<std::string> ids = call.given.list("InstanceId");
  auto found = call.model.describe_instances(ids, filters, call.now);
  if (!found) return again(found);
  if (!includes_all) {
    std::erase_if(*found, [](const ec2model::Instance* one) {
      return one->state != ec2model::State::running;
    });
  }
  return list_page(call, "instanceStatusSet", found, {5, 1000, !ids.empty(), "instancesSet"},
                   [](XmlWriter& out, const ec2model::Instance* one) { write_status(out, *one); });
}

Answer<std::string> get_console_output(const Call& call) {
  ParameterReader reader(call.given);
  const std::string id = call.given.text("InstanceId");
  const bool is_latest = reader.boolean("Latest");
  if (reader.has_failed()) return reader.failure();
  const auto known = ec2model::check_instance_ids(
      {id}, [&](const std::string& one) { return call.model.find(one) != nullptr; });
  if (!known) return again(known);
  const ec2model::Instance& instance = *call.model.find(id);
  if (is_latest && !ec2model::find_type(instance.instance_type)->is_nitro()) {
    return refuse("UnsupportedOperation",
                  "This instance type does not support retrieving the latest console logs.");
  }
  if (auto open = call.gate.pass(); !open) return again(open);
  // Without `Latest` EC2 shows what it took down some minutes after the start.
  const bool is_posted = call.now - instance.launched_at > std::chrono::minutes{2};
  const std::string text = is_latest || is_posted ? call.around.console(id) : std::string();
  XmlWriter out;
  out.text("instanceId", id).text("timestamp", muster::format_iso8601_millis(call.now));
  out.text("output", muster::wire::base64_encode(text));
  return out.take();
}

constexpr std::array<std::string_view, 16> kAttributes{"instanceType",
                                                       "userData",
                                                       "disableApiTermination",
                                                       "disableApiStop",
                                                       "instanceInitiatedShutdownBehavior",
                                                       "rootDeviceName",
                                                       "ebsOptimized",
                                                       "sourceDestCheck",
                                                       "enaSupport",
                                                       "kernel",
                                                       "ramdisk",
                                                       "sriovNetSupport",
                                                       "groupSet",
                                                       "blockDeviceMapping",
                                                       "productCodes",
                                                       "enclaveOptions"};

Answer<std::string> describe_attribute(const Call& call) {
  ParameterReader reader(call.given);
  const std::string attribute = reader.word("Attribute", {kAttributes.begin(), kAttributes.end()});
  if (reader.has_failed()) return reader.failure();
  const std::string id = call.given.text("InstanceId");
  const auto known = ec2model::check_instance_ids(
      {id}, [&](const std::string& one) { return call.model.find(one) != nullptr; });
  if (!known) return again(known);
  if (auto open = call.gate.pass(); !open) return again(open);
  const ec2model::Instance& at = *call.model.find(id);
  XmlWriter out;
  out.text("instanceId", id);
  const auto text = [](bool value) { return std::string(value ? "true" : "false"); };
  const std::map<std::string_view, std::string> scalars{
      {"instanceType", at.instance_type},
      {"userData", muster::wire::base64_encode(at.user_data)},
      {"disableApiTermination", text(at.is_termination_protected)},
      {"disableApiStop", text(at.is_stop_protected)},
      {"instanceInitiatedShutdownBehavior", at.terminates_on_shutdown ? "terminate" : "stop"},
      {"rootDeviceName", at.root_device},
      {"ebsOptimized", text(at.is_ebs_optimized)},
      {"sourceDestCheck", text(at.has_source_check)},
      {"enaSupport", "true"},
  };
  if (attribute == "groupSet") {
    write_group_names(out, call.model, at.groups);
  } else if (attribute == "blockDeviceMapping") {
    write_block_devices(out, at, call.model);
  } else if (attribute == "enclaveOptions") {
    out.open(attribute).text("enabled", "false").close();
  } else {
    out.open(attribute);
    const auto scalar = scalars.find(attribute);
    if (scalar != scalars.end() && !scalar->second.empty()) out.text("value", scalar->second);
    out.close();
  }
  return out.take();
}

/// The two spellings of one attribute: `Name.Value=…`, and `Attribute=name&Value=…`.
std::map<std::string, std::string> attributes_of(const Parameters& given) {
  std::map<std::string, std::string> found;
  for (const char* name : {"InstanceType", "UserData", "DisableApiTermination", "DisableApiStop",
                           "InstanceInitiatedShutdownBehavior", "EbsOptimized", "SourceDestCheck",
                           "EnaSupport", "SriovNetSupport"}) {
    const std::string key = std::string(name) + ".Value";
    if (given.has(key)) found[name] = given.text(key);
    std::string lower = name;
    lower.front() = static_cast<char>(lower.front() - 'A' + 'a');
    if (given.text("Attribute") == lower) found[name] = given.text("Value");
  }
  return found;
}

Answer<std::string> modify_attribute(const Call& call) {
  ParameterReader reader(call.given);
  static_cast<void>(reader.word("Attribute", {kAttributes.begin(), kAttributes.end()}));
  ec2model::AttributeChange change;
  int count = 0;
  for (const auto& [name, value] : attributes_of(call.given)) {
    ++count;
    const Parameters single = Parameters::of({{name, value}});
    ParameterReader one(single);
    if (name == "InstanceType") change.instance_type = value;
    if (name == "UserData") change.user_data = read_user_data(value, reader);
    if (name == "DisableApiTermination") change.is_termination_protected = one.boolean(name);
    if (name == "DisableApiStop") change.is_stop_protected = one.boolean(name);
    if (name == "EbsOptimized") change.is_ebs_optimized = one.boolean(name);
    if (name == "SourceDestCheck") change.has_source_check = one.boolean(name);
    if (name == "EnaSupport") static_cast<void>(one.boolean(name));
    if (name == "InstanceInitiatedShutdownBehavior") {
      change.terminates_on_shutdown = one.word(name, {"stop", "terminate"}) == "terminate";
    }
    if (one.has_failed()) return one.failure();
  }
  if (!call.given.indices("GroupId").empty()) {
    change.groups = call.given.list("GroupId");
    ++count;
  }
  for (const int index : call.given.indices("BlockDeviceMapping")) {
    const std::string at = fmt::format("BlockDeviceMapping.{}.", index);
    change.deletes_on_termination[call.given.text(at + "DeviceName")] =
        reader.boolean(at + "Ebs.DeleteOnTermination", true);
  }
  if (!change.deletes_on_termination.empty()) ++count;
  if (reader.has_failed()) return reader.failure();
  if (count == 0) {
    return refuse("MissingParameter", "The request must contain the attribute to modify");
  }
  if (count > 1) {
    return refuse("InvalidParameterCombination",
                  "Fields for multiple attribute types specified. Modify one at a time.");
  }
  return done(call.model.modify_instance(call.given.text("InstanceId"), change, call.gate));
}

Answer<std::string> modify_metadata(const Call& call) {
  const std::string id = call.given.text("InstanceId");
  const auto known = ec2model::check_instance_ids(
      {id}, [&](const std::string& one) { return call.model.find(one) != nullptr; });
  if (!known) return again(known);
  ec2model::MetadataOptions options = call.model.find(id)->metadata;
  ParameterReader reader(call.given);
  read_metadata(reader, "", options);
  if (reader.has_failed()) return reader.failure();
  const auto changed = call.model.modify_metadata(id, options, call.gate);
  if (!changed) return again(changed);
  XmlWriter out;
  out.text("instanceId", id).open("instanceMetadataOptions").text("state", "pending");
  out.text("httpTokens", options.needs_token ? "required" : "optional");
  out.number("httpPutResponseHopLimit", options.hop_limit);
  out.text("httpEndpoint", options.is_enabled ? "enabled" : "disabled");
  out.text("instanceMetadataTags", options.shows_tags ? "enabled" : "disabled").close();
  return out.take();
}

}  // namespace

ActionTable instance_actions() {
  return {
      {"RunInstances", {run_instances, run_names(), {"MaxCount", "MinCount"}, false}},
      {"DescribeInstances", {describe_instances, paged({"InstanceId.N"}), {}, true}},
      {"DescribeInstanceStatus",
       {describe_status, paged({"InstanceId.N", "IncludeAllInstances"}), {}, true}},
      {"GetConsoleOutput", {get_console_output, {"InstanceId", "Latest"}, {"InstanceId"}, false}},
      {"DescribeInstanceAttribute",
       {describe_attribute, {"InstanceId", "Attribute"}, {"InstanceId", "Attribute"}, false}},
      {"ModifyInstanceAttribute",
       {modify_attribute,
        {"InstanceId", "Attribute", "Value", "InstanceType.Value", "UserData.Value",
         "DisableApiTermination.Value", "DisableApiStop.Value",
         "InstanceInitiatedShutdownBehavior.Value", "EbsOptimized.Value", "SourceDestCheck.Value",
         "EnaSupport.Value", "SriovNetSupport.Value", "GroupId.N",
         "BlockDeviceMapping.N.DeviceName", "BlockDeviceMapping.N.Ebs.DeleteOnTermination"},
        {"InstanceId"},
        false}},
      {"ModifyInstanceMetadataOptions",
       {modify_metadata,
        {"InstanceId", "HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint",
         "InstanceMetadataTags"},
        {"InstanceId"},
        false}},
  };
}

}  // namespace ec2sim
