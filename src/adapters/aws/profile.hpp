#pragma once

#include <map>
#include <string>

#include "base/result.hpp"

namespace muster::aws {

/// Environment variables, as the composition root read them.
using Environment = std::map<std::string, std::string>;

/// A variable's value; empty when unset, as AWS's tools treat it.
[[nodiscard]] std::string variable(const Environment& environment, const std::string& name);

/// The settings of one shared profile, merged from both files (the credentials file wins), and the
/// `services` block that it names as `services.<service>.<key>`.
struct Profile {
  std::string name;
  std::map<std::string, std::string> settings;
  std::string config_file;
  std::string credentials_file;
  bool is_explicit = false;  ///< Named by the user, so that it must exist.

  [[nodiscard]] std::string get(const std::string& key) const;
};

/// Reads the profile named by `AWS_PROFILE`, else `default`; a missing file is an empty one.
/// Errors: invalid_input (unreadable or malformed file, unknown profile).
[[nodiscard]] Result<Profile> load_profile(const Environment& environment);

}  // namespace muster::aws
