#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ec2model/requests.hpp"
#include "ec2sim/parameters.hpp"

namespace ec2sim {

/// Reads RunInstances' parameters into the model's request; what is wrong in form is refused.
[[nodiscard]] Answer<ec2model::LaunchRequest> read_launch(const Parameters& given);

/// Reads RequestSpotInstances'; `max_count` is the count of requests.
[[nodiscard]] Answer<ec2model::LaunchRequest> read_spot_request(const Parameters& given);

/// The options below `at`; what is not given stays.
void read_metadata(ParameterReader& reader, const std::string& at, ec2model::MetadataOptions& to);

/// The bytes of base64 text.
[[nodiscard]] std::string read_user_data(const std::string& encoded, ParameterReader& reader);

/// The names that RunInstances and a launch template share.
[[nodiscard]] const std::vector<std::string_view>& launch_names();

}  // namespace ec2sim
