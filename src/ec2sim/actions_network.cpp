#include <fmt/format.h>

#include "ec2sim/call.hpp"
#include "ec2sim/ec2_xml.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::Cidr;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

void write_vpc(XmlWriter& out, const ec2model::Vpc& vpc, const Call& call) {
  out.text("vpcId", vpc.id).text("ownerId", call.model.world().account).text("state", "available");
  out.text("cidrBlock", vpc.cidr.describe()).text("dhcpOptionsId", "dopt-0d15ea5e0d15ea5e0");
  out.text("instanceTenancy", "default").boolean("isDefault", vpc.is_default);
  out.open("cidrBlockAssociationSet").open("item");
  out.text("associationId", "vpc-cidr-assoc-" + vpc.id.substr(4));
  out.text("cidrBlock", vpc.cidr.describe()).open("cidrBlockState").text("state", "associated");
  out.close().close().close();
  write_tags(out, call.model.tags_of(vpc.id));
}

void write_subnet(XmlWriter& out, const ec2model::Subnet& subnet, const Call& call) {
  out.text("subnetId", subnet.id).text("state", "available");
  out.text("vpcId", subnet.vpc).text("cidrBlock", subnet.cidr.describe());
  out.number("availableIpAddressCount", call.model.free_address_count(subnet));
  out.text("availabilityZone", subnet.zone).text("availabilityZoneId", subnet.zone_id);
  out.text("ownerId", call.model.world().account).boolean("defaultForAz", subnet.is_default);
  out.boolean("mapPublicIpOnLaunch", subnet.maps_public_address);
  out.text("subnetArn", fmt::format("arn:aws:ec2:{}:{}:subnet/{}", call.model.world().region,
                                    call.model.world().account, subnet.id));
  write_tags(out, call.model.tags_of(subnet.id));
}

Answer<Cidr> cidr_in(const Parameters& given) {
  const std::string text = given.text("CidrBlock");
  const auto cidr = ec2model::parse_cidr(text);
  if (cidr) return *cidr;
  return refuse(
      "InvalidParameterValue",
      fmt::format("Value ({}) for parameter cidrBlock is invalid. This is not a valid CIDR "
                  "block.",
                  text));
}

Answer<ec2model::Tags> tags_for(const Call& call, std::string_view type) {
  const auto tags = call.given.tag_specifications({type});
  if (!tags) return again(tags);
  const auto found = tags->find(std::string(type));
  return found == tags->end() ? ec2model::Tags() : found->second;
}

Answer<std::string> create_vpc(const Call& call) {
  const auto cidr = cidr_in(call.given);
  if (!cidr) return again(cidr);
  const auto tags = tags_for(call, "vpc");
  if (!tags) return again(tags);
  const auto made = call.model.create_vpc(*cidr, *tags, call.gate);
  if (!made) return again(made);
  XmlWriter out;
  out.open("vpc");
  write_vpc(out, **made, call);
  out.close();
  return out.take();
}

Answer<std::string> create_subnet(const Call& call) {
  const auto cidr = cidr_in(call.given);
  if (!cidr) return again(cidr);
  const auto tags = tags_for(call, "subnet");
  if (!tags) return again(tags);
  const auto made = call.model.create_subnet(call.given.text("VpcId"), *cidr,
                                             call.given.text("AvailabilityZone"), *tags, call.gate);
  if (!made) return again(made);
  XmlWriter out;
  out.open("subnet");
  write_subnet(out, **made, call);
  out.close();
  return out.take();
}

Answer<std::string> delete_vpc(const Call& call) {
  return done(call.model.delete_vpc(call.given.text("VpcId"), call.gate));
}
Answer<std::string> delete_subnet(const Call& call) {
  return done(call.model.delete_subnet(call.given.text("SubnetId"), call.gate));
}

Answer<std::string> describe_vpcs(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("VpcId");
  return list_page(call, "vpcSet", call.model.describe_vpcs(ids, *filters),
                   {5, 1000, !ids.empty(), "VpcIds"},
                   [&](XmlWriter& out, const ec2model::Vpc* vpc) { write_vpc(out, *vpc, call); });
}

Answer<std::string> describe_subnets(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("SubnetId");
  return list_page(
      call, "subnetSet", call.model.describe_subnets(ids, *filters),
      {5, 1000, !ids.empty(), "SubnetIds"},
      [&](XmlWriter& out, const ec2model::Subnet* one) { write_subnet(out, *one, call); });
}

Answer<std::string> describe_zones(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  static_cast<void>(reader.boolean("AllAvailabilityZones"));
  if (reader.has_failed()) return reader.failure();
  const auto found =
      call.model.describe_zones(call.given.list("ZoneName"), call.given.list("ZoneId"), filters);
  const std::string& region = call.model.world().region;
  return list_page(call, "availabilityZoneInfo", found, {1, 1000, false, ""},
                   [&](XmlWriter& out, const ec2model::Model::Zone& zone) {
                     out.text("zoneName", zone.name).text("zoneId", zone.id);
                     out.text("zoneState", "available").text("regionName", region);
                     out.text("optInStatus", "opt-in-not-required").open("messageSet").close();
                     out.text("groupName", region + "-zg-1").text("networkBorderGroup", region);
                     out.text("zoneType", "availability-zone");
                   });
}

Answer<std::string> describe_regions(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  static_cast<void>(reader.boolean("AllRegions"));
  if (reader.has_failed()) return reader.failure();
  return list_page(call, "regionInfo",
                   call.model.describe_regions(call.given.list("RegionName"), filters),
                   {1, 1000, false, ""}, [](XmlWriter& out, const std::string& region) {
                     out.text("regionName", region);
                     out.text("regionEndpoint", "ec2." + region + ".amazonaws.com");
                     out.text("optInStatus", "opt-in-not-required");
                   });
}

Answer<std::string> describe_account(const Call& call) {
  const ec2model::World& world = call.model.world();
  const std::vector<std::pair<std::string, std::string>> all{
      {"supported-platforms", "VPC"},
      {"default-vpc", world.default_vpc.empty() ? "none" : world.default_vpc},
      {"max-instances", std::to_string(world.vcpu_quota)},
      {"max-elastic-ips", "5"},
      {"vpc-max-elastic-ips", "5"},
      {"vpc-max-security-groups-per-interface", "5"},
  };
  std::vector<std::pair<std::string, std::string>> asked;
  const std::vector<std::string> names = call.given.list("AttributeName");
  for (const auto& attribute : all) {
    const bool is_asked =
        names.empty() || std::find(names.begin(), names.end(), attribute.first) != names.end();
    if (is_asked) asked.push_back(attribute);
  }
  for (const std::string& name : names) {
    const bool is_known =
        std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.first == name; });
    if (!is_known) return invalid_value(name, "AttributeName");
  }
  return list_page(call, "accountAttributeSet", Answer<decltype(asked)>(asked),
                   {1, 1000, false, ""},
                   [](XmlWriter& out, const std::pair<std::string, std::string>& one) {
                     out.text("attributeName", one.first).open("attributeValueSet").open("item");
                     out.text("attributeValue", one.second).close().close();
                   });
}

}  // namespace

ActionTable network_actions() {
  return {
      {"CreateVpc",
       {create_vpc,
        tagged({"CidrBlock", "InstanceTenancy", "AmazonProvidedIpv6CidrBlock"}),
        {"CidrBlock"},
        false}},
      {"DeleteVpc", {delete_vpc, {"VpcId"}, {"VpcId"}, false}},
      {"CreateSubnet",
       {create_subnet,
        tagged({"VpcId", "CidrBlock", "AvailabilityZone"}),
        {"VpcId", "CidrBlock"},
        false}},
      {"DeleteSubnet", {delete_subnet, {"SubnetId"}, {"SubnetId"}, false}},
      {"DescribeVpcs", {describe_vpcs, paged({"VpcId.N"}), {}, false}},
      {"DescribeSubnets", {describe_subnets, paged({"SubnetId.N"}), {}, false}},
      {"DescribeAvailabilityZones",
       {describe_zones,
        {"ZoneName.N", "ZoneId.N", "AllAvailabilityZones", "Filter.N.Name", "Filter.N.Value.N"},
        {},
        false}},
      {"DescribeRegions",
       {describe_regions,
        {"RegionName.N", "AllRegions", "Filter.N.Name", "Filter.N.Value.N"},
        {},
        false}},
      {"DescribeAccountAttributes", {describe_account, {"AttributeName.N"}, {}, false}},
  };
}

}  // namespace ec2sim
