#include "fleet/controller.hpp"

#include "fleet/controller_fixture.hpp"
#include "fleet/explain.hpp"
#include "fleet/labels.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST_F(ControllerTest, LaunchesOnceForEachWaitingJobAndInOneCall) {
  start();
  queue(3);
  plan();
  ASSERT_EQ(open_intents().size(), 1U);
  EXPECT_EQ(open_intents().front().count, 3);
  plan();
  EXPECT_EQ(planned(), 3);
  answer_launches();
  plan();
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(reason().cause, WaitCause::booting);
}

TEST_F(ControllerTest, LaunchesNothingBeforeTheCloudIsListedAgain) {
  start();
  queue(1);
  inputs.hold = WaitCause::cloud_unlisted;
  inputs.hold_until = now + 1min;
  EXPECT_EQ(plan(), now + 1min);
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(reason().cause, WaitCause::cloud_unlisted);
  inputs.hold = WaitCause::none;
  plan();
  EXPECT_EQ(planned(), 1);
}

TEST_F(ControllerTest, GivesTheOldestJobTheInstanceWhicheverItWasLaunchedFor) {
  start();
  queue(1, "new");
  now -= 1h;
  queue(1, "old");
  now += 1h;
  plan();
  make_ready(answer_launches().at(0));
  plan();
  EXPECT_EQ(controller->fleet().find(JobId("ci/old0"))->state, JobState::leased);
  EXPECT_EQ(controller->fleet().find(JobId("ci/new0"))->state, JobState::queued);
}

TEST_F(ControllerTest, UsesAnInstanceOnce) {
  start();
  queue(2);
  plan();
  const auto ids = answer_launches();
  make_ready(ids.at(0));
  plan();
  finish_lease(controller->fleet().find(ids[0])->lease);
  EXPECT_EQ(controller->fleet().find(ids[0])->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, ReusesAnInstanceAsOftenAsThePoolSays) {
  config.pools["linux"].reuse.jobs = 2;
  start();
  queue(3);
  plan();
  const auto ids = answer_launches();
  make_ready(ids.at(0));
  plan();
  finish_lease(controller->fleet().find(ids[0])->lease);
  EXPECT_EQ(controller->fleet().find(ids[0])->phase, InstancePhase::idle);
  plan();
  finish_lease(controller->fleet().find(ids[0])->lease);
  EXPECT_EQ(controller->fleet().find(ids[0])->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, KeepsEachLimitAndSaysWhich) {
  struct Case {
    std::function<void(Config&)> set;
    WaitCause cause;
    int launched;
  };
  const Case cases[] = {
      {[](Config& c) { c.pools["linux"].max_instances = 2; }, WaitCause::pool_limit, 2},
      {[](Config& c) { c.limits.instances = 1; }, WaitCause::cluster_limit, 1},
      {[](Config& c) { c.limits.vcpus = 5; }, WaitCause::vcpu_limit, 2},
      {[](Config& c) { c.limits.launches_per_minute = 3; }, WaitCause::launch_rate_limit, 3},
      {[](Config& c) { c.limits.usd_per_day = "0.07"; }, WaitCause::budget, 2},
      {[](Config& c) { c.pools["linux"].growth_limit = 1; }, WaitCause::growth_limit, 1},
      {[](Config& c) { c.pools["linux"].schedule["few"] = {"* * * * *", "UTC", 4, 2}; },
       WaitCause::schedule, 2},
  };
  for (const Case& one : cases) {
    config.limits = {};
    config.pools.clear();
    add_pool("linux", {"linux"});
    one.set(config);
    listed.clear();
    start();
    queue(5);
    plan();
    EXPECT_EQ(planned(), one.launched) << to_string(one.cause);
    answer_launches();
    plan();
    EXPECT_EQ(planned(), 0) << to_string(one.cause);
    EXPECT_EQ(reason().cause, one.cause) << reason().text;
  }
}

TEST_F(ControllerTest, LaunchesNothingBelowALimitWhileTheSizeOfAFoundMachineIsUnknown) {
  const std::function<void(Config&)> sets[] = {[](Config& c) { c.limits.vcpus = 5; },
                                               [](Config& c) { c.limits.usd_per_day = "0.07"; }};
  add_pool("other", {"other"});
  for (const auto& set : sets) {
    config.limits = {};
    set(config);
    listed.clear();
    controller = std::make_unique<Controller>(config, 7);
    resolve("linux");
    SeenInstance found = running("i-9");
    found.pool = PoolName("other");
    found.offering = {"a.large", CapacityType::spot, "s1", "z1"};
    found.launched_at = now;
    controller->apply(InstancesListed{{found}, now}, now);
    queue(5);
    plan();
    EXPECT_EQ(planned(), 0);
    EXPECT_EQ(reason().cause, WaitCause::launching) << reason().text;
    resolve("other");
    plan();
    EXPECT_EQ(planned(), 1);
  }
}

TEST_F(ControllerTest, OpensAPoolWhenItsScheduleEnds) {
  config.pools["linux"].schedule["night"] = {"0-29 * * * *", "UTC", 0, 0};
  config.pools["linux"].idle.count = 2;
  now += std::chrono::ceil<std::chrono::hours>(now) - now + 10min;
  start();
  queue(1);
  plan();
  EXPECT_EQ(planned(), 0);
  ASSERT_EQ(reason().cause, WaitCause::schedule) << reason().text;
  EXPECT_EQ(reason().next, std::chrono::floor<std::chrono::hours>(now) + 30min);
  now += 20min;
  plan();
  EXPECT_EQ(planned(), 3);
}

TEST_F(ControllerTest, GivesNoJobToAMachineOfAPoolThatItsScheduleCloses) {
  config.pools["linux"].schedule["night"] = {"0-29 * * * *", "UTC", 0, 0};
  config.pools["linux"].idle.count = 1;
  now += std::chrono::ceil<std::chrono::hours>(now) - now + 50min;
  start();
  plan();
  make_ready(answer_launches().at(0));
  now += 15min;
  queue(1);
  plan();
  EXPECT_EQ(count_of(InstancePhase::busy), 0);
  EXPECT_EQ(reason().cause, WaitCause::schedule) << reason().text;
}

TEST_F(ControllerTest, SaysWhyNothingFits) {
  start();
  queue(1, "j", {"windows"});
  plan();
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(reason().cause, WaitCause::no_pool);
  const auto change_of = [this](const char* job) {
    return explain(*controller, *controller->fleet().find(JobId(job)), now).change;
  };
  EXPECT_NE(change_of("ci/j0").find("the labels [windows]"), std::string::npos);
  queue(1, "k", {"pool:gone", "linux"});
  plan();
  EXPECT_NE(change_of("ci/k0").find("or add pools.gone to"), std::string::npos)
      << change_of("ci/k0");
  queue(1, "l", {"pool:linux", "gpu"});
  plan();
  EXPECT_NE(change_of("ci/l0").find("add [gpu] to pools.linux.labels"), std::string::npos);
  queue(1, "m", {"linux", "size:huge"});
  plan();
  EXPECT_NE(change_of("ci/m0").find("add the size of [size:huge] to the pool's"),
            std::string::npos);
}

TEST_F(ControllerTest, GoesToTheNextOfferingAtOnceAndToOnDemandLast) {
  start();
  queue(1);
  plan();
  ASSERT_EQ(open_intents().size(), 1U);
  EXPECT_EQ(open_intents().front().offering.capacity_type, CapacityType::spot);
  LaunchAnswered refused;
  refused.intent = open_intents().front().id;
  refused.error =
      Error{ErrorKind::capacity_unavailable, "InsufficientInstanceCapacity", "full", ""};
  controller->apply(refused, now);
  plan();
  ASSERT_EQ(open_intents().size(), 1U);
  EXPECT_EQ(open_intents().front().offering.capacity_type, CapacityType::on_demand);
  refused.intent = open_intents().front().id;
  controller->apply(refused, now);
  const auto next = plan();
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(reason().cause, WaitCause::capacity);
  ASSERT_TRUE(next.has_value());
  EXPECT_GT(*next, now);
  now = *reason().next;
  plan();
  EXPECT_EQ(planned(), 1);
}

TEST_F(ControllerTest, StopsLaunchingWhatNeverComesUp) {
  start();
  queue(1);
  int launched = 0;
  for (int i = 0; i < 400; ++i) {
    plan();
    for (const InstanceId& id : answer_launches()) {
      ++launched;
      controller->apply(MachineUnfit{id, "no answer"}, now);
      show(id, SeenInstance::State::ending);
    }
    now += 10s;
  }
  // Four in a row, then one for each time that the circuit is tried again.
  EXPECT_LT(launched, 15);
  EXPECT_EQ(reason().cause, WaitCause::circuit_open);
}

TEST_F(ControllerTest, TheTimeInWhichNothingCouldBeCommittedIsNotHeldAgainstAMachine) {
  start();
  queue(1);
  plan();
  const InstanceId id = answer_launches().at(0);
  now += 1h;
  controller->allow_for(1h);
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::pending);
  now += config.pools["linux"].boot_timeout + 10min;
  plan();
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
}

TEST_F(ControllerTest, LaunchesAnotherWhenOneBootsTooLongAndNotMoreThanAFew) {
  start();
  queue(8);
  plan();
  answer_launches();
  now += 70s;
  plan();
  EXPECT_EQ(planned(), 2);
}

TEST_F(ControllerTest, KeepsIdleInstancesAndLetsTheOthersGo) {
  config.pools["linux"].idle.count = 2;
  start();
  plan();
  EXPECT_EQ(planned(), 2);
  for (const InstanceId& id : answer_launches()) make_ready(id);
  plan();
  EXPECT_EQ(planned(), 0);
  config.pools["linux"].idle.count = 0;
  reload();
  plan();
  EXPECT_EQ(count_of(InstancePhase::idle), 2);
  now += 6min;
  plan();
  EXPECT_EQ(count_of(InstancePhase::terminating), 2);
}

TEST_F(ControllerTest, GivesNoJobToAnInstanceThatItKnowsFromTheStoreAlone) {
  FleetSnapshot stored;
  Instance idle;
  idle.id = InstanceId("i-9");
  idle.pool = PoolName("linux");
  idle.phase = InstancePhase::idle;
  idle.launched_at = idle.phase_since = now - 2h;
  stored.instances = {idle};
  start();
  controller->restore(stored, now);
  queue(1);
  plan();
  controller->apply(MachineSeen{idle.id}, now);
  plan();
  EXPECT_EQ(controller->fleet().find(idle.id)->phase, InstancePhase::idle);
  make_ready(idle.id);
  plan();
  EXPECT_EQ(controller->fleet().find(idle.id)->phase, InstancePhase::busy);
}

TEST_F(ControllerTest, MovesMomentsOfTheFutureBackAndStoresThat) {
  FleetSnapshot stored;
  Instance idle;
  idle.id = InstanceId("i-9");
  idle.pool = PoolName("linux");
  idle.phase = InstancePhase::idle;
  idle.launched_at = now + 22h;
  idle.phase_since = now + 24h;
  stored.instances = {idle};
  start();
  controller->restore(stored, now);
  EXPECT_EQ(controller->fleet().find(idle.id)->phase_since, now);
  EXPECT_EQ(controller->fleet().find(idle.id)->launched_at, now - 2h);
  EXPECT_EQ(controller->take_changes().instances.size(), 1U);
}

TEST_F(ControllerTest, DoesNotSpinWhenAJobOutlivesItsInstancesLife) {
  config.pools["linux"].max_life = 1h;
  start();
  queue(1);
  plan();
  make_ready(answer_launches().at(0));
  plan();
  const LeaseId lease = controller->fleet().leases().begin()->first;
  controller->apply(LeaseAccepted{lease}, now);
  controller->apply(LeaseStarting{lease}, now);
  now += 2h;
  for (int i = 0; i < 2; ++i) {
    const auto next = plan();
    EXPECT_TRUE(!next || *next > now);
  }
  EXPECT_TRUE(controller->fleet().find(lease)->is_cancelled);
}

TEST_F(ControllerTest, OffersOfAnotherConfigurationAreNotUsed) {
  start();
  config.pools["linux"].on_demand = OnDemandRule::only;
  config.pools["linux"].types = {"b.large"};
  reload();
  queue(1);
  plan();
  EXPECT_EQ(planned(), 0);
  EXPECT_EQ(reason().cause, WaitCause::launching) << reason().text;
}

TEST_F(ControllerTest, LaunchesNoMoreThanLimitsOfJobsLetRun) {
  config.limits.repository_jobs = 3;
  start();
  queue(1, "first");
  plan();
  make_ready(answer_launches().at(0));
  for (const char* label : {"linux", "x64"}) queue(3, label, {label});
  plan();
  EXPECT_EQ(count_of(InstancePhase::busy), 1);
  EXPECT_EQ(planned(), 2);
  EXPECT_EQ(controller->fleet().demand().rbegin()->second.reason.cause,
            WaitCause::repository_limit);
}

TEST_F(ControllerTest, SharesScarceMachinesBetweenTenants) {
  config.pools["linux"].max_instances = 4;
  config.tenants["big"] = {3, {"big/*"}};
  start();
  now -= 1min;
  queue(20, "b", {"linux"}, "big/r");
  now += 1min;
  queue(20, "s", {"linux"}, "small/r");
  plan();
  for (const InstanceId& id : answer_launches()) make_ready(id);
  plan();
  EXPECT_EQ(controller->fleet().tenant_count("big"), 3);
  EXPECT_EQ(controller->fleet().tenant_count("small"), 1);
}

TEST_F(ControllerTest, AJobThatItsCiServerHasNoMoreIsDroppedByLateListingsAlone) {
  start();
  queue(1);
  listed.clear();
  const auto state = [&] { return controller->fleet().find(JobId("ci/j0"))->state; };
  for (int i = 0; i < 4; ++i) {
    now += 7s;  // The last of them is asked 28 s after the job came.
    list();
    EXPECT_EQ(state(), JobState::queued);
  }
  now += 7s;
  list();
  EXPECT_EQ(state(), JobState::queued) << "one listing may be wrong";
  now += 7s;
  list();
  EXPECT_EQ(state(), JobState::dropped);
}

TEST_F(ControllerTest, AListingOfBeforeAJobWasGivenBackTakesItFromNobody) {
  start();
  queue(1);
  CiJob old = listed.front();
  old.state = CiJobState::claimed;
  old.lease = LeaseId("lea-old");
  old.instance = InstanceId("i-unknown");
  const TimePoint asked_at = now - 1s;
  controller->apply(JobsListed{"ci", {old}, asked_at}, now + 1s);
  const Job* job = controller->fleet().find(JobId("ci/j0"));
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->state, JobState::queued);
}

TEST_F(ControllerTest, APausedPoolStartsNothingAndIsToldWhy) {
  start();
  controller->apply(PoolOrdered{PoolName("linux"), PoolMode::paused, "ann", "image"}, now);
  queue(1);
  plan();
  EXPECT_EQ(planned(), 0);
  const Explanation why = explain(*controller, *controller->fleet().find(JobId("ci/j0")), now);
  EXPECT_EQ(why.cause, "paused");
  EXPECT_EQ(why.change, "muster pool resume linux");
  EXPECT_NE(why.headline.find("by ann: \"image\""), std::string::npos) << why.headline;
  const FleetChanges changes = controller->take_changes();
  ASSERT_EQ(changes.pool_orders.size(), 1U);
  Controller next(config, 8);
  FleetSnapshot stored;
  stored.pool_orders = changes.pool_orders;
  next.restore(std::move(stored), now);
  EXPECT_EQ(next.fleet().mode_of(PoolName("linux")), PoolMode::paused);
  controller->apply(PoolOrdered{PoolName("linux"), PoolMode::open, "ann", ""}, now);
  plan();
  EXPECT_EQ(planned(), 1);
}

TEST_F(ControllerTest, ADrainedInstanceEndsWithItsJobAndATerminatedOneAtOnce) {
  const InstanceId id = start_with_one_for_a_job();
  plan();
  ASSERT_EQ(controller->fleet().find(id)->phase, InstancePhase::busy);
  const LeaseId lease = controller->fleet().find(id)->lease;
  controller->apply(LeaseAccepted{lease}, now);
  controller->apply(LeaseStarting{lease}, now);
  controller->apply(InstanceOrdered{id, InstanceOrder::drained, "ann"}, now);
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::busy);
  controller->apply(InstanceOrdered{id, InstanceOrder::terminated, "ann"}, now);
  EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::terminating);
  EXPECT_EQ(controller->fleet().find(lease)->outcome, JobOutcome::lost);
  EXPECT_EQ(controller->fleet().find(lease)->reason, "terminated by ann");
}

TEST_F(ControllerTest, AnInterruptionLeavesItsJobTheNoticeAndADrillEndsIt) {
  config.pools["linux"].reuse.jobs = 5;
  start();
  queue(3);
  plan();
  const auto ids = answer_launches();
  make_ready(ids.at(0));
  plan();
  const LeaseId lease = controller->fleet().find(ids[0])->lease;
  ASSERT_FALSE(lease.empty());
  controller->apply(LeaseAccepted{lease}, now);
  controller->apply(LeaseStarting{lease}, now);
  for (const InstanceId& id : ids) {
    controller->apply(InterruptionNoticed{id, now + 120s, "ann"}, now);
  }
  // The first end counts.
  controller->apply(InterruptionNoticed{ids[0], now + 300s, "bob"}, now);
  EXPECT_EQ(controller->fleet().find(ids[0])->phase, InstancePhase::busy);
  EXPECT_EQ(controller->fleet().find(ids[1])->phase, InstancePhase::terminating);
  const JobId job = controller->fleet().find(lease)->job;
  const Explanation told = explain(*controller, *controller->fleet().find(job), now);
  EXPECT_NE(told.headline.find("in a drill by bob, at"), std::string::npos) << told.headline;
  EXPECT_EQ(told.next_at, now + 120s);
  now += 120s;
  controller->apply(InstanceOrdered{ids[0], InstanceOrder::taken_back, "ann"}, now);
  EXPECT_EQ(controller->fleet().find(ids[0])->phase, InstancePhase::terminating);
  EXPECT_EQ(controller->fleet().find(lease)->outcome, JobOutcome::lost);
  EXPECT_EQ(controller->fleet().find(lease)->reason,
            "taken back like a Spot instance, in a drill by ann");
}

TEST_F(ControllerTest, TheLimitOfAJobRunsFromItsStartOnTheMachine) {
  const InstanceId id = start_with_one_for_a_job();
  plan();
  const LeaseId lease = controller->fleet().find(id)->lease;
  controller->apply(LeaseAccepted{lease}, now);
  controller->apply(LeaseStarting{lease}, now);
  now += 1h;
  controller->apply(LeaseStarting{lease}, now);
  EXPECT_EQ(controller->fleet().find(lease)->started_at, now);
  EXPECT_EQ(controller->fleet().find(controller->fleet().find(lease)->job)->started_at, now);
  EXPECT_EQ(controller->fleet().find(id)->job_count, 1);
}

TEST_F(ControllerTest, NewsBringsAJobOnceAndEndsIt) {
  start();
  CiJob job;
  job.id = "j";
  job.labels = {"linux"};
  job.queued_at = now;
  controller->apply(JobsTold{"ci", {job, job}}, now);
  controller->apply(JobsTold{"ci", {job}}, now);
  plan();
  EXPECT_EQ(planned(), 1);
  // Listings that lag behind the news.
  for (int i = 0; i < 3; ++i) {
    now += 1s;
    list();
  }
  EXPECT_EQ(controller->fleet().find(JobId("ci/j"))->state, JobState::queued);
  job.state = CiJobState::cancelled;
  controller->apply(JobsTold{"ci", {job}}, now);
  EXPECT_EQ(controller->fleet().find(JobId("ci/j"))->state, JobState::dropped);
  job.state = CiJobState::queued;
  controller->apply(JobsTold{"ci", {job}}, now);
  EXPECT_EQ(controller->fleet().find(JobId("ci/j"))->state, JobState::dropped);
}

TEST_F(ControllerTest, EndedJobsStayEndedWhateverComesLate) {
  start();
  queue(1);
  plan();
  make_ready(answer_launches().at(0));
  plan();
  finish_lease(controller->fleet().leases().begin()->first);
  now += 1s;
  list();
  plan();
  EXPECT_EQ(controller->fleet().find(JobId("ci/j0"))->state, JobState::finished);
  EXPECT_EQ(planned(), 0);
}

TEST(Labels, MatchSubsetsExactSetsSizesAndPoolNames) {
  Pool pool;
  pool.name = PoolName("Linux");
  pool.labels = {"Linux", "x64"};
  pool.sizes = {{"large", "m7i.2xlarge"}};
  EXPECT_TRUE(matches_labels(pool, normal_labels({"LINUX"})));
  EXPECT_TRUE(matches_labels(pool, normal_labels({"x64", "linux", "linux"})));
  EXPECT_FALSE(matches_labels(pool, normal_labels({"linux", "gpu"})));
  EXPECT_TRUE(matches_labels(pool, normal_labels({"linux", "size:large"})));
  EXPECT_FALSE(matches_labels(pool, normal_labels({"linux", "size:huge"})));
  EXPECT_TRUE(matches_labels(pool, normal_labels({"pool:linux"})));
  EXPECT_FALSE(matches_labels(pool, normal_labels({"pool:other"})));
  EXPECT_EQ(type_of_size(pool, {"size:large"}), "m7i.2xlarge");
  pool.match = LabelMatch::exact;
  EXPECT_FALSE(matches_labels(pool, normal_labels({"linux"})));
  EXPECT_TRUE(matches_labels(pool, normal_labels({"linux", "x64"})));
}

}  // namespace
}  // namespace muster
