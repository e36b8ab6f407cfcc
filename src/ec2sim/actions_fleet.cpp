#include <fmt/format.h>

#include "ec2sim/call.hpp"
#include "ec2sim/launch_parameters.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

/// One (template, override) pair of the request.
struct Choice {
  std::string template_id;
  std::string template_name;
  std::string version;
  std::map<std::string, std::string> overrides;
};

/// An override as parameters of RunInstances on top of the template's.
Parameters with_overrides(const Parameters& base, std::map<std::string, std::string> overrides) {
  std::map<std::string, std::string> values = base.values();
  overrides.erase("WeightedCapacity");
  overrides.erase("Priority");
  overrides.erase("MaxPrice");
  if (const auto zone = overrides.extract("AvailabilityZone")) {
    overrides["Placement.AvailabilityZone"] = zone.mapped();
  }
  if (const auto zone = overrides.extract("AvailabilityZoneId")) {
    overrides["Placement.AvailabilityZoneId"] = zone.mapped();
  }
  const std::vector<int> interfaces = base.indices("NetworkInterface");
  if (const auto subnet = overrides.extract("SubnetId")) {
    // A template's interface gets the subnet: beside it there may be none.
    const std::string name = interfaces.empty()
                                 ? "SubnetId"
                                 : fmt::format("NetworkInterface.{}.SubnetId", interfaces.front());
    values[name] = subnet.mapped();
  }
  for (const auto& [name, value] : overrides) {
    const std::string top = name.substr(0, name.find('.'));
    // These replace the template's as a whole: half of each would be neither.
    if (top == "BlockDeviceMapping" || top == "IamInstanceProfile") {
      std::erase_if(values, [&](const auto& one) {
        return one.first.starts_with(top + ".") && !overrides.contains(one.first);
      });
    }
    if (name.starts_with("Placement.AvailabilityZone")) {
      for (const char* zone : {"Placement.AvailabilityZone", "Placement.AvailabilityZoneId"}) {
        if (!overrides.contains(zone)) values.erase(zone);
      }
    }
    values[name] = value;
  }
  return Parameters::of(std::move(values));
}

Answer<ec2model::FleetRequest> read_fleet(const Call& call, std::vector<Choice>& choices) {
  const Parameters& given = call.given;
  ParameterReader reader(given);
  ec2model::FleetRequest to;
  const std::string type = reader.word("Type", {"request", "maintain", "instant"});
  if (type != "instant" && !reader.has_failed()) {
    return refuse("UnsupportedOperation",
                  "The simulator plays fleets of Type instant only; the default is maintain");
  }
  const std::string target = "TargetCapacitySpecification.";
  const int total = reader.integer(target + "TotalTargetCapacity");
  const std::string kind = reader.word(target + "DefaultTargetCapacityType", {"spot", "on-demand"});
  const std::string unit =
      reader.word(target + "TargetCapacityUnitType", {"vcpu", "memory-mib", "units"});
  if (!unit.empty() && unit != "units") {
    return refuse("UnsupportedOperation",
                  "The simulator counts capacity in units only (TargetCapacityUnitType)");
  }
  const auto on_demand = reader.maybe_integer(target + "OnDemandTargetCapacity");
  const auto spot = reader.maybe_integer(target + "SpotTargetCapacity");
  const int rest = total - on_demand.value_or(0) - spot.value_or(0);
  to.on_demand_count = on_demand.value_or(0) + (kind == "on-demand" ? rest : 0);
  to.spot_count = spot.value_or(0) + (kind == "on-demand" ? 0 : rest);
  if (total < 0 || total > 10'000 || rest < 0) {
    reader.refuse("InvalidParameterValue",
                  fmt::format("Invalid value '{}' for TotalTargetCapacity.", total));
  }
  const std::string strategy =
      reader.word("SpotOptions.AllocationStrategy",
                  {"lowest-price", "diversified", "capacity-optimized",
                   "capacity-optimized-prioritized", "price-capacity-optimized"});
  if (!strategy.empty()) to.spot_strategy = strategy;
  const std::string other =
      reader.word("OnDemandOptions.AllocationStrategy", {"lowest-price", "prioritized"});
  if (!other.empty()) to.on_demand_strategy = other;
  to.interruption_behaviour =
      reader.word("SpotOptions.InstanceInterruptionBehavior", {"terminate", "stop", "hibernate"});
  static_cast<void>(
      reader.word("ExcessCapacityTerminationPolicy", {"no-termination", "termination"}));
  to.is_single_type = reader.boolean("SpotOptions.SingleInstanceType") ||
                      reader.boolean("OnDemandOptions.SingleInstanceType");
  to.is_single_zone = reader.boolean("SpotOptions.SingleAvailabilityZone") ||
                      reader.boolean("OnDemandOptions.SingleAvailabilityZone");
  to.min_spot = reader.integer("SpotOptions.MinTargetCapacity");
  to.min_on_demand = reader.integer("OnDemandOptions.MinTargetCapacity");
  if ((to.min_spot > 0 || to.min_on_demand > 0) && !to.is_single_type && !to.is_single_zone) {
    reader.refuse("InvalidParameterCombination",
                  "MinTargetCapacity needs SingleInstanceType or SingleAvailabilityZone");
  }
  static_cast<void>(reader.boolean("TerminateInstancesWithExpiration"));
  static_cast<void>(reader.boolean("ReplaceUnhealthyInstances"));
  static_cast<void>(reader.maybe_time("ValidFrom"));
  static_cast<void>(reader.maybe_time("ValidUntil"));
  auto tags = reader.tag_specifications(
      {"fleet", "instance", "volume", "network-interface", "spot-instances-request"});
  to.fleet_tags = tags["fleet"];
  to.client_token = given.text("ClientToken");
  to.fingerprint = given.fingerprint();
  if (to.client_token.size() > 64) {
    reader.refuse("InvalidParameterValue",
                  "Invalid value for ClientToken: at most 64 characters are allowed");
  }
  if (reader.has_failed()) return reader.failure();

  for (const int index : given.indices("LaunchTemplateConfigs")) {
    const std::string at = fmt::format("LaunchTemplateConfigs.{}.", index);
    const std::string spec = at + "LaunchTemplateSpecification.";
    Choice choice{given.text(spec + "LaunchTemplateId"),
                  given.text(spec + "LaunchTemplateName"),
                  given.text(spec + "Version"),
                  {}};
    if (choice.version.empty()) {
      return refuse("MissingParameter", "The request must contain the parameter Version");
    }
    const auto found = call.model.find_template({choice.template_id, choice.template_name});
    if (!found) return again(found);
    const auto version = call.model.find_version(**found, choice.version);
    if (!version) return again(version);
    choice.template_id = (*found)->id;
    choice.template_name = (*found)->name;
    choice.version = std::to_string((*version)->number);
    std::map<std::string, std::string> named{
        {"LaunchTemplate.LaunchTemplateId", choice.template_id},
        {"LaunchTemplate.Version", choice.version}};
    const std::string user_data = given.text(spec + "LaunchTemplateSpecificationUserData");
    if (!user_data.empty()) named["UserData"] = user_data;
    // The fleet's own tags stand before the template's.
    int next = 0;
    for (const auto& [tag_type, of_type] : tags) {
      if (tag_type == "fleet" || of_type.empty()) continue;
      const std::string tag_at = fmt::format("TagSpecification.{}.", ++next);
      named[tag_at + "ResourceType"] = tag_type;
      int number = 0;
      for (const auto& [key, value] : of_type) {
        named[fmt::format("{}Tag.{}.Key", tag_at, ++number)] = key;
        named[fmt::format("{}Tag.{}.Value", tag_at, number)] = value;
      }
    }
    const Answer<MergedLaunch> merged = with_template(call, Parameters::of(std::move(named)));
    if (!merged) return again(merged);
    std::vector<int> overrides = given.indices(at + "Overrides");
    const bool has_none = overrides.empty();
    if (has_none) overrides.push_back(0);
    for (const int number : overrides) {
      Choice one = choice;
      if (!has_none) one.overrides = given.below(fmt::format("{}Overrides.{}.", at, number));
      const Parameters own = Parameters::of(one.overrides);
      ParameterReader inner(own);
      ec2model::FleetRequest::Candidate candidate;
      candidate.weight = inner.maybe_real("WeightedCapacity").value_or(1);
      candidate.priority = inner.maybe_real("Priority");
      if (inner.has_failed()) return inner.failure();
      if (candidate.weight <= 0) {
        return refuse("InvalidParameterValue", "WeightedCapacity must be above 0");
      }
      std::map<std::string, std::string> values =
          with_overrides(merged->parameters, one.overrides).values();
      values["MinCount"] = "1";
      values["MaxCount"] = "1";
      const auto price = one.overrides.find("MaxPrice");
      if (price != one.overrides.end()) {
        values["InstanceMarketOptions.SpotOptions.MaxPrice"] = price->second;
      }
      const Answer<Parameters> resolved =
          with_resolved_image(call, Parameters::of(std::move(values)));
      if (!resolved) return again(resolved);
      if (resolved->has("InstanceMarketOptions.MarketType")) {
        return refuse("InvalidParameterCombination",
                      "A launch template of a fleet may not have InstanceMarketOptions; use "
                      "TargetCapacitySpecification");
      }
      Answer<ec2model::LaunchRequest> launch = read_launch(*resolved);
      if (!launch) return again(launch);
      if (launch->image.empty()) {
        return refuse("MissingParameter", "The launch template must contain an ImageId");
      }
      launch->system_tags = merged->system_tags;
      if (!to.interruption_behaviour.empty()) {
        launch->interruption_behaviour = to.interruption_behaviour;
      }
      candidate.launch = std::move(*launch);
      candidate.override_index = choices.size();
      to.candidates.push_back(std::move(candidate));
      choices.push_back(std::move(one));
    }
  }
  if (to.candidates.empty()) {
    return refuse("MissingParameter",
                  "The request must contain the parameter LaunchTemplateConfigs");
  }
  return to;
}

void write_choice(XmlWriter& out, const Choice& choice) {
  out.open("launchTemplateAndOverrides").open("launchTemplateSpecification");
  out.text("launchTemplateId", choice.template_id);
  out.text("launchTemplateName", choice.template_name).text("version", choice.version).close();
  out.open("overrides");
  const std::pair<const char*, const char*> shown[] = {
      {"InstanceType", "instanceType"},
      {"SubnetId", "subnetId"},
      {"AvailabilityZone", "availabilityZone"},
      {"AvailabilityZoneId", "availabilityZoneId"},
      {"MaxPrice", "maxPrice"},
      {"WeightedCapacity", "weightedCapacity"},
      {"Priority", "priority"},
      {"ImageId", "imageId"},
  };
  for (const auto& [name, element] : shown) {
    const auto found = choice.overrides.find(name);
    if (found != choice.overrides.end()) out.text(element, found->second);
  }
  out.close().close();
}

Answer<std::string> create_fleet(const Call& call) {
  std::vector<Choice> choices;
  const Answer<ec2model::FleetRequest> request = read_fleet(call, choices);
  if (!request) return again(request);
  const auto made = call.model.create_fleet(*request, call.gate, call.now);
  if (!made) return again(made);
  XmlWriter out;
  out.text("fleetId", made->id).open("errorSet");
  for (const auto& failure : made->failures) {
    out.open("item");
    write_choice(out, choices[failure.candidate]);
    out.text("lifecycle", failure.is_spot ? "spot" : "on-demand");
    out.text("errorCode", failure.error.code).text("errorMessage", failure.error.message).close();
  }
  out.close().open("fleetInstanceSet");
  for (const auto& group : made->groups) {
    const ec2model::Instance* first = call.model.find(group.instances.front());
    out.open("item");
    write_choice(out, choices[group.candidate]);
    out.text("lifecycle", group.is_spot ? "spot" : "on-demand").open("instanceIds");
    for (const std::string& id : group.instances) out.text("item", id);
    out.close().text("instanceType", first->instance_type);
    out.text("availabilityZone", first->zone).text("availabilityZoneId", first->zone_id);
    out.text("subnetId", first->subnet).close();
  }
  out.close();
  return out.take();
}

Answer<std::string> delete_fleets(const Call& call) {
  ParameterReader reader(call.given);
  const bool terminates = reader.boolean("TerminateInstances");
  if (reader.has_failed()) return reader.failure();
  std::vector<std::string> unknown;
  const auto deleted = call.model.delete_fleets(call.given.list("FleetId"), terminates, unknown,
                                                call.gate, call.now);
  if (!deleted) return again(deleted);
  XmlWriter out;
  out.open("successfulFleetDeletionSet");
  for (const std::string& id : *deleted) {
    out.open("item").text("fleetId", id).text("currentFleetState", "deleted-terminating");
    out.text("previousFleetState", "active").close();
  }
  out.close().open("unsuccessfulFleetDeletionSet");
  for (const std::string& id : unknown) {
    out.open("item").text("fleetId", id).open("error").text("code", "fleetIdDoesNotExist");
    out.text("message", fmt::format("The fleet ID '{}' does not exist", id)).close().close();
  }
  out.close();
  return out.take();
}

}  // namespace

ActionTable fleet_actions() {
  std::vector<std::string_view> names = tagged({
      "ClientToken",
      "SpotOptions.AllocationStrategy",
      "SpotOptions.InstanceInterruptionBehavior",
      "SpotOptions.SingleInstanceType",
      "SpotOptions.SingleAvailabilityZone",
      "SpotOptions.MinTargetCapacity",
      "OnDemandOptions.AllocationStrategy",
      "OnDemandOptions.SingleInstanceType",
      "OnDemandOptions.SingleAvailabilityZone",
      "OnDemandOptions.MinTargetCapacity",
      "ExcessCapacityTerminationPolicy",
      "TargetCapacitySpecification.TotalTargetCapacity",
      "TargetCapacitySpecification.OnDemandTargetCapacity",
      "TargetCapacitySpecification.SpotTargetCapacity",
      "TargetCapacitySpecification.DefaultTargetCapacityType",
      "TargetCapacitySpecification.TargetCapacityUnitType",
      "TerminateInstancesWithExpiration",
      "Type",
      "ValidFrom",
      "ValidUntil",
      "ReplaceUnhealthyInstances",
      "LaunchTemplateConfigs.N.LaunchTemplateSpecification.LaunchTemplateId",
      "LaunchTemplateConfigs.N.LaunchTemplateSpecification.LaunchTemplateName",
      "LaunchTemplateConfigs.N.LaunchTemplateSpecification.Version",
      "LaunchTemplateConfigs.N.LaunchTemplateSpecification.LaunchTemplateSpecificationUserData",
      "LaunchTemplateConfigs.N.Overrides.N.InstanceType",
      "LaunchTemplateConfigs.N.Overrides.N.MaxPrice",
      "LaunchTemplateConfigs.N.Overrides.N.SubnetId",
      "LaunchTemplateConfigs.N.Overrides.N.AvailabilityZone",
      "LaunchTemplateConfigs.N.Overrides.N.AvailabilityZoneId",
      "LaunchTemplateConfigs.N.Overrides.N.WeightedCapacity",
      "LaunchTemplateConfigs.N.Overrides.N.Priority",
      "LaunchTemplateConfigs.N.Overrides.N.Placement.AvailabilityZone",
      "LaunchTemplateConfigs.N.Overrides.N.Placement.AvailabilityZoneId",
      "LaunchTemplateConfigs.N.Overrides.N.Placement.GroupName",
      "LaunchTemplateConfigs.N.Overrides.N.Placement.Tenancy",
      "LaunchTemplateConfigs.N.Overrides.N.KeyName",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.DeviceName",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.NoDevice",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.Encrypted",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.DeleteOnTermination",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.Iops",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.Throughput",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.KmsKeyId",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.SnapshotId",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.VolumeSize",
      "LaunchTemplateConfigs.N.Overrides.N.BlockDeviceMapping.N.Ebs.VolumeType",
      "LaunchTemplateConfigs.N.Overrides.N.IamInstanceProfile.Arn",
      "LaunchTemplateConfigs.N.Overrides.N.IamInstanceProfile.Name",
      "LaunchTemplateConfigs.N.Overrides.N.MetadataOptions.HttpTokens",
      "LaunchTemplateConfigs.N.Overrides.N.MetadataOptions.HttpPutResponseHopLimit",
      "LaunchTemplateConfigs.N.Overrides.N.MetadataOptions.HttpEndpoint",
      "LaunchTemplateConfigs.N.Overrides.N.ImageId",
  });
  return {
      {"CreateFleet",
       {create_fleet, names, {"TargetCapacitySpecification.TotalTargetCapacity"}, false}},
      {"DeleteFleets",
       {delete_fleets,
        {"FleetId.N", "TerminateInstances"},
        {"FleetId.N", "TerminateInstances"},
        false}},
  };
}

}  // namespace ec2sim
