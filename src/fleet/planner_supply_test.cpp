#include "fleet/controller_fixture.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST_F(ControllerTest, StoppedInstancesOfARemovedPoolEnd) {
  const InstanceId id = make_stopped();
  Config without = config;
  without.pools.clear();
  controller->apply(ConfigReplaced{without}, now);
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, StoppedInstancesBeyondWhatTheirPoolKeepsEnd) {
  const InstanceId id = make_stopped();
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopped);
  config.pools["linux"].stopped_count = 0;
  reload();
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, StoppedInstancesAreNotStartedToRefillTheReserve) {
  const InstanceId id = make_stopped();
  config.pools["linux"].stopped_count = 2;
  reload();
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopped);
  EXPECT_EQ(answer_launches().size(), 1U);
}

TEST_F(ControllerTest, AReserveThatCouldNotBeStartedIsNotKept) {
  const InstanceId id = make_stopped();
  config.pools["linux"].stopped_count = 2;
  config.pools["linux"].max_instances = 1;
  reload();
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopped);
  EXPECT_EQ(planned(), 0);
}

TEST_F(ControllerTest, WhatARestoredStoreCallsStoppedStaysUntilItIsKnownWhoseJobsRun) {
  const InstanceId id = make_stopped();
  FleetSnapshot old;
  old.instances = {*controller->fleet().find(id)};
  config.pools["linux"].stopped_count = 0;
  start();
  controller->restore(old, now);
  inputs.knows_claims = false;
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopped);
  inputs.knows_claims = true;
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, StoppedInstancesBeyondWhatTheirPoolMayStartEnd) {
  const InstanceId id = make_stopped();
  config.pools["linux"].max_instances = 0;
  reload();
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, RestoredInstancesOfARemovedPoolEndOnceItIsKnownWhoseJobsRun) {
  for (const InstancePhase phase : {InstancePhase::idle, InstancePhase::stopped}) {
    Instance restored;
    restored.id = InstanceId("i-9");
    restored.pool = PoolName("removed");
    restored.phase = phase;
    restored.launched_at = restored.phase_since = now;
    FleetSnapshot stored;
    stored.instances = {restored};
    start();
    controller->restore(stored, now);
    inputs.knows_claims = false;
    plan();
    EXPECT_EQ(controller->fleet().find(restored.id)->phase, phase);
    inputs.knows_claims = true;
    plan();
    EXPECT_EQ(controller->fleet().find(restored.id)->phase, InstancePhase::terminating);
  }
}

TEST_F(ControllerTest, OldStoppedInstancesStayWhileNothingIsLaunchedInTheirPlace) {
  config.pools["linux"].max_age = 1h;
  config.limits.vcpus = 10;
  add_pool("other", {"other"}).idle.time = 3h;
  add_pool("large", {"large"}).types = {"a.4xlarge"};
  const InstanceId id = make_stopped();
  PoolOffers offers;
  offers.offerings = {{{"a.4xlarge", CapacityType::on_demand, "s1", "z1"}, 0.80, 10}};
  controller->apply(PoolResolved{PoolName("large"), offers}, now);
  config.pools["other"].idle.count = 1;
  reload();
  plan();
  const InstanceId idle = answer_launches().at(0);
  make_ready(idle);
  queue(1, "large", {"large"});
  now += 2h;
  plan();
  EXPECT_EQ(controller->fleet().find(idle)->phase, InstancePhase::terminating);
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopped);
  config.limits.vcpus = 100;
  reload();
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, ProtectedStoppedInstancesStay) {
  const InstanceId id = make_stopped();
  controller->apply(InstanceOrdered{id, InstanceOrder::protected_, "ann"}, now);
  config.pools["linux"].stopped_count = 0;
  reload();
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopped);
}

TEST_F(ControllerTest, ADrainedPoolKeepsNothingStopped) {
  const InstanceId id = make_stopped();
  controller->apply(PoolOrdered{PoolName("linux"), PoolMode::draining, "ann", "image"}, now);
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, StoppedInstancesAreStartedBeforeNewOnesAreLaunched) {
  const InstanceId id = make_stopped();
  queue(1);
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::starting);
}

}  // namespace
}  // namespace muster
