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

std::string without_quotes(std::string name) {
  std::erase(name, '"');
  return name;
}

}  // namespace

std::string variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

std::string ProfileSettings::get(const std::string& key) const {
  const auto found = values.find(key);
  return found == values.end() ? std::string() : found->second;
}

const ProfileSettings* Profile::find(const std::string& profile) const {
  const auto found = all.find(profile);
  return found == all.end() ? nullptr : &found->second;
}

std::string Profile::get(const std::string& key) const {
  if (key.starts_with("services.")) {
    const auto service = services.find(key.substr(9));
    return service == services.end() ? std::string() : service->second;
  }
  const ProfileSettings* own = find(name);
  return own == nullptr ? std::string() : own->get(key);
}

Result<Profile> load_profile(const Environment& environment, const std::string& configured) {
  Profile profile;
  const std::string home = variable(environment, "HOME");
  const std::string chosen = configured.empty() ? variable(environment, "AWS_PROFILE") : configured;
  const std::string config = variable(environment, "AWS_CONFIG_FILE");
  const std::string credentials = variable(environment, "AWS_SHARED_CREDENTIALS_FILE");
  profile.is_configured = !configured.empty();
  profile.name = chosen.empty() ? "default" : chosen;
  profile.config_file = config.empty() ? home + "/.aws/config" : config;
  profile.credentials_file = credentials.empty() ? home + "/.aws/credentials" : credentials;

  const Result<wire::IniFile> in_config = read_file(profile.config_file, !config.empty());
  if (!in_config) return tl::unexpected<Error>(in_config.error());
  const Result<wire::IniFile> in_credentials =
      read_file(profile.credentials_file, !credentials.empty());
  if (!in_credentials) return tl::unexpected<Error>(in_credentials.error());

  for (const auto& [section, settings] : *in_config) {
    // `[default]` and `[profile ci]`, quotes allowed; a bare `[ci]` is no profile here.
    const std::string name = without_quotes(section);
    const bool is_profile = name.starts_with("profile ");
    if (!is_profile && name != "default") continue;
    profile.all[is_profile ? name.substr(8) : name].values.insert(settings.begin(), settings.end());
  }
  for (const auto& [section, settings] : *in_credentials) {
    ProfileSettings& own = profile.all[section];
    for (const auto& [key, value] : settings) {
      own.values[key] = value;
      own.from_credentials_file.insert(key);
    }
  }
  if (profile.find(profile.name) == nullptr && !chosen.empty()) {
    std::vector<std::string> known;
    for (const auto& [name, settings] : profile.all) known.push_back(name);
    const auto near = nearest_name(profile.name, known);
    return fail(ErrorKind::invalid_input,
                fmt::format("{} is \"{}\", and neither {} nor {} has that profile",
                            configured.empty() ? "AWS_PROFILE" : "aws_profile", profile.name,
                            profile.config_file, profile.credentials_file),
                near                 ? fmt::format("Did you mean {}?", *near)
                : configured.empty() ? "Add it, or unset AWS_PROFILE."
                                     : "Add it, or correct aws_profile in muster.yml.");
  }
  const std::string services = profile.get("services");
  const auto block = in_config->find("services " + services);
  if (!services.empty() && block != in_config->end()) profile.services = block->second;
  return profile;
}

std::string ca_bundle(const Environment& environment, const Profile& profile) {
  const std::string file = variable(environment, "AWS_CA_BUNDLE");
  return file.empty() ? profile.get("ca_bundle") : file;
}

}  // namespace muster::aws
