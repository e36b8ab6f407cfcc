#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/document.hpp"
#include "ec2sim/call.hpp"
#include "ec2sim/ec2_xml.hpp"
#include "ec2sim/launch_parameters.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::Model;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

constexpr const char* kData = "LaunchTemplateData.";

/// `LaunchTemplateData.` before each name of a launch. The views live as long as the program.
std::vector<std::string_view> data_names(std::vector<std::string_view> more) {
  static const std::vector<std::string>& names = *[] {
    auto made = std::make_unique<std::vector<std::string>>();
    for (const std::string_view name : launch_names()) made->push_back(kData + std::string(name));
    return made.release();
  }();
  more.insert(more.end(), names.begin(), names.end());
  return more;
}

Model::TemplateName name_in(const Parameters& given) {
  return {given.text("LaunchTemplateId"), given.text("LaunchTemplateName")};
}

std::string creator(const Call& call) { return call.model.world().user_arn; }

void write_template(XmlWriter& out, const ec2model::LaunchTemplate& at, const Call& call) {
  out.text("launchTemplateId", at.id).text("launchTemplateName", at.name);
  out.text("createTime", muster::format_iso8601_millis(at.created_at));
  out.text("createdBy", creator(call)).number("defaultVersionNumber", at.default_version);
  out.number("latestVersionNumber", at.latest_version);
  const ec2model::Tags& tags = call.model.tags_of(at.id);
  if (!tags.empty()) write_tags(out, tags);
}

/// A tree of what dotted names spell.
struct Branch {
  std::string value;
  std::map<std::string, Branch> parts;  // Indices are padded, so that 10 comes after 9.
};

Branch tree_of(const std::map<std::string, std::string>& data) {
  Branch root;
  for (const auto& [name, value] : data) {
    Branch* at = &root;
    for (std::size_t begin = 0; begin <= name.size();) {
      const std::size_t dot = std::min(name.find('.', begin), name.size());
      const std::string part = name.substr(begin, dot - begin);
      const auto index = muster::parse_integer(part);
      at = &at->parts[index ? fmt::format("{:09}", *index) : part];
      begin = dot + 1;
    }
    at->value = value;
  }
  return root;
}

/// How a list of the request is called in the answer, and each of its items.
struct ListName {
  std::string_view set;
  std::string_view item;
};
ListName list_name(std::string_view name, bool is_in_interface) {
  if (name == "BlockDeviceMapping") return {"blockDeviceMappingSet", "item"};
  if (name == "NetworkInterface") return {"networkInterfaceSet", "item"};
  if (name == "TagSpecification") return {"tagSpecificationSet", "item"};
  if (name == "Tag") return {"tagSet", "item"};
  if (name == "SecurityGroupId" && is_in_interface) return {"groupSet", "groupId"};
  if (name == "SecurityGroupId") return {"securityGroupIdSet", "item"};
  if (name == "SecurityGroup") return {"securityGroupSet", "item"};
  if (name == "PrivateIpAddresses") return {"privateIpAddressesSet", "item"};
  return {name, "item"};
}

/// Exactly the members that were given, and no empty list beside them.
void write_branch(XmlWriter& out, const Branch& branch, bool is_in_interface) {
  for (const auto& [name, part] : branch.parts) {
    const bool is_list = !part.parts.empty() && part.parts.begin()->first.front() <= '9';
    if (is_list) {
      const ListName names = list_name(name, is_in_interface);
      out.open(names.set);
      for (const auto& [index, item] : part.parts) {
        if (item.parts.empty()) {
          out.text(names.item, item.value);
        } else {
          out.open(names.item);
          write_branch(out, item, name == "NetworkInterface");
          out.close();
        }
      }
      out.close();
      continue;
    }
    std::string element = name;
    element.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(element.front())));
    if (part.parts.empty()) {
      out.text(element, part.value);
    } else {
      out.open(element);
      write_branch(out, part, is_in_interface);
      out.close();
    }
  }
}

void write_version(XmlWriter& out, const ec2model::LaunchTemplate& of,
                   const ec2model::TemplateVersion& at, const Call& call,
                   const std::map<std::string, std::string>& data) {
  out.text("launchTemplateId", of.id).text("launchTemplateName", of.name);
  out.number("versionNumber", at.number);
  if (!at.description.empty()) out.text("versionDescription", at.description);
  out.text("createTime", muster::format_iso8601_millis(at.created_at));
  out.text("createdBy", creator(call)).boolean("defaultVersion", at.number == of.default_version);
  out.open("launchTemplateData");
  write_branch(out, tree_of(data), false);
  out.close();
}

ec2model::TemplateVersion version_in(const Parameters& given) {
  ec2model::TemplateVersion version;
  version.description = given.text("VersionDescription");
  version.data = given.below(kData);
  return version;
}

Answer<std::string> create_template(const Call& call) {
  ParameterReader reader(call.given);
  auto tags = reader.tag_specifications({"launch-template"});
  if (reader.has_failed()) return reader.failure();
  if (call.given.below(kData).empty()) {
    return refuse("MissingParameter", "The request must contain the parameter LaunchTemplateData");
  }
  const auto made = call.model.create_template(
      call.given.text("LaunchTemplateName"), version_in(call.given), tags["launch-template"],
      call.given.text("ClientToken"), call.given.fingerprint(), call.gate, call.now);
  if (!made) return again(made);
  XmlWriter out;
  out.open("launchTemplate");
  write_template(out, **made, call);
  out.close();
  return out.take();
}

Answer<std::string> create_version(const Call& call) {
  if (call.given.below(kData).empty() && !call.given.has("SourceVersion")) {
    return refuse("MissingParameter", "The request must contain the parameter LaunchTemplateData");
  }
  ParameterReader reader(call.given);
  const bool resolves = reader.boolean("ResolveAlias");
  if (reader.has_failed()) return reader.failure();
  const std::map<std::string, std::string> data = call.given.below(kData);
  if (resolves) {
    // Before the version is made: an unknown parameter makes none.
    const auto known = with_resolved_image(call, Parameters::of(data));
    if (!known) return again(known);
  }
  const Model::TemplateName name = name_in(call.given);
  const auto made = call.model.add_template_version(
      name, call.given.text("SourceVersion"), version_in(call.given),
      call.given.text("ClientToken"), call.given.fingerprint(), call.gate, call.now);
  if (!made) return again(made);
  const auto of = call.model.find_template(name);
  // The answer shows the image; the version keeps the name of its parameter.
  Answer<Parameters> shown = Parameters::of((*made)->data);
  if (resolves) shown = with_resolved_image(call, *shown);
  if (!shown) return again(shown);
  XmlWriter out;
  out.open("launchTemplateVersion");
  write_version(out, **of, **made, call, shown->values());
  out.close();
  return out.take();
}

Answer<std::string> modify_template(const Call& call) {
  const std::string version = call.given.text("SetDefaultVersion");
  const auto changed = call.model.set_default_version(name_in(call.given), version, call.gate);
  if (!changed) return again(changed);
  XmlWriter out;
  out.open("launchTemplate");
  write_template(out, **changed, call);
  out.close();
  return out.take();
}

Answer<std::string> delete_template(const Call& call) {
  const auto gone = call.model.delete_template(name_in(call.given), call.gate);
  if (!gone) return again(gone);
  XmlWriter out;
  out.open("launchTemplate");
  write_template(out, *gone, call);
  out.close();
  return out.take();
}

Answer<std::string> delete_versions(const Call& call) {
  const Model::TemplateName name = name_in(call.given);
  const auto found = call.model.find_template(name);
  if (!found) return again(found);
  if (auto open = call.gate.pass(); !open) return again(open);
  XmlWriter gone;
  XmlWriter kept;
  gone.open("successfullyDeletedLaunchTemplateVersionSet");
  kept.open("unsuccessfullyDeletedLaunchTemplateVersionSet");
  for (const std::string& version : call.given.list("LaunchTemplateVersion")) {
    const auto deleted = call.model.delete_template_version(name, version);
    XmlWriter& out = deleted ? gone : kept;
    out.open("item").text("launchTemplateId", (*found)->id);
    out.text("launchTemplateName", (*found)->name).text("versionNumber", version);
    if (!deleted) {
      out.open("responseError").text("code", deleted.error().code);
      out.text("message", deleted.error().message).close();
    }
    out.close();
  }
  return gone.close().take() + kept.close().take();
}

Answer<std::string> describe_templates(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  const auto ids = call.given.list("LaunchTemplateId");
  const auto names = call.given.list("LaunchTemplateName");
  return list_page(call, "launchTemplates", call.model.describe_templates(ids, names, *filters),
                   {1, 200, false, ""}, [&](XmlWriter& out, const ec2model::LaunchTemplate* one) {
                     write_template(out, *one, call);
                   });
}

/// The versions that a call names, or a range, or all; newest first.
Answer<std::vector<Model::VersionEntry>> versions_in(const Call& call,
                                                     const ec2model::LaunchTemplate& of) {
  std::vector<Model::VersionEntry> found;
  const std::vector<std::string> named = call.given.list("LaunchTemplateVersion");
  for (const std::string& version : named) {
    const auto one = call.model.find_version(of, version);
    if (!one) return again(one);
    found.push_back({&of, *one});
  }
  if (!named.empty()) return found;
  ParameterReader reader(call.given);
  const int smallest = reader.integer("MinVersion", 1);
  const int largest = reader.integer("MaxVersion", 2'000'000'000);
  if (reader.has_failed()) return reader.failure();
  for (auto at = of.versions.rbegin(); at != of.versions.rend(); ++at) {
    if (at->number >= smallest && at->number <= largest) found.push_back({&of, &*at});
  }
  return found;
}

Answer<std::string> describe_versions(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  const bool resolves = reader.boolean("ResolveAlias");
  if (reader.has_failed()) return reader.failure();
  const Model::TemplateName name = name_in(call.given);
  std::vector<Model::VersionEntry> entries;
  const std::vector<std::string> named = call.given.list("LaunchTemplateVersion");
  if (name.id.empty() && name.name.empty()) {
    const bool has_number = std::any_of(named.begin(), named.end(), [](const std::string& version) {
      return !version.starts_with('$');
    });
    if (named.empty() || has_number) {
      // Verified against EC2, with its typographic quotes.
      return refuse("InvalidParameterValue",
                    "If you don't specify a launch template ID or name, the only supported values "
                    "for the launch template version are \u201c$Latest\u201d and "
                    "\u201c$Default\u201d.");
    }
    const auto all = call.model.describe_templates({}, {}, {});
    for (const ec2model::LaunchTemplate* one : *all) {
      for (const std::string& version : named) {
        const auto entry = call.model.find_version(*one, version);
        if (entry) entries.push_back({one, *entry});
      }
    }
  } else {
    const auto of = call.model.find_template(name);
    if (!of) return again(of);
    auto found = versions_in(call, **of);
    if (!found) return again(found);
    entries = std::move(*found);
  }
  const auto matching = call.model.filter_versions(entries, filters);
  if (!matching) return again(matching);
  // Resolving can fail, so it comes before a page is written.
  std::map<const ec2model::TemplateVersion*, std::map<std::string, std::string>> data;
  for (const Model::VersionEntry& entry : *matching) {
    data[entry.version] = entry.version->data;
    if (!resolves) continue;
    const auto resolved = with_resolved_image(call, Parameters::of(entry.version->data));
    if (!resolved) return again(resolved);
    data[entry.version] = resolved->values();
  }
  return list_page(call, "launchTemplateVersionSet", matching, {1, 200, false, ""},
                   [&](XmlWriter& out, const Model::VersionEntry& entry) {
                     write_version(out, *entry.of, *entry.version, call, data[entry.version]);
                   });
}

}  // namespace

Answer<MergedLaunch> with_template(const Call& call, const Parameters& given) {
  MergedLaunch merged{given, {}};
  const bool has_template = given.has_prefix("LaunchTemplate.");
  if (!has_template) return merged;
  const auto found = call.model.find_template({given.text("LaunchTemplate.LaunchTemplateId"),
                                               given.text("LaunchTemplate.LaunchTemplateName")});
  if (!found) return again(found);
  const auto version = call.model.find_version(**found, given.text("LaunchTemplate.Version"));
  if (!version) return again(version);
  std::map<std::string, std::string> values = given.values();
  std::erase_if(values, [](const auto& one) { return one.first.starts_with("LaunchTemplate."); });
  for (const auto& [name, value] : (*version)->data) {
    const std::string top = name.substr(0, name.find('.'));
    if (top == "TagSpecification") {
      // Merged by type, the call's own first: theirs stand behind.
      const std::size_t dot = name.find('.', top.size() + 1);
      const std::string index = name.substr(top.size() + 1, dot - top.size() - 1);
      values[fmt::format("{}.{}{}", top, 1000 + muster::parse_integer(index).value_or(0),
                         name.substr(dot))] = value;
      continue;
    }
    const bool is_replaced = given.has(top) || given.has_prefix(top + ".");
    if (!is_replaced) values[name] = value;
  }
  merged.parameters = Parameters::of(std::move(values));
  merged.system_tags = {{"aws:ec2launchtemplate:id", (*found)->id},
                        {"aws:ec2launchtemplate:version", std::to_string((*version)->number)}};
  return merged;
}

Answer<Parameters> with_resolved_image(const Call& call, const Parameters& given) {
  constexpr std::string_view kPrefix = "resolve:ssm:";
  const std::string image = given.text("ImageId");
  if (!image.starts_with(kPrefix)) return given;
  const Answer<std::string> value = call.around.parameter(call.model, image.substr(kPrefix.size()));
  if (!value) return again(value);
  std::map<std::string, std::string> values = given.values();
  values["ImageId"] = *value;
  return Parameters::of(std::move(values));
}

ActionTable template_actions() {
  return {
      {"CreateLaunchTemplate",
       {create_template,
        data_names(tagged({"LaunchTemplateName", "VersionDescription", "ClientToken"})),
        {"LaunchTemplateName"},
        false}},
      {"CreateLaunchTemplateVersion",
       {create_version,
        data_names({"LaunchTemplateId", "LaunchTemplateName", "SourceVersion", "VersionDescription",
                    "ClientToken", "ResolveAlias"}),
        {},
        false}},
      {"ModifyLaunchTemplate",
       {modify_template,
        {"LaunchTemplateId", "LaunchTemplateName", "SetDefaultVersion", "ClientToken"},
        {"SetDefaultVersion"},
        false}},
      {"DeleteLaunchTemplate",
       {delete_template, {"LaunchTemplateId", "LaunchTemplateName"}, {}, false}},
      {"DeleteLaunchTemplateVersions",
       {delete_versions,
        {"LaunchTemplateId", "LaunchTemplateName", "LaunchTemplateVersion.N"},
        {"LaunchTemplateVersion.N"},
        false}},
      {"DescribeLaunchTemplates",
       {describe_templates, paged({"LaunchTemplateId.N", "LaunchTemplateName.N"}), {}, false}},
      {"DescribeLaunchTemplateVersions",
       {describe_versions,
        paged({"LaunchTemplateId", "LaunchTemplateName", "LaunchTemplateVersion.N", "MinVersion",
               "MaxVersion", "ResolveAlias"}),
        {},
        false}},
  };
}

}  // namespace ec2sim
