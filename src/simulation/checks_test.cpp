#include "simulation/checks.hpp"

#include <gtest/gtest.h>

namespace muster::simulation {
namespace {

using namespace std::chrono_literals;

/// A world in which a test does the wrong thing by hand.
class ChecksTest : public testing::Test {
 protected:
  static SimWorld::Options calm() {
    SimWorld::Options options;
    options.has_faults = false;
    options.cloud = ec2model::default_world(1);
    options.cloud.default_kind = ec2model::MachineKind::record;
    return options;
  }
  static Config one_pool() {
    Config config;
    Pool pool;
    pool.name = PoolName("linux");
    pool.max_instances = 2;
    config.pools["linux"] = pool;
    return config;
  }

  ChecksTest() {
    world_.begin_incarnation();
    checks_.watch(&fleet_);
  }

  /// An instance as muster launches it, then what the test changes.
  InstanceId launch(const std::function<void(ec2model::LaunchRequest&)>& change = {}) {
    const std::string intent = "int-" + std::to_string(++launches_);
    ec2model::LaunchRequest request;
    request.image = "debian-12-amd64";
    for (const ec2model::Image& image : world_.model.world().images) request.image = image.id;
    request.instance_type = "t3.large";
    request.min_count = request.max_count = 1;
    request.client_token = intent;
    request.user_data = "shutdown -h +10";
    request.terminates_on_shutdown = true;
    request.instance_tags = {
        {"muster:cluster", "sim"}, {"muster:pool", "linux"}, {"muster:intent", intent}};
    if (change) change(request);
    world_.disk.intents[IntentId(intent)] = Intent{};
    const auto made = world_.model.run_instances(request, ec2model::Gate{}, world_.clock.now());
    EXPECT_TRUE(made) << made.error().message;
    const std::string id = made->instances.front()->id;
    checks_.launched(id);
    Instance known;
    known.id = InstanceId(id);
    if (is_known_) fleet_.add(known);
    let_pass(90s);
    return InstanceId(id);
  }

  Job& add_job(const std::string& id, Duration takes = 10min) {
    SimJob job;
    job.id = id;
    job.is_visible = true;
    job.takes = takes;
    world_.tell_news(world_.jobs[id] = job);
    Job known;
    known.id = JobId("sim/" + id);
    fleet_.add(known);
    return fleet_.edit(known.id);
  }

  void start(const InstanceId& machine, const LeaseId& lease, const std::string& job,
             LeaseState stored = LeaseState::started) {
    world_.disk.leases[lease].state = stored;
    world_.start_run(machine, "/tmp/muster-" + lease.value(), "run " + job);
  }

  void let_pass(Duration time) {
    for (Duration gone{}; gone < time; gone += 5s) {
      world_.clock.run(world_.clock.sleep(5s));
      world_.settle();
      checks_.look();
    }
  }

  [[nodiscard]] std::string broken() const {
    return world_.violations.empty() ? "" : world_.violations.front().invariant;
  }

  SimWorld world_{calm(), Faults{}};
  Config config_ = one_pool();
  Fleet fleet_;
  Checks checks_{world_, config_};
  int launches_ = 0;
  bool is_known_ = true;
};

TEST_F(ChecksTest, I1SeesInstancesThatNothingKnows) {
  launch();
  let_pass(90s);
  EXPECT_EQ(broken(), "");
  is_known_ = false;
  launch();
  let_pass(90s);
  EXPECT_EQ(broken(), "I1");
}

TEST_F(ChecksTest, I1WantsTagsAndATimer) {
  launch([](ec2model::LaunchRequest& request) { request.instance_tags.erase("muster:cluster"); });
  EXPECT_EQ(broken(), "I1");
  world_.violations.clear();
  launch([](ec2model::LaunchRequest& request) { request.user_data = "true"; });
  EXPECT_EQ(broken(), "I1");
}

TEST_F(ChecksTest, I2SeesAJobThatRunsTwiceAndALaunchWithAnotherToken) {
  const InstanceId one = launch();
  const InstanceId two = launch();
  add_job("j1");
  start(one, LeaseId("lea-1"), "j1");
  EXPECT_EQ(broken(), "");
  start(two, LeaseId("lea-1"), "j1");
  EXPECT_EQ(broken(), "I2");
  world_.violations.clear();
  launch([](ec2model::LaunchRequest& request) {
    request.instance_tags["muster:intent"] = "int-1";
    request.client_token = "another";
  });
  EXPECT_EQ(broken(), "I2");
}

TEST_F(ChecksTest, I3SeesAJobThatWaitsWithoutAReason) {
  add_job("j1");
  let_pass(60s);
  EXPECT_EQ(broken(), "");
  let_pass(90s);
  EXPECT_EQ(broken(), "I3");
}

TEST_F(ChecksTest, I4SeesAJobThatIsEnded) {
  const InstanceId one = launch();
  add_job("j1");
  start(one, LeaseId("lea-1"), "j1");
  checks_.terminating({one.value()});
  EXPECT_EQ(broken(), "I4");
}

TEST_F(ChecksTest, I5SeesAMachineThatIsUsedTwice) {
  const InstanceId one = launch();
  add_job("j1");
  add_job("j2");
  start(one, LeaseId("lea-1"), "j1");
  EXPECT_EQ(broken(), "");
  start(one, LeaseId("lea-2"), "j2");
  EXPECT_EQ(broken(), "I5");
}

TEST_F(ChecksTest, I6SeesMoreInstancesThanThePoolMayHave) {
  launch();
  launch();
  EXPECT_EQ(broken(), "");
  launch();
  EXPECT_EQ(broken(), "I6");
}

TEST_F(ChecksTest, I6SeesALaunchOfAPausedPool) {
  FleetCommit commit;
  Intent intent;
  intent.id = IntentId("int-1");
  intent.pool = PoolName("linux");
  commit.changes.intents = {intent};
  checks_.committing(commit);
  EXPECT_EQ(broken(), "");
  world_.disk.pool_orders[intent.pool] = {intent.pool, PoolMode::paused, {}, "ann", ""};
  checks_.committing(commit);
  EXPECT_EQ(broken(), "I6");
}

TEST_F(ChecksTest, I6SeesALaunchWhileAScheduleClosesThePool) {
  FleetCommit commit;
  Intent intent;
  intent.id = IntentId("int-1");
  intent.pool = PoolName("linux");
  intent.created_at = world_.clock.now();
  commit.changes.intents = {intent};
  config_.pools["linux"].schedule["night"] = {"* * * * *", "UTC", 0, -1};
  checks_.committing(commit);
  EXPECT_EQ(broken(), "");
  config_.pools["linux"].schedule["night"].max_instances = 0;
  checks_.committing(commit);
  EXPECT_EQ(broken(), "I6");
}

TEST_F(ChecksTest, I6SeesALaunchBeyondTheBudget) {
  config_.limits.usd_per_day = "0.01";
  launch();
  EXPECT_EQ(broken(), "");
  let_pass(8min);
  launch();
  EXPECT_EQ(broken(), "I6");
}

TEST_F(ChecksTest, I7SeesASecretInUserData) {
  launch([](ec2model::LaunchRequest& request) { request.user_data += "the cluster's secret"; });
  EXPECT_EQ(broken(), "I7");
}

TEST_F(ChecksTest, I8SeesAnIllegalMove) {
  Instance before;
  before.id = InstanceId("i-1");
  before.phase = InstancePhase::terminating;
  world_.disk.instances[before.id] = before;
  FleetCommit commit;
  commit.changes.instances = {before};
  commit.changes.instances.front().phase = InstancePhase::gone;
  checks_.committing(commit);
  EXPECT_EQ(broken(), "");
  commit.changes.instances.front().phase = InstancePhase::idle;
  checks_.committing(commit);
  EXPECT_EQ(broken(), "I8");
}

TEST_F(ChecksTest, I9SeesWhatIsToldBeforeItIsStored) {
  Lease lease;
  lease.id = LeaseId("lea-1");
  lease.state = LeaseState::reported;
  lease.outcome = JobOutcome::passed;
  world_.disk.leases[lease.id] = lease;
  checks_.job_claimed("j1", lease.id);
  checks_.job_ended("j1", lease.id, JobOutcome::passed);
  EXPECT_EQ(broken(), "");
  checks_.job_ended("j1", lease.id, JobOutcome::failed);
  EXPECT_EQ(broken(), "I9");
  world_.violations.clear();
  checks_.job_claimed("j1", LeaseId("lea-2"));
  EXPECT_EQ(broken(), "I9");
  world_.violations.clear();
  const InstanceId machine = launch();
  add_job("j2");
  start(machine, LeaseId("lea-2"), "j2", LeaseState::accepted);
  EXPECT_EQ(broken(), "I9");
}

TEST_F(ChecksTest, I4SeesAJobThatIsGivenUpWhileItRuns) {
  const InstanceId machine = launch();
  const LeaseId lease("lea-1");
  add_job("j1", 10min);
  world_.jobs["j1"].instance = machine;
  start(machine, lease, "j1");
  world_.disk.leases[lease].state = LeaseState::reported;
  world_.disk.leases[lease].outcome = JobOutcome::lost;
  world_.hosts.at(machine).is_broken = true;
  checks_.job_ended("j1", lease, JobOutcome::lost);
  EXPECT_EQ(broken(), "");
  world_.hosts.at(machine).is_broken = false;
  world_.disk.leases[lease].reason = "another machine answers (HostKeyMismatch)";
  checks_.job_ended("j1", lease, JobOutcome::lost);
  EXPECT_EQ(broken(), "");
  world_.disk.leases[lease].reason = "";
  world_.drilled[machine] = world_.now();
  checks_.job_ended("j1", lease, JobOutcome::lost);
  EXPECT_EQ(broken(), "");
  world_.drilled.clear();
  checks_.job_ended("j1", lease, JobOutcome::lost);
  EXPECT_EQ(broken(), "I4");
}

TEST_F(ChecksTest, I10SeesWhatIsLeftAtTheEnd) {
  add_job("j1");
  checks_.at_end();
  EXPECT_EQ(broken(), "I10");
  world_.violations.clear();
  world_.jobs["j1"].state = CiJobState::finished;
  for (int i = 0; i < 2; ++i) launch();
  checks_.at_end();
  EXPECT_EQ(broken(), "I10");
}

TEST_F(ChecksTest, I11SeesAStoreThatGrows) {
  for (int i = 0; i < 2001; ++i) world_.disk.intents[IntentId(std::to_string(i))] = Intent{};
  checks_.at_end();
  EXPECT_EQ(broken(), "I11");
}

TEST_F(ChecksTest, I12SeesACallOfAProcessThatIsGone) {
  checks_.called("RunInstances", world_.incarnation());
  EXPECT_EQ(broken(), "");
  checks_.called("RunInstances", world_.incarnation() - 1);
  EXPECT_EQ(broken(), "I12");
}

}  // namespace
}  // namespace muster::simulation
