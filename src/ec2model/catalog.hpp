#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ec2model {

/// One instance type as EC2 sells it in us-east-1.
struct InstanceType {
  std::string_view name;
  int vcpu_count;
  int memory_mib;
  std::string_view architecture;  ///< `x86_64` or `arm64`
  long on_demand_usd_micros;      ///< An hour.
  long spot_usd_micros;           ///< An hour; the simulator's market does not move.
  bool is_everywhere;             ///< Otherwise the last zone of a region does not offer it.

  [[nodiscard]] bool is_burstable() const {
    return name.starts_with("t3") || name.starts_with("t4");
  }
  [[nodiscard]] bool is_nitro() const { return !name.starts_with("m1."); }
  [[nodiscard]] bool can_hibernate() const { return is_nitro() && architecture == "x86_64"; }
};

/// The type of that name, or null.
[[nodiscard]] const InstanceType* find_type(std::string_view name);

[[nodiscard]] const std::vector<InstanceType>& all_types();

}  // namespace ec2model
