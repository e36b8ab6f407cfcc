#include "ec2model/model.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "ec2model/filter.hpp"

namespace ec2model {
namespace {

using namespace std::chrono_literals;

const TimePoint kNow{1'700'000'000s};

const Gate kOpen{};

LaunchRequest one_machine(const std::string& token) {
  LaunchRequest request;
  request.image = "ami-0deb12a64d0000001";
  request.instance_type = "t3.large";
  request.min_count = 1;
  request.max_count = 1;
  request.client_token = token;
  request.fingerprint = "f";
  return request;
}

TEST(Wildcards, MatchAsEc2FiltersDo) {
  EXPECT_TRUE(matches_wildcard("debian-*-amd64", "debian-12-amd64"));
  EXPECT_TRUE(matches_wildcard("a?c", "abc"));
  EXPECT_TRUE(matches_wildcard("a\\*c", "a*c"));
  EXPECT_FALSE(matches_wildcard("a\\*c", "abc"));
  EXPECT_FALSE(matches_wildcard("", "a"));
  EXPECT_TRUE(matches_wildcard("", ""));
  EXPECT_FALSE(matches_wildcard("A", "a"));
}

TEST(ClientTokens, GiveTheFirstAnswerAgain) {
  Model model(default_world(200), 1);
  const auto first = model.run_instances(one_machine("t"), kOpen, kNow);
  const auto again = model.run_instances(one_machine("t"), kOpen, kNow + 1h);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->instances.front(), again->instances.front());
  EXPECT_EQ(model.ledger().machines().size(), 1U);
}

TEST(ClientTokens, RefuseOtherParametersAndEndedMachines) {
  Model model(default_world(200), 1);
  const auto first = model.run_instances(one_machine("t"), kOpen, kNow);
  LaunchRequest other = one_machine("t");
  other.fingerprint = "g";
  EXPECT_EQ(model.run_instances(other, kOpen, kNow).error().code, "IdempotentParameterMismatch");
  const std::string id = first->instances.front()->id;
  ASSERT_TRUE(model.terminate_instances({id}, kOpen, kNow));
  model.machine_gone(id, false, kNow);
  EXPECT_EQ(model.run_instances(one_machine("t"), kOpen, kNow).error().code,
            "IdempotentInstanceTerminated");
}

TEST(ClientTokens, CountInTheirZone) {
  Model model(default_world(200), 1);
  LaunchRequest first = one_machine("t");
  first.zone = "us-east-1a";
  LaunchRequest second = one_machine("t");
  second.zone = "us-east-1b";
  ASSERT_TRUE(model.run_instances(first, kOpen, kNow));
  ASSERT_TRUE(model.run_instances(second, kOpen, kNow));
  EXPECT_EQ(model.ledger().machines().size(), 2U);
}

TEST(Termination, OfOneProtectedMachineKeepsItsZone) {
  Model model(default_world(200), 1);
  LaunchRequest kept = one_machine("a");
  kept.zone = "us-east-1a";
  kept.is_termination_protected = true;
  LaunchRequest near = one_machine("b");
  near.zone = "us-east-1a";
  LaunchRequest far = one_machine("c");
  far.zone = "us-east-1b";
  std::vector<std::string> ids;
  for (const LaunchRequest& request : {kept, near, far}) {
    ids.push_back(model.run_instances(request, kOpen, kNow)->instances.front()->id);
  }
  EXPECT_EQ(model.terminate_instances(ids, kOpen, kNow).error().code, "OperationNotPermitted");
  EXPECT_EQ(model.find(ids[1])->state, State::pending);
  EXPECT_EQ(model.find(ids[2])->state, State::shutting_down);
}

TEST(Termination, OfAnUnknownMachineEndsNone) {
  Model model(default_world(200), 1);
  const std::string id = model.run_instances(one_machine("a"), kOpen, kNow)->instances.front()->id;
  EXPECT_EQ(model.terminate_instances({id, "i-00000000000000000"}, kOpen, kNow).error().code,
            "InvalidInstanceID.NotFound");
  EXPECT_EQ(model.find(id)->state, State::pending);
}

TEST(Shutdown, FromInsideStopsUnlessTheLaunchSaidTerminate) {
  Model model(default_world(200), 1);
  LaunchRequest ending = one_machine("a");
  ending.terminates_on_shutdown = true;
  const std::string kept =
      model.run_instances(one_machine("b"), kOpen, kNow)->instances.front()->id;
  const std::string ended = model.run_instances(ending, kOpen, kNow)->instances.front()->id;
  for (const std::string& id : {kept, ended}) {
    model.machine_running(id, kNow);
    model.machine_gone(id, true, kNow);
  }
  EXPECT_EQ(model.find(kept)->state, State::stopped);
  EXPECT_EQ(model.find(ended)->state, State::terminated);
  EXPECT_TRUE(model.ledger().machines().at(kept).is_alive());
  ASSERT_TRUE(model.terminate_instances({kept}, kOpen, kNow));
  EXPECT_FALSE(model.ledger().machines().at(kept).is_alive());
}

TEST(Launches, TakeWhatFitsBetweenTheirCounts) {
  World world = default_world(200);
  world.vcpu_quota = 10;
  Model model(std::move(world), 1);
  LaunchRequest request = one_machine("a");
  request.max_count = 4000;
  EXPECT_EQ(model.run_instances(request, kOpen, kNow)->instances.size(), 5U);
  EXPECT_EQ(model.run_instances(one_machine("b"), kOpen, kNow).error().code, "VcpuLimitExceeded");
}

TEST(Launches, OfAnUnknownTypeAreRefused) {
  Model model(default_world(200), 1);
  LaunchRequest request = one_machine("a");
  request.instance_type = "x9.tiny";
  EXPECT_EQ(model.run_instances(request, kOpen, kNow).error().code, "InvalidParameterValue");
}

TEST(Buckets, RefuseWhenEmptyAndRefill) {
  Model model(default_world(200), 1);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(model.throttle("RunInstances", false, kNow));
  EXPECT_EQ(model.throttle("RunInstances", false, kNow).error().status, 503);
  EXPECT_TRUE(model.throttle("RunInstances", false, kNow + 500ms));
}

TEST(Ledger, CountsDuplicatesUntaggedAndLeaked) {
  Model model(default_world(200), 1);
  for (const char* token : {"a", "b"}) {
    LaunchRequest request = one_machine(token);
    request.instance_tags = {{kIntentTag, "same"}};
    ASSERT_TRUE(model.run_instances(request, kOpen, kNow));
  }
  ASSERT_TRUE(model.run_instances(one_machine("c"), kOpen, kNow));
  const Verdict verdict =
      model.ledger().verdict(kNow + 10min, [](const MachineEntry&) { return false; });
  EXPECT_EQ(verdict.machines, 3);
  EXPECT_EQ(verdict.alive, 3);
  EXPECT_EQ(verdict.leaked, 3);
  EXPECT_EQ(verdict.duplicated, 1);
  EXPECT_EQ(verdict.untagged, 1);
}

RC_GTEST_PROP(ModelLaw, EveryLaunchedMachineHasAnAddressOfItsOwn, ()) {
  World world = default_world(200);
  world.throttles = false;
  Model model(std::move(world), 7);
  std::set<std::string> addresses;
  int count = 0;
  for (int i = 0; i < *rc::gen::inRange(1, 30); ++i) {
    LaunchRequest request = one_machine("");
    request.max_count = *rc::gen::inRange(1, 5);
    const auto launched = model.run_instances(request, kOpen, kNow);
    RC_ASSERT(launched.has_value());
    for (const Instance* instance : launched->instances) {
      addresses.insert(instance->private_address);
      ++count;
    }
  }
  RC_ASSERT(addresses.size() == static_cast<std::size_t>(count));
}

}  // namespace
}  // namespace ec2model
