#include <fmt/format.h>

#include <map>
#include <tuple>

#include "ec2sim/call.hpp"
#include "ec2sim/ec2_xml.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::GroupRule;
using muster::wire::XmlWriter;

namespace {

/// Rules of one direction, gathered by protocol and ports, as EC2 shows them.
void write_permissions(XmlWriter& out, std::string_view set, const ec2model::SecurityGroup& group,
                       bool is_egress, const Call& call) {
  using Key = std::tuple<std::string, std::optional<int>, std::optional<int>>;
  std::map<Key, std::vector<const GroupRule*>> permissions;
  for (const GroupRule& rule : group.rules) {
    if (rule.is_egress != is_egress) continue;
    permissions[{rule.protocol, rule.from_port, rule.to_port}].push_back(&rule);
  }
  out.open(set);
  for (const auto& [key, rules] : permissions) {
    const auto& [protocol, from_port, to_port] = key;
    out.open("item").text("ipProtocol", protocol);
    if (from_port) out.number("fromPort", *from_port);
    if (to_port) out.number("toPort", *to_port);
    const auto list = [&](std::string_view name, auto takes, auto write) {
      out.open(name);
      for (const GroupRule* rule : rules) {
        if (!takes(*rule)) continue;
        out.open("item");
        write(*rule);
        if (!rule->description.empty()) out.text("description", rule->description);
        out.close();
      }
      out.close();
    };
    const auto is_v6 = [](const GroupRule& rule) {
      return rule.cidr.find(':') != std::string::npos;
    };
    list(
        "groups", [](const GroupRule& rule) { return !rule.group.empty(); },
        [&](const GroupRule& rule) {
          out.text("userId", call.model.world().account).text("groupId", rule.group);
        });
    list(
        "ipRanges", [&](const GroupRule& rule) { return !rule.cidr.empty() && !is_v6(rule); },
        [&](const GroupRule& rule) { out.text("cidrIp", rule.cidr); });
    list("ipv6Ranges", is_v6, [&](const GroupRule& rule) { out.text("cidrIpv6", rule.cidr); });
    out.open("prefixListIds").close().close();
  }
  out.close();
}

std::string group_arn(const Call& call, const std::string& id) {
  return fmt::format("arn:aws:ec2:{}:{}:security-group/{}", call.model.world().region,
                     call.model.world().account, id);
}

void write_rule(XmlWriter& out, const std::string& group, const GroupRule& rule, const Call& call) {
  out.text("securityGroupRuleId", rule.id).text("groupId", group);
  out.text("groupOwnerId", call.model.world().account).boolean("isEgress", rule.is_egress);
  out.text("ipProtocol", rule.protocol);
  out.number("fromPort", rule.from_port.value_or(-1)).number("toPort", rule.to_port.value_or(-1));
  const bool is_v6 = rule.cidr.find(':') != std::string::npos;
  if (!rule.cidr.empty()) out.text(is_v6 ? "cidrIpv6" : "cidrIpv4", rule.cidr);
  if (!rule.group.empty()) {
    out.open("referencedGroupInfo").text("groupId", rule.group);
    out.text("userId", call.model.world().account).close();
  }
  if (!rule.description.empty()) out.text("description", rule.description);
  write_tags(out, call.model.tags_of(rule.id));
}

/// The rules of a request, whether they stand in `IpPermissions` or side by side.
std::vector<GroupRule> rules_in(const Parameters& given, ParameterReader& reader, bool is_egress) {
  std::vector<GroupRule> rules;
  const auto add = [&](GroupRule rule, const std::string& cidr, const std::string& group,
                       const std::string& description) {
    rule.is_egress = is_egress;
    rule.cidr = cidr;
    rule.group = group;
    rule.description = description;
    rules.push_back(std::move(rule));
  };
  const auto protocol_of = [](std::string text) {
    if (text == "6") return std::string("tcp");
    if (text == "17") return std::string("udp");
    if (text == "1") return std::string("icmp");
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text == "all" ? std::string("-1") : text;
  };
  for (const int index : given.indices("IpPermissions")) {
    const std::string at = fmt::format("IpPermissions.{}.", index);
    GroupRule rule;
    rule.protocol = protocol_of(given.text(at + "IpProtocol"));
    rule.from_port = reader.maybe_integer(at + "FromPort");
    rule.to_port = reader.maybe_integer(at + "ToPort");
    if (rule.protocol == "-1") rule.from_port = rule.to_port = std::nullopt;
    for (const char* list : {"IpRanges", "Ipv6Ranges"}) {
      const bool is_v6 = std::string_view(list) == "Ipv6Ranges";
      for (const int one : given.indices(at + list)) {
        const std::string range = fmt::format("{}{}.{}.", at, list, one);
        add(rule, given.text(range + (is_v6 ? "CidrIpv6" : "CidrIp")), "",
            given.text(range + "Description"));
      }
    }
    for (const int one : given.indices(at + "Groups")) {
      const std::string other = fmt::format("{}Groups.{}.", at, one);
      const std::string id = given.text(other + "GroupId");
      add(rule, "", id.empty() ? given.text(other + "GroupName") : id,
          given.text(other + "Description"));
    }
  }
  if (given.has("CidrIp")) {
    GroupRule rule;
    rule.protocol = protocol_of(given.has("IpProtocol") ? given.text("IpProtocol") : "-1");
    rule.from_port = reader.maybe_integer("FromPort");
    rule.to_port = reader.maybe_integer("ToPort");
    if (rule.protocol == "-1") rule.from_port = rule.to_port = std::nullopt;
    add(rule, given.text("CidrIp"), "", "");
  }
  return rules;
}

Answer<std::string> authorize(const Call& call, bool is_egress) {
  ParameterReader reader(call.given);
  auto tags = reader.tag_specifications({"security-group-rule"});
  std::vector<GroupRule> rules = rules_in(call.given, reader, is_egress);
  if (reader.has_failed()) return reader.failure();
  const std::string id = call.given.text("GroupId");
  const auto made = call.model.authorize(id, call.given.text("GroupName"), std::move(rules),
                                         tags["security-group-rule"], call.gate);
  if (!made) return again(made);
  const std::string group =
      id.empty() && !made->empty() ? call.model.group_of_rule(made->front().id) : id;
  XmlWriter out;
  out.text("return", "true").open("securityGroupRuleSet");
  for (const GroupRule& rule : *made) {
    out.open("item");
    write_rule(out, group, rule, call);
    out.close();
  }
  out.close();
  return out.take();
}

Answer<std::string> revoke(const Call& call, bool is_egress) {
  ParameterReader reader(call.given);
  const std::vector<GroupRule> rules = rules_in(call.given, reader, is_egress);
  if (reader.has_failed()) return reader.failure();
  return done(call.model.revoke(call.given.text("GroupId"), call.given.text("GroupName"), rules,
                                call.given.list("SecurityGroupRuleId"), is_egress, call.gate));
}

Answer<std::string> authorize_ingress(const Call& call) { return authorize(call, false); }
Answer<std::string> authorize_egress(const Call& call) { return authorize(call, true); }
Answer<std::string> revoke_ingress(const Call& call) { return revoke(call, false); }
Answer<std::string> revoke_egress(const Call& call) { return revoke(call, true); }

Answer<std::string> create_group(const Call& call) {
  ParameterReader reader(call.given);
  auto tags = reader.tag_specifications({"security-group"});
  if (reader.has_failed()) return reader.failure();
  const auto made =
      call.model.create_group(call.given.text("GroupName"), call.given.text("GroupDescription"),
                              call.given.text("VpcId"), tags["security-group"], call.gate);
  if (!made) return again(made);
  XmlWriter out;
  out.text("return", "true").text("groupId", (*made)->id);
  out.text("securityGroupArn", group_arn(call, (*made)->id));
  write_tags(out, call.model.tags_of((*made)->id));
  return out.take();
}

Answer<std::string> delete_group(const Call& call) {
  return done(
      call.model.delete_group(call.given.text("GroupId"), call.given.text("GroupName"), call.gate));
}

Answer<std::string> describe_groups(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("GroupId");
  const auto names = call.given.list("GroupName");
  return list_page(call, "securityGroupInfo", call.model.describe_groups(ids, names, *filters),
                   {5, 1000, !ids.empty() || !names.empty(), "GroupIds"},
                   [&](XmlWriter& out, const ec2model::SecurityGroup* group) {
                     out.text("ownerId", call.model.world().account).text("groupId", group->id);
                     out.text("groupName", group->name);
                     out.text("groupDescription", group->description).text("vpcId", group->vpc);
                     out.text("securityGroupArn", group_arn(call, group->id));
                     write_permissions(out, "ipPermissions", *group, false, call);
                     write_permissions(out, "ipPermissionsEgress", *group, true, call);
                     write_tags(out, call.model.tags_of(group->id));
                   });
}

Answer<std::string> describe_rules(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("SecurityGroupRuleId");
  return list_page(call, "securityGroupRuleSet", call.model.describe_rules(ids, *filters),
                   {5, 1000, !ids.empty(), "SecurityGroupRuleIds"},
                   [&](XmlWriter& out, const ec2model::Model::RuleEntry& entry) {
                     write_rule(out, entry.group->id, *entry.rule, call);
                   });
}

std::vector<std::string_view> rule_names(std::vector<std::string_view> more) {
  for (const std::string_view name :
       {"CidrIp", "FromPort", "ToPort", "IpProtocol", "GroupId", "GroupName",
        "IpPermissions.N.IpProtocol", "IpPermissions.N.FromPort", "IpPermissions.N.ToPort",
        "IpPermissions.N.Groups.N.Description", "IpPermissions.N.Groups.N.UserId",
        "IpPermissions.N.Groups.N.GroupName", "IpPermissions.N.Groups.N.GroupId",
        "IpPermissions.N.IpRanges.N.Description", "IpPermissions.N.IpRanges.N.CidrIp",
        "IpPermissions.N.Ipv6Ranges.N.Description", "IpPermissions.N.Ipv6Ranges.N.CidrIpv6"}) {
    more.push_back(name);
  }
  return more;
}

}  // namespace

ActionTable group_actions() {
  return {
      {"CreateSecurityGroup",
       {create_group,
        tagged({"GroupName", "GroupDescription", "VpcId"}),
        {"GroupName", "GroupDescription"},
        false}},
      {"DeleteSecurityGroup", {delete_group, {"GroupId", "GroupName"}, {}, false}},
      {"AuthorizeSecurityGroupIngress", {authorize_ingress, rule_names(tagged({})), {}, false}},
      {"AuthorizeSecurityGroupEgress", {authorize_egress, rule_names(tagged({})), {}, false}},
      {"RevokeSecurityGroupIngress",
       {revoke_ingress, rule_names({"SecurityGroupRuleId.N"}), {}, false}},
      {"RevokeSecurityGroupEgress",
       {revoke_egress, rule_names({"SecurityGroupRuleId.N"}), {}, false}},
      {"DescribeSecurityGroups", {describe_groups, paged({"GroupId.N", "GroupName.N"}), {}, true}},
      {"DescribeSecurityGroupRules", {describe_rules, paged({"SecurityGroupRuleId.N"}), {}, false}},
  };
}

}  // namespace ec2sim
