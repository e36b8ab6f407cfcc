#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "ec2model/filters.hpp"
#include "ec2model/ids.hpp"
#include "ec2model/model.hpp"

namespace ec2model {
namespace {

constexpr std::size_t kVersionsMax = 10'000;

bool is_name(const std::string& name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789().-/_";
  return name.size() >= 3 && name.size() <= 128 &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

}  // namespace

Answer<const LaunchTemplate*> Model::find_template(const TemplateName& name) const {
  // Before the id is looked at (ec2-clients notes: verified against EC2).
  if (!name.id.empty() && !name.name.empty()) {
    return refuse("InvalidParameterCombination",
                  "You cannot specify both a launch template ID and a launch template name.");
  }
  if (name.id.empty() && name.name.empty()) {
    return refuse("MissingParameter",
                  "You must specify either a launch template ID or a launch template name.");
  }
  if (!name.id.empty()) {
    if (!is_well_formed(name.id, "lt")) {
      return refuse("InvalidLaunchTemplateId.Malformed",
                    fmt::format("Invalid id: \"{}\" (expecting \"lt-...\")", name.id));
    }
    const auto found = templates_.find(name.id);
    if (found != templates_.end()) return &found->second;
    return refuse("InvalidLaunchTemplateId.NotFound",
                  fmt::format("The specified launch template, with template ID {}, does not exist.",
                              name.id));
  }
  for (const auto& [id, one] : templates_) {
    if (one.name == name.name) return &one;
  }
  return refuse("InvalidLaunchTemplateName.NotFoundException",
                fmt::format("The specified launch template, with template name {}, does not exist.",
                            name.name));
}

Answer<const TemplateVersion*> Model::find_version(const LaunchTemplate& of,
                                                   const std::string& version) const {
  long number = 0;
  if (version.empty() || version == "$Default") {
    number = of.default_version;
  } else if (version == "$Latest") {
    number = of.latest_version;
  } else {
    const char* end = version.data() + version.size();
    const auto [stop, error] = std::from_chars(version.data(), end, number);
    if (error != std::errc{} || stop != end) {
      return refuse("InvalidParameterValue",
                    fmt::format("Invalid launch template version: either '$Default', '$Latest', or "
                                "a numeric version are allowed."));
    }
  }
  for (const TemplateVersion& one : of.versions) {
    if (one.number == number) return &one;
  }
  return refuse("InvalidLaunchTemplateId.VersionNotFound",
                fmt::format("Could not find the specified version {} for the launch template with "
                            "ID {}.",
                            version, of.id));
}

Answer<const LaunchTemplate*> Model::create_template(const std::string& name, TemplateVersion first,
                                                     const Tags& tags, const std::string& token,
                                                     const std::string& fingerprint,
                                                     const Gate& gate, TimePoint now) {
  if (!is_name(name)) {
    return refuse(
        "InvalidLaunchTemplateName.MalformedException",
        fmt::format("A launch template name must be between 3 and 128 characters, and may "
                    "contain letters, numbers, and the following characters: - ( ) . / _. "
                    "'{}' is not one.",
                    name));
  }
  if (first.description.size() > 255) {
    return refuse("InvalidParameterValue", "VersionDescription is limited to 255 characters");
  }
  if (token.size() > 128) {
    return refuse("InvalidParameterValue",
                  "Invalid value for ClientToken: at most 128 characters are allowed");
  }
  if (auto fine = check_tag_keys(tags); !fine) return again(fine);
  if (!gate.permission) return again(gate.permission);
  if (gate.is_dry_run) return dry_run_refusal();
  const std::string key = "CreateLaunchTemplate " + token;
  const Answer<const LaunchTemplate*> there = find_template({"", name});
  if (!token.empty() && fingerprints_.contains(key)) {
    if (fingerprints_.at(key) != fingerprint) {
      return refuse("IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in "
                    "previous request(s).");
    }
    if (there) return *there;
  }
  if (there) {
    return refuse("InvalidLaunchTemplateName.AlreadyExistsException",
                  "Launch template name already in use.");
  }
  if (!gate.bucket) return again(gate.bucket);
  LaunchTemplate made;
  made.id = random_id("lt-");
  made.name = name;
  made.created_at = now;
  first.number = 1;
  first.created_at = now;
  made.versions.push_back(std::move(first));
  if (!tags.empty()) tags_[made.id] = tags;
  if (!token.empty()) fingerprints_[key] = fingerprint;
  const std::string id = made.id;
  return &templates_.emplace(id, std::move(made)).first->second;
}

Answer<const TemplateVersion*> Model::add_template_version(
    const TemplateName& name, const std::string& source, TemplateVersion version,
    const std::string& token, const std::string& fingerprint, const Gate& gate, TimePoint now) {
  const Answer<const LaunchTemplate*> found = find_template(name);
  if (!found) return again(found);
  if (!source.empty()) {
    const Answer<const TemplateVersion*> from = find_version(**found, source);
    if (!from) return again(from);
    // What the source has and the call does not replace, by top-level name.
    std::set<std::string> replaced;
    for (const auto& [key, value] : version.data) replaced.insert(key.substr(0, key.find('.')));
    for (const auto& [key, value] : (*from)->data) {
      if (!replaced.contains(key.substr(0, key.find('.')))) version.data.emplace(key, value);
    }
  }
  if (!gate.permission) return again(gate.permission);
  if (gate.is_dry_run) return dry_run_refusal();
  LaunchTemplate& to = templates_.at((*found)->id);
  const std::string key = "CreateLaunchTemplateVersion " + token;
  if (!token.empty() && fingerprints_.contains(key)) {
    if (fingerprints_.at(key) != fingerprint) {
      return refuse("IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in "
                    "previous request(s).");
    }
    return find_version(to, made_[key]);
  }
  if (!gate.bucket) return again(gate.bucket);
  if (to.versions.size() >= kVersionsMax) {
    return refuse("MaxTemplateVersionLimitExceeded", "The template has too many versions.");
  }
  version.number = ++to.last_number;
  to.latest_version = version.number;
  version.created_at = now;
  to.versions.push_back(std::move(version));
  if (!token.empty()) {
    fingerprints_[key] = fingerprint;
    made_[key] = std::to_string(to.latest_version);
  }
  return &to.versions.back();
}

Answer<const LaunchTemplate*> Model::set_default_version(const TemplateName& name,
                                                         const std::string& version,
                                                         const Gate& gate) {
  const Answer<const LaunchTemplate*> found = find_template(name);
  if (!found) return again(found);
  const Answer<const TemplateVersion*> wanted = find_version(**found, version);
  if (!wanted) return again(wanted);
  if (auto open = gate.pass(); !open) return again(open);
  LaunchTemplate& to = templates_.at((*found)->id);
  to.default_version = (*wanted)->number;
  return &to;
}

Answer<LaunchTemplate> Model::delete_template(const TemplateName& name, const Gate& gate) {
  const Answer<const LaunchTemplate*> found = find_template(name);
  if (!found) return again(found);
  if (auto open = gate.pass(); !open) return again(open);
  LaunchTemplate gone = **found;
  templates_.erase(gone.id);
  tags_.erase(gone.id);
  return gone;
}

Answer<void> Model::delete_template_version(const TemplateName& name, const std::string& version) {
  const Answer<const LaunchTemplate*> found = find_template(name);
  if (!found) return again(found);
  const Answer<const TemplateVersion*> wanted = find_version(**found, version);
  if (!wanted) {
    return refuse("launchTemplateVersionDoesNotExist",
                  fmt::format("The specified launch template version {} does not exist.", version));
  }
  LaunchTemplate& from = templates_.at((*found)->id);
  const long number = (*wanted)->number;
  if (number == from.default_version) {
    return refuse("unexpectedError",
                  fmt::format("The default version {} cannot be deleted.", number));
  }
  std::erase_if(from.versions, [&](const TemplateVersion& one) { return one.number == number; });
  from.latest_version = from.versions.back().number;
  return {};
}

Answer<std::vector<const LaunchTemplate*>> Model::describe_templates(
    const std::vector<std::string>& ids, const std::vector<std::string>& names,
    const std::vector<Filter>& filters) const {
  for (const std::string& id : ids) {
    if (const auto found = find_template({id, ""}); !found) return again(found);
  }
  for (const std::string& name : names) {
    if (const auto found = find_template({"", name}); !found) return again(found);
  }
  using Values = std::vector<std::string>;
  static const FilterTable<LaunchTemplate> table{
      {"launch-template-name",
       [](const LaunchTemplate& at, const Model&) { return Values{at.name}; }},
      {"create-time",
       [](const LaunchTemplate& at, const Model&) {
         return Values{muster::format_iso8601_millis(at.created_at)};
       }},
  };
  if (auto fine = check_filters(table, filters); !fine) return again(fine);
  std::vector<const LaunchTemplate*> found;
  for (const auto& [id, one] : templates_) {
    const bool is_asked = (ids.empty() && names.empty()) || is_listed(ids, id, false) ||
                          is_listed(names, one.name, false);
    if (is_asked && passes(table, filters, one, tags_of(id), *this)) found.push_back(&one);
  }
  return found;
}

Answer<std::vector<Model::VersionEntry>> Model::filter_versions(
    const std::vector<VersionEntry>& entries, const std::vector<Filter>& filters) const {
  using Values = std::vector<std::string>;
  const auto datum = [](const VersionEntry& at, const char* name) {
    const auto found = at.version->data.find(name);
    return found == at.version->data.end() ? Values{} : Values{found->second};
  };
  static const auto read = datum;
  static const FilterTable<VersionEntry> table{
      {"create-time",
       [](const VersionEntry& at, const Model&) {
         return Values{muster::format_iso8601_millis(at.version->created_at)};
       }},
      {"image-id", [](const VersionEntry& at, const Model&) { return read(at, "ImageId"); }},
      {"instance-type",
       [](const VersionEntry& at, const Model&) { return read(at, "InstanceType"); }},
      {"ebs-optimized",
       [](const VersionEntry& at, const Model&) { return read(at, "EbsOptimized"); }},
      {"http-endpoint", [](const VersionEntry& at,
                           const Model&) { return read(at, "MetadataOptions.HttpEndpoint"); }},
      {"http-tokens",
       [](const VersionEntry& at, const Model&) { return read(at, "MetadataOptions.HttpTokens"); }},
      {"is-default-version",
       [](const VersionEntry& at, const Model&) {
         return Values{at.version->number == at.of->default_version ? "true" : "false"};
       }},
  };
  if (auto fine = check_filters(table, filters, false); !fine) return again(fine);
  std::vector<VersionEntry> found;
  for (const VersionEntry& entry : entries) {
    if (passes(table, filters, entry, {}, *this)) found.push_back(entry);
  }
  return found;
}

}  // namespace ec2model
