#include "service/run_record.hpp"

#include <gtest/gtest.h>

#include "fleet/config_keys.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

class CountingRandom : public Random {
 public:
  std::uint64_t next() override { return ++number_; }

 private:
  std::uint64_t number_ = 0;
};

/// Every member differs from a fresh pool's.
Pool unusual_pool() {
  Pool pool;
  pool.name = PoolName("p");
  pool.image = "debian-*";
  pool.image_owner = "amazon";
  pool.types = {"m7i.large", "t3.large"};
  pool.launch_template = {"lt-1", "ci", "3"};
  pool.region = "eu-west-1";
  pool.subnets = {"subnet-1"};
  pool.security_groups = {"sg-1", "web"};
  pool.on_demand = OnDemandRule::never;
  pool.max_price = "0.05";
  pool.max_instances = 1;
  pool.disk = {40, "io2", 3000, 500, true, "/dev/sda1"};
  pool.iam_profile = "ci";
  pool.key_name = "own";
  pool.public_ip = false;
  pool.private_ip = "10.0.0.9";
  pool.monitoring = true;
  pool.instance_name = "n";
  pool.tags = {{"team", "\"a\"\nb"}};
  pool.user_data = "#!/bin/sh\necho ü";
  pool.ssh = {"ubuntu", 2222, true};
  pool.metadata_hop_limit = 2;
  pool.privileged = false;
  pool.boot_timeout = 90s;
  pool.dead_man = 1h;
  pool.labels = {"linux"};
  pool.match = LabelMatch::exact;
  pool.priority = 3;
  pool.sizes = {{"large", "m7i.2xlarge"}};
  pool.idle = {2, 5, "0.5", 1min};
  pool.schedule["day"] = {"* 8-17 * * *", "Europe/Berlin", 4};
  pool.growth_limit = 7;
  pool.reuse = {3, 2h};
  pool.stopped_count = 1;
  pool.min_life = 3min;
  pool.max_life = 5h;
  pool.max_age = 6h;
  pool.hedge_after = 30s;
  pool.order = OfferingOrder::price;
  return pool;
}

RunPlan plan_of(Pool pool) {
  RunPlan plan;
  plan.cluster = "c";
  plan.region = "eu-west-1";
  plan.aws_profile = "ci";
  plan.pool = std::move(pool);
  plan.bundle_ref = "refs/x";
  plan.bundle_commit = "abc";
  plan.time_max = 7min;
  return plan;
}

TEST(RunRecord, KeepsEveryKeyOfThePool) {
  const Secret secret("the cluster's");
  CountingRandom random;
  const Node fresh = pool_keys().write(Pool());
  const Node written = pool_keys().write(unusual_pool());
  ASSERT_EQ(written.members.size(), pool_keys().shapes().size());
  for (const Member& member : written.members) {
    const Node* usual = fresh.find(member.key);
    EXPECT_TRUE(usual == nullptr || wire::to_json(*usual) != wire::to_json(member.value))
        << member.key << " is not tested";
  }
  const Result<RunPlan> plan =
      unseal_plan(seal_plan(plan_of(unusual_pool()), secret, random), secret);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(wire::to_json(pool_keys().write(plan->pool)), wire::to_json(written));
  EXPECT_EQ(plan->pool.name.value(), "p");
  EXPECT_EQ(plan->aws_profile, "ci");
  EXPECT_EQ(plan->bundle_commit, "abc");
  EXPECT_EQ(plan->time_max, Duration(7min));
}

TEST(RunRecord, TakesAPoolThatNoFileCouldSay) {
  // An instance block of a pipeline may say what muster.yml may not.
  Pool pool;
  pool.types = {"odd"};
  pool.user_data = "neither script nor cloud-config";
  pool.disk.size_gib = 0;
  const Secret secret("s");
  CountingRandom random;
  const Result<RunPlan> plan = unseal_plan(seal_plan(plan_of(pool), secret, random), secret);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->pool.disk.size_gib, 0);
}

TEST(RunRecord, TellsNothingWithoutTheSecretAndNoticesDamage) {
  CountingRandom random;
  const std::string sealed = seal_plan(plan_of(unusual_pool()), Secret("a"), random);
  EXPECT_EQ(wire::base64_decode(sealed)->find("m7i.large"), std::string::npos);
  const Result<RunPlan> by_another = unseal_plan(sealed, Secret("b"));
  ASSERT_FALSE(by_another.has_value());
  EXPECT_EQ(by_another.error().kind, ErrorKind::corrupt);
  std::string bytes = *wire::base64_decode(sealed);
  for (std::size_t i = 0; i < bytes.size(); i += 41) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(unseal_plan(wire::base64_encode(damaged), Secret("a")).has_value()) << i;
    EXPECT_FALSE(unseal_plan(wire::base64_encode(bytes.substr(0, i)), Secret("a")).has_value())
        << i;
  }
  EXPECT_FALSE(unseal_plan("no base64 !", Secret("a")).has_value());
}

TEST(RunRecord, KeepsHostKeys) {
  const std::vector<HostKey> keys{{"ssh-ed25519", "AAAA"}, {"ecdsa", "BBBB"}};
  const auto read = read_host_keys(write_host_keys(keys));
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[1].base64, "BBBB");
  EXPECT_TRUE(read_host_keys("").empty());
}

}  // namespace
}  // namespace muster
