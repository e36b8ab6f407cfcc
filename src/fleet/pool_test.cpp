#include "fleet/pool.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(OfferingsOf, TriesSpotFirstThenOnDemandWhereAllowed) {
  Pool pool;
  pool.types = {"a.large", "b.large"};
  const std::vector<SubnetView> subnets{{"s1", "z1", "v", 5}, {"s2", "z2", "v", 9}};
  const auto all = offerings_of(pool, subnets);
  ASSERT_EQ(all.size(), 8U);
  EXPECT_EQ(all[0].capacity_type, CapacityType::spot);
  EXPECT_EQ(all[0].subnet, "s2");
  EXPECT_EQ(all[1].subnet, "s1");
  EXPECT_EQ(all[2].instance_type, "b.large");
  EXPECT_EQ(all[4].capacity_type, CapacityType::on_demand);
  pool.on_demand = OnDemandRule::never;
  EXPECT_EQ(offerings_of(pool, subnets).size(), 4U);
  pool.on_demand = OnDemandRule::only;
  EXPECT_EQ(offerings_of(pool, subnets).front().capacity_type, CapacityType::on_demand);
}

}  // namespace
}  // namespace muster
