#include "fleet/pool.hpp"

#include <algorithm>
#include <tuple>

namespace muster {

std::string to_string(CapacityType type) {
  return type == CapacityType::spot ? "spot" : "on-demand";
}

std::string describe(const TemplateRef& ref) {
  return "template " + (ref.name.empty() ? ref.id : ref.name);
}

std::string describe(const Offering& offering) {
  std::string text = to_string(offering.capacity_type);
  for (const std::string& part : {offering.instance_type, offering.zone}) {
    if (!part.empty()) text += " " + part;
  }
  return text;
}

std::vector<Offering> offerings_of(const Pool& pool, std::vector<SubnetView> subnets) {
  std::sort(subnets.begin(), subnets.end(), [](const SubnetView& a, const SubnetView& b) {
    return std::tie(b.free_address_count, a.id) < std::tie(a.free_address_count, b.id);
  });
  if (subnets.empty()) subnets.push_back({});
  std::vector<CapacityType> capacities;
  if (pool.on_demand != OnDemandRule::only) capacities.push_back(CapacityType::spot);
  if (pool.on_demand != OnDemandRule::never) capacities.push_back(CapacityType::on_demand);
  const std::vector<std::string> types =
      pool.types.empty() ? std::vector<std::string>{""} : pool.types;
  std::vector<Offering> offerings;
  for (const CapacityType capacity : capacities) {
    for (const std::string& type : types) {
      for (const SubnetView& subnet : subnets) {
        offerings.push_back({type, capacity, subnet.id, subnet.zone});
      }
    }
  }
  return offerings;
}

}  // namespace muster
