#include "fleet/controller_fixture.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST_F(ControllerTest, BelievesThatAnInstanceIsGoneOnlyAfterProof) {
  const InstanceId id = start_with_one_for_a_job();
  now += 10min;
  for (int i = 0; i < 3; ++i) {
    controller->apply(InstancesListed{{}, now}, now);
    EXPECT_NE(controller->fleet().find(id), nullptr);
    now += 15s;
  }
  now += 5min;
  controller->apply(InstancesListed{{}, now}, now);
  EXPECT_EQ(controller->fleet().find(id), nullptr);
}

TEST_F(ControllerTest, ContactWithTheMachineOutweighsAnEmptyListing) {
  const InstanceId id = start_with_one_for_a_job();
  now += 10min;
  for (int i = 0; i < 20; ++i) {
    controller->apply(InstancesListed{{}, now}, now);
    controller->apply(MachineSeen{id}, now + 1s);
    now += 15s;
  }
  EXPECT_NE(controller->fleet().find(id), nullptr);
}

TEST_F(ControllerTest, GivesAJobBackThatWasNotStartedWhenItsInstanceEnds) {
  const InstanceId id = start_with_one_for_a_job();
  plan();
  const LeaseId lease = controller->fleet().find(id)->lease;
  controller->apply(LeaseAccepted{lease}, now);
  show(id, SeenInstance::State::ending);
  EXPECT_EQ(controller->fleet().find(lease)->outcome, JobOutcome::none);
  controller->apply(LeaseReported{lease}, now);
  EXPECT_EQ(controller->fleet().find(JobId("ci/j0"))->state, JobState::queued);
}

TEST_F(ControllerTest, SaysThatAStartedJobIsLostWhenItsInstanceEnds) {
  const InstanceId id = start_with_one_for_a_job();
  plan();
  const LeaseId lease = controller->fleet().find(id)->lease;
  controller->apply(LeaseAccepted{lease}, now);
  controller->apply(LeaseStarting{lease}, now);
  show(id, SeenInstance::State::ending);
  EXPECT_EQ(controller->fleet().find(lease)->outcome, JobOutcome::lost);
}

TEST_F(ControllerTest, TakesUpAClaimThatItHasForgotten) {
  start();
  SeenInstance found = running("i-9");
  found.intent = IntentId("int-9");
  controller->apply(InstancesListed{{found}, now}, now);
  const CiJob job = claim(found.id);
  list();
  plan();
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(controller->fleet().find(found.id)->phase, InstancePhase::busy);
  EXPECT_EQ(controller->fleet().find(LeaseId("lea-9"))->state, LeaseState::started);
}

TEST_F(ControllerTest, AClaimOutweighsAnOldStoreAndNotAMachineThatWasStopped) {
  for (const bool is_contacted : {false, true}) {
    start();
    FleetSnapshot old;
    Instance stopping;
    stopping.id = InstanceId("i-9");
    stopping.pool = PoolName("linux");
    stopping.phase = InstancePhase::stopping;
    stopping.launched_at = stopping.phase_since = now - 1h;
    old.instances = {stopping};
    controller->restore(old, now, {});
    if (is_contacted) controller->apply(MachineSeen{stopping.id}, now);
    const CiJob job = claim(stopping.id);
    list();
    EXPECT_EQ(controller->fleet().find(stopping.id)->phase,
              is_contacted ? InstancePhase::stopping : InstancePhase::busy);
    const Lease* lease = controller->fleet().find(LeaseId("lea-9"));
    EXPECT_EQ(lease->state, is_contacted ? LeaseState::reported : LeaseState::started);
  }
}

TEST_F(ControllerTest, AClaimOutweighsTheJobThatAnOldStoreHasThere) {
  for (const bool has_started : {false, true}) {
    start();
    FleetSnapshot old;
    Job before;
    before.id = JobId("ci/before");
    before.source = "ci";
    before.labels = {"linux"};
    before.state = has_started ? JobState::running : JobState::leased;
    before.lease = LeaseId("lea-1");
    before.instance = InstanceId("i-9");
    before.changed_at = before.queued_at = now - 1h;
    Lease lease;
    lease.id = before.lease;
    lease.job = before.id;
    lease.instance = before.instance;
    lease.state = has_started ? LeaseState::started : LeaseState::held;
    Instance busy;
    busy.id = before.instance;
    busy.pool = PoolName("linux");
    busy.phase = InstancePhase::busy;
    busy.lease = lease.id;
    busy.launched_at = busy.phase_since = now - 1h;
    old.jobs = {before};
    old.leases = {lease};
    old.instances = {busy};
    controller->restore(old, now, {});
    const CiJob job = claim(busy.id);
    list();
    // However long its CI server takes to say no.
    now += 10min;
    list();
    EXPECT_EQ(controller->fleet().find(busy.id)->lease, lease.id);
    EXPECT_EQ(controller->fleet().find(JobId("ci/j")), nullptr);
    if (has_started) {
      controller->apply(LeaseFinished{lease.id, JobOutcome::cancelled, 0, "not to be had"}, now);
    } else {
      controller->apply(LeaseGivenBack{lease.id, "not to be had", true}, now);
    }
    const Instance* instance = controller->fleet().find(busy.id);
    EXPECT_EQ(instance->phase, InstancePhase::busy);
    EXPECT_EQ(instance->lease, job.lease);
    EXPECT_EQ(controller->fleet().find(JobId("ci/j"))->state, JobState::running);
  }
}

TEST_F(ControllerTest, FollowsTheJobOfAMachineThatNobodyClaimedAtFirst) {
  start();
  SeenInstance found = running("i-9");
  controller->apply(InstancesListed{{found}, now}, now);
  controller->apply(MachineReady{found.id, "keys", true}, now);
  EXPECT_EQ(controller->fleet().find(found.id)->phase, InstancePhase::draining);
  const CiJob job = claim(found.id);
  list();
  controller->apply(MachineUnfit{found.id, "the job that was found there has ended", true}, now);
  EXPECT_EQ(controller->fleet().find(found.id)->phase, InstancePhase::busy);
  EXPECT_EQ(controller->fleet().find(found.id)->lease, job.lease);
  EXPECT_EQ(controller->fleet().find(found.id)->reason, "");
}

TEST_F(ControllerTest, KeepsAMachineForTheClaimThatWasListedBeforeIt) {
  start();
  const CiJob job = claim(InstanceId("i-9"));
  queue(1);
  plan();
  SeenInstance found = running(job.instance.value());
  found.intent = IntentId("int-9");
  controller->apply(InstancesListed{{found}, now}, now);
  make_ready(found.id);
  plan();
  EXPECT_EQ(controller->fleet().find(found.id)->lease, job.lease);
}

TEST_F(ControllerTest, AJobThatIsClaimedElsewhereWaitsForItsMachine) {
  start();
  queue(1);
  CiJob told = listed.at(0);
  listed.at(0).state = CiJobState::claimed;
  listed.at(0).lease = LeaseId("lea-9");
  listed.at(0).instance = InstanceId("i-9");
  list();
  controller->apply(JobsTold{"ci", {told}}, now);
  plan();
  EXPECT_EQ(planned(), 0);
  SeenInstance found = running("i-9");
  controller->apply(InstancesListed{{found}, now}, now);
  EXPECT_EQ(controller->fleet().find(found.id)->lease, LeaseId("lea-9"));
  EXPECT_EQ(controller->fleet().find(JobId("ci/j0"))->state, JobState::running);
}

TEST_F(ControllerTest, AClaimIsForgottenWhenItsJobHasEnded) {
  start();
  queue(1);
  listed.at(0).state = CiJobState::claimed;
  listed.at(0).lease = LeaseId("lea-9");
  listed.at(0).instance = InstanceId("i-9");
  list();
  CiJob told = listed.at(0);
  told.state = CiJobState::cancelled;
  controller->apply(JobsTold{"ci", {told}}, now);
  SeenInstance found = running("i-9");
  controller->apply(InstancesListed{{found}, now}, now);
  EXPECT_TRUE(controller->fleet().find(found.id)->lease.empty());
}

TEST_F(ControllerTest, AnAnsweredLaunchBringsTheMachineOfAClaim) {
  start();
  queue(1, "other");
  plan();
  CiJob job;
  job.id = "j";
  job.labels = {"linux"};
  job.state = CiJobState::claimed;
  job.lease = LeaseId("lea-9");
  job.instance = InstanceId("i-1");
  listed.push_back(job);
  list();
  ASSERT_EQ(answer_launches().at(0), InstanceId("i-1"));
  EXPECT_EQ(controller->fleet().find(InstanceId("i-1"))->lease, LeaseId("lea-9"));
}

TEST_F(ControllerTest, TakesAMachineWhoseLaunchIsNotAnsweredForLong) {
  start();
  queue(1);
  plan();
  const Intent intent = open_intents().at(0);
  SeenInstance found = running("i-9");
  found.intent = intent.id;
  controller->apply(InstancesListed{{found}, now + 1min}, now + 1min);
  EXPECT_EQ(controller->fleet().find(found.id), nullptr);
  now += 3min;
  controller->apply(InstancesListed{{found}, now}, now);
  ASSERT_NE(controller->fleet().find(found.id), nullptr);
  LaunchAnswered answer;
  answer.intent = intent.id;
  answer.instances = {found};
  controller->apply(answer, now);
  EXPECT_EQ(controller->fleet().instances().size(), 1U);
  EXPECT_TRUE(open_intents().empty());
}

/// A launch of three that is not answered, for an hour.
struct UnansweredTest : ControllerTest {
  IntentId launch;

  UnansweredTest() {
    start();
    queue(3);
    plan();
    launch = open_intents().at(0).id;
    now += 1h;
  }
  void show(const std::vector<std::string>& ids) {
    std::vector<SeenInstance> seen;
    for (const std::string& id : ids) {
      seen.push_back(running(id));
      seen.back().intent = launch;
    }
    controller->apply(InstancesListed{seen, now}, now);
  }
  /// Another launch, of just now.
  void launch_anew(int count) {
    start();
    listed.clear();
    queue(count);
    plan();
    launch = open_intents().at(0).id;
  }
  void refuse(const std::string& code, ErrorKind kind = ErrorKind::conflict) {
    LaunchAnswered refused;
    refused.intent = launch;
    refused.error = Error{kind, code, "no", ""};
    controller->apply(refused, now);
  }
  std::size_t found() { return controller->fleet().instances().size(); }
};

TEST_F(UnansweredTest, StaysOpenForWhatMayBeHidden) {
  for (int i = 0; i < 2; ++i) {
    show({"i-0", "i-1"});
    EXPECT_EQ(found(), 2U);
    EXPECT_EQ(planned(), 1);
    EXPECT_EQ(controller->fleet().live_count(), 3);
    now += 1min;
  }
  show({"i-0", "i-1", "i-2"});
  EXPECT_EQ(found(), 3U);
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(controller->fleet().live_count(), 3);
}

TEST_F(UnansweredTest, IsTakenWhenNothingCanBeHiddenAnyMore) {
  show({"i-0", "i-1"});
  now += 4min;
  show({"i-0", "i-1"});
  EXPECT_EQ(planned(), 1);
  now += 1min;
  show({"i-0", "i-1"});
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(controller->fleet().live_count(), 2);
}

TEST_F(UnansweredTest, IsAnsweredForTheRest) {
  show({"i-0", "i-1"});
  LaunchAnswered answer;
  answer.intent = launch;
  answer.instances = {running("i-0"), running("i-1"), running("i-2")};
  controller->apply(answer, now);
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(controller->fleet().live_count(), 3);
}

TEST_F(UnansweredTest, HoldsThePlaceOfWhatIsHiddenWhenItIsRefused) {
  show({"i-0", "i-1"});
  refuse("IdempotentInstanceTerminated");
  EXPECT_EQ(planned(), 1);
  EXPECT_EQ(controller->fleet().live_count(), 3);
  now += 5min;
  show({"i-0", "i-1"});
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(controller->fleet().live_count(), 2);
}

TEST_F(UnansweredTest, HoldsThePlaceWhateverItIsRefusedForOnceSomethingWasFound) {
  show({"i-0"});
  refuse("InvalidAMIID.NotFound", ErrorKind::not_found);
  EXPECT_EQ(controller->fleet().live_count(), 3);
}

TEST_F(UnansweredTest, HoldsNothingAgainstItsPoolWhenItHasMadeSomething) {
  show({"i-0", "i-1"});
  refuse("IdempotentInstanceTerminated");
  plan();
  EXPECT_GT(planned(), 1) << reason().text;
}

TEST_F(UnansweredTest, NoJobWaitsForWhatIsOnlyPerhapsThere) {
  refuse("IdempotentInstanceTerminated");
  EXPECT_EQ(planned(), 3);
  now += 2min;  // The pool's circuit closes.
  plan();
  EXPECT_GT(planned(), 3) << reason().text;
  now += 3min;
  show({});
  EXPECT_EQ(controller->fleet().find(launch), nullptr);
}

TEST_F(UnansweredTest, WhatIsPerhapsThereGrowsThePool) {
  config.pools["linux"].growth_limit = 3;
  reload();
  refuse("IdempotentParameterMismatch");
  now += 2min;
  plan();
  EXPECT_EQ(planned(), 3) << reason().text;
}

TEST_F(UnansweredTest, IsLookedForAtOnceWhenItIsRefused) {
  launch_anew(3);
  controller->apply(LaunchTrouble{launch, Error{ErrorKind::timeout, "", "no answer", ""}}, now);
  refuse("IdempotentParameterMismatch");
  EXPECT_TRUE(open_intents().at(0).trouble.empty());
  now += 10s;
  show({"i-0", "i-1"});
  EXPECT_EQ(found(), 2U);
  EXPECT_EQ(planned(), 1);
  now += 5min;
  show({"i-0", "i-1"});
  EXPECT_EQ(planned(), 0);
}

TEST_F(UnansweredTest, IsRefusedAtOnceWhenItHasMadeNothing) {
  refuse("InvalidAMIID.NotFound", ErrorKind::not_found);
  EXPECT_TRUE(open_intents().empty());
}

TEST_F(UnansweredTest, IsRefusedAtOnceWhenTheOnlyOneHasEnded) {
  launch_anew(1);
  refuse("IdempotentInstanceTerminated");
  EXPECT_TRUE(open_intents().empty());
}

TEST_F(UnansweredTest, WhatWasShownEarlyIsNotHiddenForLonger) {
  launch_anew(3);
  now += 1min;
  show({"i-0", "i-1"});
  EXPECT_EQ(found(), 0U);
  now += 5min;
  show({"i-0", "i-1"});
  EXPECT_EQ(found(), 2U);
  EXPECT_EQ(planned(), 0);
}

TEST_F(UnansweredTest, WhatWasFoundIsCountedOnce) {
  config.limits.vcpus = 8;
  reload();
  show({"i-0", "i-1"});
  queue(2, "k");
  plan();
  EXPECT_EQ(planned(), 2) << reason().text;
}

TEST_F(UnansweredTest, ClosesWhenAllThatWasFoundHasEnded) {
  show({"i-0", "i-1"});
  for (const char* id : {"i-0", "i-1"}) {
    ControllerTest::show(InstanceId(id), SeenInstance::State::ending);
  }
  show({});
  EXPECT_EQ(planned(), 1);
  now += 5min;
  show({});
  EXPECT_TRUE(controller->fleet().intents().empty());
  EXPECT_EQ(controller->fleet().live_count(), 0);
}

TEST_F(UnansweredTest, ItsAnswerBringsNothingBackThatHasEnded) {
  show({"i-0", "i-1"});
  ControllerTest::show(InstanceId("i-0"), SeenInstance::State::ending);
  LaunchAnswered answer;
  answer.intent = launch;
  answer.instances = {running("i-0"), running("i-1"), running("i-2")};
  controller->apply(answer, now);
  EXPECT_EQ(controller->fleet().find(InstanceId("i-0")), nullptr);
  EXPECT_EQ(controller->fleet().live_count(), 2);
}

TEST_F(UnansweredTest, IsNotCountedTwiceAfterARestart) {
  show({"i-0", "i-1"});
  FleetSnapshot stored;
  stored.intents = open_intents();
  stored.intents.at(0).found.clear();
  stored.intents.at(0).made_by = {};
  for (const auto& [id, one] : controller->fleet().instances()) stored.instances.push_back(one);
  start();
  controller->restore(stored, now);
  EXPECT_EQ(planned(), 1);
  EXPECT_EQ(controller->fleet().live_count(), 3);
  now += 5min;
  controller->apply(InstancesListed{{}, now}, now);
  EXPECT_EQ(planned(), 0);
}

TEST_F(UnansweredTest, AJobThatAMachineOfItRunsGoesOn) {
  const CiJob job = claim(InstanceId("i-0"));
  list();
  show({"i-0", "i-1"});
  now += 3min;
  list();
  EXPECT_EQ(controller->fleet().find(JobId("ci/" + job.id))->state, JobState::running);
}

}  // namespace
}  // namespace muster
