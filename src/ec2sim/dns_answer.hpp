#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ec2sim {

/// Looks a lower-case name up; nothing if it does not exist. Host byte order.
using NameLookup = std::function<std::optional<unsigned>(const std::string& name)>;

/// The answer to one DNS query (RFC 1035): A records of known names, NXDOMAIN for others. Empty for
/// what is no query.
[[nodiscard]] std::string answer_dns(std::string_view query, const NameLookup& lookup);

}  // namespace ec2sim
