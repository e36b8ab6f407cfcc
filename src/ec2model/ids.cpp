#include "ec2model/ids.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace ec2model {

bool is_well_formed(const std::string& id, const std::string& prefix) {
  if (!id.starts_with(prefix + "-")) return false;
  const std::string digits = id.substr(prefix.size() + 1);
  if (digits.size() != 8 && digits.size() != 17) return false;
  return digits.find_first_not_of("0123456789abcdef") == std::string::npos;
}

tl::unexpected<Ec2Error> dry_run_refusal() {
  return refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
}

Answer<void> check_tag_keys(const Tags& tags) {
  if (tags.size() > kTagsMax) {
    return refuse("TagLimitExceeded",
                  "The maximum number of Tags for a resource has been reached.");
  }
  for (const auto& [key, value] : tags) {
    if (key.starts_with("aws:")) {
      return refuse("InvalidParameterValue",
                    "Tag keys starting with 'aws:' are reserved for internal use");
    }
    if (key.empty() || key.size() > 4 * 128) {
      return refuse("InvalidParameterValue", "Tag keys must be 1 to 128 characters long");
    }
    if (value.size() > 4 * 256) {
      return refuse("InvalidParameterValue", "Tag values must be at most 256 characters long");
    }
  }
  return {};
}

Answer<void> check_metadata_tag_keys(const Tags& tags) {
  for (const auto& [key, value] : tags) {
    const bool is_fine =
        key.find_first_not_of(
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_+=,.@:") ==
        std::string::npos;
    if (is_fine && key != "." && key != ".." && key != "_index") continue;
    return refuse("InvalidParameterValue",
                  fmt::format("'{}' is not a valid tag key. Tag keys must match pattern "
                              "([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must not be a reserved name "
                              "('.', '..', '_index')",
                              key));
  }
  return {};
}

tl::unexpected<Ec2Error> unknown_instances(const std::vector<std::string>& ids) {
  return refuse("InvalidInstanceID.NotFound",
                ids.size() == 1
                    ? fmt::format("The instance ID '{}' does not exist", ids.front())
                    : fmt::format("The instance IDs '{}' do not exist", fmt::join(ids, ", ")));
}

}  // namespace ec2model
