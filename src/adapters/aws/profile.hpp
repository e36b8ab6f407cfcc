#pragma once

#include <map>
#include <set>
#include <string>

#include "base/result.hpp"

namespace muster::aws {

/// Environment variables, as the composition root read them.
using Environment = std::map<std::string, std::string>;

/// A variable's value; empty when unset, as AWS's tools treat it.
[[nodiscard]] std::string variable(const Environment& environment, const std::string& name);

/// What one profile says, merged from both files; the credentials file wins.
struct ProfileSettings {
  std::map<std::string, std::string> values;
  std::set<std::string> from_credentials_file;  ///< Keys whose value stands there.

  [[nodiscard]] std::string get(const std::string& key) const;
};

/// The chosen profile, the others that it may refer to, and the `services` block that it names as
/// `services.<service>.<key>`.
struct Profile {
  std::string name = "default";
  std::map<std::string, ProfileSettings> all{};
  std::map<std::string, std::string> services{};
  std::string config_file{};
  std::string credentials_file{};
  bool is_configured = false;  ///< Named by muster's configuration, not only by AWS_PROFILE.

  /// A setting of the chosen profile; empty if it has none.
  [[nodiscard]] std::string get(const std::string& key) const;
  /// The profile of that name, or null.
  [[nodiscard]] const ProfileSettings* find(const std::string& profile) const;
};

/// Reads both shared files. The profile is the one configured, else `AWS_PROFILE`, else `default`;
/// a missing file is an empty one. Errors: invalid_input (unreadable or malformed file, unknown
/// profile).
[[nodiscard]] Result<Profile> load_profile(const Environment& environment,
                                           const std::string& configured = {});

/// The file of certificates to trust instead of the system's; empty for none.
[[nodiscard]] std::string ca_bundle(const Environment& environment, const Profile& profile);

}  // namespace muster::aws
