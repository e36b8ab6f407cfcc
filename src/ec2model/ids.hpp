#pragma once

#include <string>
#include <vector>

#include "ec2model/error.hpp"
#include "ec2model/world.hpp"

namespace ec2model {

inline constexpr std::size_t kTagsMax = 50;
inline constexpr std::size_t kUserDataBytesMax = 16384;

/// Whether the id is `prefix-` and 8 or 17 hexadecimal digits.
[[nodiscard]] bool is_well_formed(const std::string& id, const std::string& prefix);

[[nodiscard]] tl::unexpected<Ec2Error> dry_run_refusal();

/// Refuses reserved keys and over-long keys and values.
[[nodiscard]] Answer<void> check_tag_keys(const Tags& tags);

/// The narrower rule for tags that IMDS shows.
[[nodiscard]] Answer<void> check_metadata_tag_keys(const Tags& tags);

[[nodiscard]] tl::unexpected<Ec2Error> unknown_instances(const std::vector<std::string>& ids);

/// Refuses malformed and unknown instance ids.
template <class Known>
[[nodiscard]] Answer<void> check_instance_ids(const std::vector<std::string>& ids,
                                              const Known& known) {
  std::vector<std::string> missing;
  for (const std::string& id : ids) {
    if (!is_well_formed(id, "i")) {
      return refuse("InvalidInstanceID.Malformed", "Invalid id: \"" + id + "\"");
    }
    if (!known(id)) missing.push_back(id);
  }
  if (!missing.empty()) return unknown_instances(missing);
  return {};
}

}  // namespace ec2model
