#include "adapters/aws/profile.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/nearest.hpp"
#include "wire/ini.hpp"

namespace muster::aws {
namespace {

Result<wire::IniFile> read_file(const std::string& path, bool must_exist) {
  std::ifstream file(path);
  if (!file) {
    if (!must_exist && errno == ENOENT) return wire::IniFile{};
    return fail(ErrorKind::invalid_input,
                fmt::format("cannot read {}: {}", path, std::strerror(errno)),
                "Correct AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE, or its permissions.");
  }
  std::ostringstream text;
  text << file.rdbuf();
  if (text.str().size() > (1U << 20)) {
    return fail(ErrorKind::invalid_input, fmt::format("{} is over 1 MiB", path));
  }
  return wire::parse_ini(text.str(), path);
}

/// `profile ci` and `profile "ci"` in the config file; `default` stands bare.
std::string config_section(const std::string& name) {
  return name == "default" ? "default" : "profile " + name;
}

std::string without_quotes(std::string name) {
  std::erase(name, '"');
  return name;
}

}  // namespace

std::string variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

std::string Profile::get(const std::string& key) const {
  const auto found = settings.find(key);
  return found == settings.end() ? std::string() : found->second;
}

Result<Profile> load_profile(const Environment& environment) {
  Profile profile;
  const std::string home = variable(environment, "HOME");
  const std::string chosen = variable(environment, "AWS_PROFILE");
  const std::string config = variable(environment, "AWS_CONFIG_FILE");
  const std::string credentials = variable(environment, "AWS_SHARED_CREDENTIALS_FILE");
  profile.is_explicit = !chosen.empty();
  profile.name = chosen.empty() ? "default" : chosen;
  profile.config_file = config.empty() ? home + "/.aws/config" : config;
  profile.credentials_file = credentials.empty() ? home + "/.aws/credentials" : credentials;

  const Result<wire::IniFile> in_config = read_file(profile.config_file, !config.empty());
  if (!in_config) return tl::unexpected<Error>(in_config.error());
  const Result<wire::IniFile> in_credentials =
      read_file(profile.credentials_file, !credentials.empty());
  if (!in_credentials) return tl::unexpected<Error>(in_credentials.error());

  bool is_found = false;
  std::vector<std::string> known;
  for (const auto& [section, settings] : *in_config) {
    const std::string name = without_quotes(section);
    if (name.starts_with("profile ")) known.push_back(name.substr(8));
    if (name != config_section(profile.name)) continue;
    is_found = true;
    profile.settings.insert(settings.begin(), settings.end());
  }
  for (const auto& [section, settings] : *in_credentials) {
    known.push_back(section);
    if (section != profile.name) continue;
    is_found = true;
    for (const auto& [key, value] : settings) profile.settings[key] = value;
  }
  if (!is_found && profile.is_explicit) {
    const auto near = nearest_name(profile.name, known);
    return fail(ErrorKind::invalid_input,
                fmt::format("AWS_PROFILE is \"{}\", and neither {} nor {} has that profile",
                            profile.name, profile.config_file, profile.credentials_file),
                near ? fmt::format("Did you mean {}?", *near) : "Add it, or unset AWS_PROFILE.");
  }
  const std::string services = profile.get("services");
  const auto block = in_config->find("services " + services);
  if (!services.empty() && block != in_config->end()) {
    for (const auto& [key, value] : block->second) profile.settings["services." + key] = value;
  }
  return profile;
}

}  // namespace muster::aws
