#include "fleet/controller_fixture.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

/// Idle instances of the pool `linux`, all that its limit allows, and a size `large`.
struct FullPoolTest : ControllerTest {
  FullPoolTest() {
    Pool& pool = config.pools["linux"];
    pool.sizes = {{"large", "a.4xlarge"}};
    pool.max_instances = pool.idle.count = 2;
    pool.idle.time = 1h;
  }

  void fill() {
    controller = std::make_unique<Controller>(config, 7);
    resolve_sizes("linux");
    plan();
    for (const InstanceId& id : answer_launches()) {
      EXPECT_EQ(controller->fleet().find(id)->vcpus, 2);
      make_ready(id);
    }
  }
  void resolve_sizes(const std::string& pool) {
    PoolOffers offers;
    offers.offerings = {{{"a.4xlarge", CapacityType::on_demand, "s1", "z1"}, 0.05, 10},
                        {{"a.large", CapacityType::on_demand, "s1", "z1"}, 0.10, 2}};
    controller->apply(PoolResolved{PoolName(pool), offers}, now);
  }
  void refuse() {
    LaunchAnswered refused;
    refused.error =
        Error{ErrorKind::capacity_unavailable, "InsufficientInstanceCapacity", "full", ""};
    for (const Intent& intent : open_intents()) {
      refused.intent = intent.id;
      controller->apply(refused, now);
    }
  }
  void queue_large() { queue(1, "large", {"linux", "size:large"}); }
  void see_the_end() {
    std::vector<SeenInstance> seen;
    for (const auto& [id, instance] : controller->fleet().instances()) {
      seen.emplace_back();
      seen.back().id = id;
      seen.back().pool = instance.pool;
      seen.back().offering = instance.offering;
      seen.back().state = instance.phase == InstancePhase::terminating
                              ? SeenInstance::State::ending
                              : SeenInstance::State::running;
    }
    controller->apply(InstancesListed{seen, now}, now);
  }
};

TEST_F(FullPoolTest, MakesRoomForAnotherSizeOnce) {
  fill();
  queue_large();
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
  EXPECT_EQ(planned(), 0);
  see_the_end();
  plan();
  ASSERT_EQ(planned(), 1);
  EXPECT_EQ(open_intents().at(0).size, "a.4xlarge");
  EXPECT_EQ(count_of(InstancePhase::idle), 1);
}

TEST_F(FullPoolTest, MakesRoomAgainWhereAnInstanceDoesNotEnd) {
  fill();
  queue_large();
  plan();
  now += 1min;
  const auto next = plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
  EXPECT_EQ(next, now + 1min);
  now += 1min;
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 2);
}

TEST_F(FullPoolTest, MakesRoomOnceForASizeWithoutCapacityAndHoldsIt) {
  fill();
  queue(3, "large", {"linux", "size:large"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 2);
  see_the_end();
  plan();
  ASSERT_EQ(planned(), 2);
  refuse();
  plan();
  // One is held for those that wait; the other is kept ready again.
  ASSERT_EQ(planned(), 1);
  EXPECT_EQ(open_intents().at(0).size, "");
  make_ready(answer_launches().at(0));
  plan();
  EXPECT_EQ(count_of(InstancePhase::idle), 1);
  ASSERT_TRUE(reason().next.has_value());
  now = *reason().next;
  plan();
  ASSERT_EQ(planned(), 1);
  EXPECT_EQ(open_intents().at(0).size, "a.4xlarge");
  EXPECT_EQ(count_of(InstancePhase::idle), 1);
}

TEST_F(FullPoolTest, LooksAgainWhenASizeMayHaveCapacity) {
  config.pools["linux"].max_instances = 3;
  fill();
  queue_large();
  plan();
  ASSERT_EQ(planned(), 1);
  refuse();
  config.pools["linux"].max_instances = 2;
  reload();
  auto next = plan();
  EXPECT_EQ(count_of(InstancePhase::idle), 2);
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, now + 1min);
  now = *next;
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
}

TEST_F(FullPoolTest, MakesNoMoreRoomThanGroupsOfJobsCanUse) {
  config.pools["linux"].max_instances = config.pools["linux"].idle.count = 8;
  config.limits.instances = 8;
  add_pool("other", {"other"}).max_instances = 1;
  fill();
  resolve("other");
  for (const char* repository : {"o/a", "o/b", "o/c"}) queue(1, repository, {"other"}, repository);
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
  queue(3, "large", {"linux", "size:large"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 4);
}

TEST_F(FullPoolTest, MakesRoomForAllOfAGroupWhereTenantsShare) {
  config.pools["linux"].max_instances = config.pools["linux"].idle.count = 8;
  fill();
  queue(5, "large", {"linux", "size:large"});
  queue(1, "large-b", {"linux", "size:large"}, "p/r");
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 6);
}

TEST_F(FullPoolTest, MakesRoomForTheVcpusThatJobsNeed) {
  config.limits.vcpus = 20;
  config.pools["linux"].types = {"a.4xlarge"};
  add_pool("small", {"small"});
  controller = std::make_unique<Controller>(config, 7);
  resolve_sizes("linux");
  resolve("small");
  plan();
  for (const InstanceId& id : answer_launches()) make_ready(id);
  ASSERT_EQ(count_of(InstancePhase::idle), 2);
  queue(5, "small", {"small"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
  see_the_end();
  plan();
  EXPECT_EQ(planned(), 5);
}

TEST_F(FullPoolTest, EndsAsManyAsOneLargeJobNeeds) {
  config.limits.vcpus = 16;
  config.pools["linux"].max_instances = config.pools["linux"].idle.count = 8;
  fill();
  queue_large();
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 5);
  EXPECT_EQ(planned(), 0);
}

TEST_F(FullPoolTest, OtherJobsDoNotTakeTheRoomThatEndsForALargeOne) {
  config.limits.vcpus = 16;
  config.pools["linux"].max_instances = config.pools["linux"].idle.count = 8;
  add_pool("small", {"small"});
  fill();
  resolve("small");
  queue_large();
  plan();
  ASSERT_EQ(count_of(InstancePhase::terminating), 5);
  // The first of them is gone.
  std::optional<InstanceId> gone;
  for (const auto& [id, instance] : controller->fleet().instances()) {
    if (instance.phase == InstancePhase::terminating) gone = id;
  }
  show(*gone, SeenInstance::State::ending);
  now += 1s;
  queue(1, "small", {"small"});
  plan();
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(count_of(InstancePhase::terminating), 5);
  see_the_end();
  plan();
  EXPECT_EQ(planned(), 2);
}

TEST_F(FullPoolTest, EndsWhatIsNotWantedReadyFirst) {
  config.limits.instances = 2;
  config.pools["linux"].idle.count = 1;
  add_pool("more", {"more"}).idle = config.pools["linux"].idle;
  add_pool("other", {"other"});
  start();
  plan();
  for (const InstanceId& id : answer_launches()) make_ready(id);
  ASSERT_EQ(count_of(InstancePhase::idle), 2);
  config.pools["more"].idle.count = 0;
  reload();
  queue(1, "k", {"other"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
  for (const auto& [id, instance] : controller->fleet().instances()) {
    EXPECT_EQ(instance.phase == InstancePhase::terminating, instance.pool == PoolName("more"));
  }
}

TEST_F(FullPoolTest, MakesNoRoomForMoreJobsThanLimitsLetRun) {
  config.pools["linux"].max_instances = config.pools["linux"].idle.count = 4;
  config.limits.repository_jobs = 2;
  fill();
  // Of groups of their own.
  for (const char* label : {"linux", "x64"}) {
    queue(2, label, {label, "size:large"});
  }
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 2);
}

TEST_F(FullPoolTest, MakesRoomForOneWhileAPoolsCircuitIsHalfOpenAndHoldsIt) {
  config.pools["linux"].max_instances = config.pools["linux"].idle.count = 4;
  config.limits.instances = 4;
  add_pool("other", {"other"});
  fill();
  resolve("other");
  queue(2, "other", {"other"});
  plan();
  ASSERT_EQ(count_of(InstancePhase::terminating), 2);
  see_the_end();
  plan();
  LaunchAnswered refused;
  refused.intent = open_intents().at(0).id;
  refused.error = Error{ErrorKind::invalid_input, "InvalidAMIID.NotFound", "no such image", ""};
  controller->apply(refused, now);
  plan();
  ASSERT_EQ(planned(), 1);
  make_ready(answer_launches().at(0));
  ASSERT_TRUE(reason().next.has_value()) << reason().text;
  now = *reason().next;
  plan();
  ASSERT_EQ(planned(), 1);
  EXPECT_EQ(open_intents().at(0).pool, PoolName("other"));
  EXPECT_EQ(count_of(InstancePhase::terminating), 0);
}

TEST_F(FullPoolTest, MakesRoomForOneWhileAPoolsCircuitIsHalfOpen) {
  config.pools["linux"].max_instances = config.pools["linux"].idle.count = 4;
  add_pool("other", {"other"});
  fill();
  resolve("other");
  queue(2, "other", {"other"});
  plan();
  LaunchAnswered refused;
  refused.intent = open_intents().at(0).id;
  refused.error = Error{ErrorKind::invalid_input, "InvalidAMIID.NotFound", "no such image", ""};
  controller->apply(refused, now);
  config.limits.instances = 4;
  reload();
  plan();
  EXPECT_EQ(count_of(InstancePhase::idle), 4);
  now += 2min;
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
}

TEST_F(FullPoolTest, InstancesThatWereOfUseDoNotHoldUpOtherPools) {
  Pool& pool = config.pools["linux"];
  pool.reuse.jobs = 10;
  pool.max_instances = 20;
  pool.idle.count = 0;
  add_pool("other", {"other"});
  start();
  queue(8);
  plan();
  for (const InstanceId& id : answer_launches()) make_ready(id);
  plan();
  ASSERT_EQ(count_of(InstancePhase::busy), 8);
  std::vector<LeaseId> leases;
  for (const auto& [id, lease] : controller->fleet().leases()) leases.push_back(id);
  for (const LeaseId& id : leases) finish_lease(id);
  listed.clear();
  list();
  ASSERT_EQ(count_of(InstancePhase::idle), 8);
  queue(1, "k", {"other"});
  plan();
  EXPECT_EQ(planned(), 1) << reason().text;
}

TEST_F(FullPoolTest, WhatAClosedPoolHasIdleEndsWhileItsJobsWait) {
  fill();
  config.pools["linux"].schedule["closed"] = {"* * * * *", "UTC", 0, 0};
  reload();
  queue(1);
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 0);
  now += 1h;
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 2);
}

TEST_F(FullPoolTest, WhatAClosedPoolHasIdleMakesRoomForOthers) {
  config.limits.instances = 2;
  add_pool("other", {"other"});
  fill();
  resolve("other");
  config.pools["linux"].schedule["closed"] = {"* * * * *", "UTC", 0, 0};
  reload();
  queue(1);
  queue(1, "k", {"other"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
}

TEST_F(FullPoolTest, KeepsWhatIsReadyFromASizeBeyondTheLimit) {
  config.limits.vcpus = 8;
  fill();
  queue_large();
  plan();
  EXPECT_EQ(count_of(InstancePhase::idle), 2);
}

TEST_F(FullPoolTest, KeepsWhatIsReadyWhereTheBudgetIsUsedUp) {
  fill();
  config.limits.usd_per_day = "0.01";
  reload();
  now += 30min;
  queue_large();
  plan();
  EXPECT_EQ(count_of(InstancePhase::idle), 2);
}

TEST_F(FullPoolTest, KeepsWhatIsReadyFromAPoolThatIsBeingDrained) {
  config.limits.instances = 2;
  add_pool("other", {"other"});
  fill();
  resolve("other");
  controller->apply(PoolOrdered{PoolName("other"), PoolMode::draining, "ann", "image"}, now);
  queue(1, "other", {"other"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::idle), 2);
}

TEST_F(FullPoolTest, MakesRoomInTheSecondWhereTheFirstHasNoneToGive) {
  Pool& first = add_pool("first", {"linux"});
  first.sizes = {{"large", "a.4xlarge"}};
  first.max_instances = 1;
  first.priority = 1;
  fill();
  resolve_sizes("first");
  queue_large();
  plan();
  answer_launches();
  InstanceId ready;
  for (const auto& [id, instance] : controller->fleet().instances()) {
    if (instance.pool == PoolName("first")) ready = id;
  }
  make_ready(ready);
  plan();
  ASSERT_EQ(count_of(InstancePhase::busy), 1);
  queue(1, "next", {"linux", "size:large"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
}

TEST_F(FullPoolTest, MakesNoRoomToLaunchTwice) {
  config.pools["linux"].max_instances = 3;
  config.pools["linux"].hedge_after = 30s;
  fill();
  queue_large();
  plan();
  answer_launches();
  now += 1min;
  plan();
  EXPECT_EQ(count_of(InstancePhase::pending), 1);
  EXPECT_EQ(count_of(InstancePhase::idle), 2);
}

TEST_F(ControllerTest, NothingIsKeptReadyInTheRoomThatAJobWaitsFor) {
  config.pools["linux"].idle.count = 1;
  config.limits.vcpus = 10;
  resolve_large(10);
  plan();
  const InstanceId idle = answer_launches().at(0);
  make_ready(idle);
  queue(1, "large", {"large"});
  plan();
  EXPECT_EQ(controller->fleet().find(idle)->phase, InstancePhase::terminating);
  plan();
  EXPECT_EQ(planned(), 0);
  show(idle, SeenInstance::State::ending);
  plan();
  ASSERT_EQ(planned(), 1);
  EXPECT_EQ(open_intents().at(0).pool, PoolName("large"));
}

TEST_F(ControllerTest, AJobThatNoRoomIsEnoughForTakesNoneAway) {
  for (const int vcpus : {10, 0}) {
    config.pools["linux"].idle.count = 1;
    config.limits.vcpus = 8;
    listed.clear();
    resolve_large(vcpus);
    queue(1, "large", {"large"});
    plan();
    ASSERT_EQ(planned(), 1);
    EXPECT_EQ(open_intents().at(0).pool, PoolName("linux"));
    const InstanceId idle = answer_launches().at(0);
    make_ready(idle);
    plan();
    EXPECT_EQ(controller->fleet().find(idle)->phase, InstancePhase::idle);
  }
}

TEST_F(ControllerTest, AJobTakesTheRoomOfTheSecondOfItsPoolsWhereTheFirstHasNone) {
  config.pools["linux"].idle.count = 4;
  config.limits.vcpus = 8;
  add_pool("small", {"large"}).priority = -1;
  resolve_large(10);
  plan();
  for (const InstanceId& id : answer_launches()) make_ready(id);
  queue(1, "large", {"large"});
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 1);
}

TEST_F(ControllerTest, AJobThatGoesToItsSecondPoolTakesNoRoomInTheFirst) {
  Pool& first = config.pools["linux"];
  first.sizes = {{"large", "a.large"}};
  first.types = {"a.xlarge"};
  first.max_instances = first.idle.count = 1;
  first.idle.time = 1h;
  first.priority = 1;
  add_pool("second", {"linux"}).sizes = first.sizes;
  controller = std::make_unique<Controller>(config, 7);
  PoolOffers offers;
  offers.offerings = {{{"a.xlarge", CapacityType::on_demand, "s1", "z1"}, 0.20, 4},
                      {{"a.large", CapacityType::on_demand, "s1", "z1"}, 0.10, 2}};
  for (const char* pool : {"linux", "second"}) {
    controller->apply(PoolResolved{PoolName(pool), offers}, now);
  }
  plan();
  make_ready(answer_launches().at(0));
  queue(1, "j", {"linux", "size:large"});
  plan();
  EXPECT_EQ(planned(), 1);
  EXPECT_EQ(count_of(InstancePhase::terminating), 0);
}

}  // namespace
}  // namespace muster
