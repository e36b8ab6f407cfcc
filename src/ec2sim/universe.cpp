#include "ec2sim/universe.hpp"

#include <algorithm>

namespace ec2sim {

Universe::Universe(Settings settings, std::uint64_t seed)
    : settings_(std::move(settings)), seed_(seed) {
  make_regions();
}

void Universe::make_regions() {
  for (const ec2model::World& world : settings_.worlds) {
    regions_.push_back(std::make_unique<Region>(
        Region{ec2model::Model(world, seed_ + regions_.size()), ParameterStore(world)}));
  }
}

void Universe::reset() {
  std::vector<ec2model::Ledger> kept;
  for (const auto& region : regions_) kept.push_back(region->model.ledger());
  ++seed_;  // Ids do not come again.
  seed_ += regions_.size();
  regions_.clear();
  make_regions();
  for (std::size_t i = 0; i < kept.size(); ++i) regions_[i]->model.ledger() = std::move(kept[i]);
}

const Account* Universe::find_account(const std::string& id) const {
  const auto found = std::find_if(settings_.accounts.begin(), settings_.accounts.end(),
                                  [&](const Account& one) { return one.id == id; });
  return found == settings_.accounts.end() ? nullptr : &*found;
}

Universe::Region* Universe::find(const std::string& account, const std::string& region) {
  for (const auto& one : regions_) {
    const ec2model::World& world = one->model.world();
    if (world.account == account && world.region == region) return one.get();
  }
  return nullptr;
}

Universe::Region* Universe::of_instance(const std::string& id) {
  for (const auto& one : regions_) {
    if (one->model.find(id) != nullptr) return one.get();
  }
  return nullptr;
}

ec2model::Model* Universe::of_address(const std::string& private_address) {
  for (const auto& one : regions_) {
    if (one->model.find_by_address(private_address) != nullptr) return &one->model;
  }
  return nullptr;
}

}  // namespace ec2sim
