#include "ec2sim/parameter_store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/document.hpp"

namespace ec2sim {

using ec2model::Answer;
using ec2model::refuse;

namespace {

constexpr std::size_t kStandardBytes = 4096;
constexpr std::size_t kAdvancedBytes = 8192;
constexpr long kVersionsMax = 100;

Answer<void> check_name(const std::string& name) {
  const bool has_form = !name.empty() && name.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_.-/") == std::string::npos;
  const std::string_view bare =
      name.starts_with('/') ? std::string_view(name).substr(1) : std::string_view(name);
  if (!has_form || (bare.find('/') != std::string_view::npos && !name.starts_with('/'))) {
    return refuse(
        "ValidationException",
        fmt::format("Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If "
                    "formed as a path, it can consist of sub-paths divided by slash symbol; "
                    "each sub-path can be formed as a mix of letters, numbers and the "
                    "following 3 symbols .-_ ({})",
                    name));
  }
  if (bare.starts_with("aws") || bare.starts_with("ssm")) {
    return refuse("AccessDeniedException", "No access to reserved parameter name: " + name);
  }
  if (name.size() > 1011) {
    return refuse("ValidationException", "Parameter names are limited to 1011 characters");
  }
  if (std::count(name.begin(), name.end(), '/') > 15) {
    return refuse("HierarchyLevelLimitExceededException",
                  "A hierarchy can have a maximum of 15 levels.");
  }
  return {};
}

}  // namespace

ParameterStore::ParameterStore(const ec2model::World& world)
    : account_(world.account), region_(world.region) {
  for (const ec2model::Image& image : world.images) {
    for (const std::string& name : image.parameters) {
      Parameter parameter;
      parameter.name = name;
      parameter.value = image.id;
      parameter.data_type = "aws:ec2:image";
      public_[name] = parameter;
    }
  }
}

std::string ParameterStore::arn_of(const Parameter& parameter) const {
  const bool is_public = public_.contains(parameter.name);
  return fmt::format("arn:aws:ssm:{}:{}:parameter{}{}", region_, is_public ? "" : account_,
                     parameter.name.starts_with('/') ? "" : "/", parameter.name);
}

Answer<const ParameterStore::Parameter*> ParameterStore::put(Parameter parameter, bool overwrites,
                                                             muster::TimePoint now) {
  if (auto fine = check_name(parameter.name); !fine) return ec2model::again(fine);
  if (overwrites && !parameter.tags.empty()) {
    return refuse("ValidationException",
                  "Invalid request: tags and overwrite can't be used together. To create a "
                  "parameter with tags, please remove overwrite flag.");
  }
  if (parameter.value.empty()) {
    return refuse("ValidationException",
                  "1 validation error detected: Value '' at 'value' failed to satisfy constraint: "
                  "Member must have length greater than or equal to 1");
  }
  const bool is_advanced =
      parameter.tier == "Advanced" ||
      (parameter.tier == "Intelligent-Tiering" && parameter.value.size() > kStandardBytes);
  if (parameter.value.size() > (is_advanced ? kAdvancedBytes : kStandardBytes)) {
    return refuse(
        "ValidationException",
        fmt::format("{} tier parameters support a maximum parameter value of {} characters.",
                    is_advanced ? "Advanced" : "Standard",
                    is_advanced ? kAdvancedBytes : kStandardBytes));
  }
  parameter.tier = is_advanced ? "Advanced" : "Standard";
  const auto there = parameters_.find(parameter.name);
  if (there != parameters_.end() && !overwrites) {
    return refuse("ParameterAlreadyExists",
                  "The parameter already exists. To overwrite this value, set the overwrite option "
                  "in the request to true.");
  }
  if (there == parameters_.end() && parameter.type.empty()) {
    return refuse("ValidationException",
                  "A parameter type is required when you create a parameter.");
  }
  if (there != parameters_.end()) {
    parameter.version = there->second.version + 1;
    parameter.tags = there->second.tags;
    if (parameter.type.empty()) parameter.type = there->second.type;
  }
  parameter.modified_at = now;
  auto& versions = history_[parameter.name];
  versions[parameter.version] = parameter.value;
  if (versions.size() > static_cast<std::size_t>(kVersionsMax)) versions.erase(versions.begin());
  const std::string name = parameter.name;
  return &(parameters_[name] = std::move(parameter));
}

Answer<ParameterStore::Parameter> ParameterStore::get(const std::string& asked) const {
  std::string name = asked;
  if (name.starts_with("arn:")) {
    const std::size_t at = name.find(":parameter/");
    if (at == std::string::npos) {
      return refuse("ValidationException", "Invalid parameter ARN: " + asked);
    }
    const std::string owner = name.substr(0, at);
    const bool is_ours = owner == fmt::format("arn:aws:ssm:{}:{}", region_, account_) ||
                         owner == fmt::format("arn:aws:ssm:{}:", region_);
    if (!is_ours) {
      return refuse(
          "AccessDeniedException",
          fmt::format("not authorized to perform: ssm:GetParameter on resource: {}", asked));
    }
    name = name.substr(at + 10);
    // The slash is part of the ARN; names without a path have none.
    if (!parameters_.contains(name) && !public_.contains(name)) name = name.substr(1);
  }
  const std::size_t colon = name.rfind(':');
  const auto version =
      colon == std::string::npos ? std::nullopt : muster::parse_integer(name.substr(colon + 1));
  const std::string bare = name.substr(0, colon);
  const auto in = [&](const std::map<std::string, Parameter>& from) -> const Parameter* {
    const auto found = from.find(bare);
    return found == from.end() ? nullptr : &found->second;
  };
  const Parameter* found = in(parameters_);
  if (found == nullptr) found = in(public_);
  if (found == nullptr) return refuse("ParameterNotFound", "");
  if (colon == std::string::npos || (version && *version == found->version)) return *found;
  const auto history = history_.find(bare);
  if (version && history != history_.end()) {
    const auto old = history->second.find(static_cast<long>(*version));
    if (old != history->second.end()) {
      Parameter before = *found;
      before.version = old->first;
      before.value = old->second;
      return before;
    }
  }
  return refuse(
      "ParameterVersionNotFound",
      fmt::format("Systems Manager could not find version {} of {}. Verify the version and "
                  "try again.",
                  name.substr(colon + 1), bare));
}

bool ParameterStore::erase(const std::string& name) {
  history_.erase(name);
  return parameters_.erase(name) > 0;
}

std::vector<const ParameterStore::Parameter*> ParameterStore::below(const std::string& path,
                                                                    bool recursive) const {
  std::string prefix = path;
  if (!prefix.ends_with('/')) prefix += '/';
  std::vector<const Parameter*> found;
  for (const auto* from : {&parameters_, &public_}) {
    for (const auto& [name, parameter] : *from) {
      if (!name.starts_with(prefix)) continue;
      if (!recursive && name.find('/', prefix.size()) != std::string::npos) continue;
      found.push_back(&parameter);
    }
  }
  return found;
}

std::vector<const ParameterStore::Parameter*> ParameterStore::all() const {
  std::vector<const Parameter*> found;
  for (const auto& [name, parameter] : parameters_) found.push_back(&parameter);
  return found;
}

}  // namespace ec2sim
