#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/task_scope.hpp"
#include "ports/clock.hpp"
#include "service/boot_data.hpp"
#include "service/call_budget.hpp"
#include "service/launcher.hpp"
#include "simulation/virtual_clock.hpp"
#include "wire/mime.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST(BootUserData, ArmsTheTimerFirstAndHoldsNoSecret) {
  const std::string script = boot_user_data({"admin", "ssh-ed25519 AAAA x", 10min, ""});
  EXPECT_TRUE(script.starts_with("#!/bin/sh\nshutdown -h +10"));
  EXPECT_EQ(script.find("PRIVATE"), std::string::npos);
}

TEST(BootUserData, RunsThePoolsOwnPartAfterwards) {
  const auto parts =
      wire::parse_multipart(boot_user_data({"admin", "k", 10min, "#cloud-config\nruncmd: []\n"}));
  ASSERT_TRUE(parts.has_value());
  ASSERT_EQ(parts->size(), 2U);
  EXPECT_EQ((*parts)[1].media_type, "text/cloud-config");
}

TEST(BootUserData, QuotesWhatItIsGiven) {
  EXPECT_NE(boot_user_data({"a'; rm -rf /", "k", 1s, ""}).find("user='a'\\''; rm -rf /'"),
            std::string::npos);
}

/// What the launcher sees of the world; each launch takes the next answer.
class FakeWorld : public Cloud,
                  public CloudControl,
                  public CloudCatalog,
                  public Store,
                  public MachineConnector {
 public:
  FrozenCall freeze_launch(const LaunchSpec& spec, const ClientToken& token) const override {
    return {"RunInstances", spec.offering.instance_type + " " + spec.offering.zone, token};
  }
  FrozenCall freeze_fleet(const FleetSpec&, const ClientToken& token) const override {
    return {"CreateFleet", "", token};
  }
  Task<Status> stop(std::vector<InstanceId>, bool) override { co_return Status(); }
  Task<Status> start(std::vector<InstanceId>) override { co_return Status(); }
  Task<Status> modify(InstanceId, InstanceChange) override { co_return Status(); }
  Task<Result<std::vector<InstanceTypeView>>> list_types(std::vector<std::string>) override {
    co_return std::vector<InstanceTypeView>{};
  }
  Task<Result<std::vector<OfferingView>>> list_offerings(std::vector<std::string>) override {
    co_return std::vector<OfferingView>{};
  }
  Task<Result<std::vector<SpotPriceView>>> spot_prices(std::vector<std::string>) override {
    co_return std::vector<SpotPriceView>{};
  }
  Task<Result<LaunchAnswer>> launch(FrozenCall call) override {
    events.push_back("launch " + call.token.value().substr(0, 3) + " " + call.body);
    tokens.push_back(call.token.value());
    if (answers.empty()) {
      CloudInstance made;
      made.id = InstanceId("i-1");
      co_return LaunchAnswer{{made}, {}};
    }
    const Error error = answers.front();
    answers.erase(answers.begin());
    co_return tl::unexpected<Error>(error);
  }
  Task<Result<std::vector<CloudInstance>>> list_instances(InstanceFilter) override {
    co_return std::vector<CloudInstance>{};
  }
  Task<Status> terminate(std::vector<InstanceId>) override {
    events.push_back("terminate");
    co_return Status();
  }
  Task<Status> tag(std::vector<std::string>, std::map<std::string, std::string>) override {
    co_return Status();
  }
  Task<Result<std::string>> console_output(InstanceId) override {
    if (asleep_by != nullptr) co_await asleep_by->sleep(1h);
    co_return console;
  }
  Task<Result<std::vector<ImageView>>> find_images(std::string, std::string) override {
    co_return std::vector<ImageView>{{ImageId("ami-1"), "n", "x86_64", "/dev/xvda", "d"}};
  }
  Task<Result<std::vector<SubnetView>>> list_subnets(std::vector<std::string>) override {
    co_return std::vector<SubnetView>{{"s1", "z1", "v", 2}, {"s2", "z2", "v", 1}};
  }
  Task<Result<std::vector<GroupView>>> find_groups(std::vector<std::string>, std::string) override {
    co_return std::vector<GroupView>{};
  }
  Task<Status> add_intent(LaunchIntent) override {
    events.push_back("intent");
    co_return Status();
  }
  Task<Status> set_intent(IntentId, IntentState state, std::vector<InstanceId>) override {
    states.push_back(state);
    co_return Status();
  }
  Task<Result<std::vector<LaunchIntent>>> list_owing() override {
    co_return std::vector<LaunchIntent>{};
  }
  Task<Result<std::unique_ptr<Machine>>> connect(MachineTarget target, Duration) override {
    events.push_back("connect " + target.host_keys.front().type);
    co_return fail(connect_error.kind, connect_error.message, "", connect_error.code);
  }
  Task<Status> knock(std::string, int, Duration) override { co_return Status(); }

  std::vector<Error> answers;
  std::vector<std::string> events;
  std::vector<std::string> tokens;
  std::vector<IntentState> states;
  std::string console;
  Clock* asleep_by = nullptr;  ///< The console is not answered for an hour.
  Error connect_error;
};

struct LauncherTest : testing::Test {
  boost::asio::io_context context;
  simulation::VirtualClock clock{context};
  simulation::SeededRandom random{1};
  Log log{LogLevel::off};
  FakeWorld world;
  Launcher launcher{
      {world, world, world, world, world, clock, random, log}, "c", Secret("secret"), "r"};
  Pool pool;

  LauncherTest() {
    pool.name = PoolName("p");
    pool.types = {"a.large"};
  }
  Result<LaunchedMachine> launch() {
    Result<LaunchedMachine> out = fail(ErrorKind::cancelled, "");
    const auto doing = [](LauncherTest* test, Result<LaunchedMachine>* to) -> Task<> {
      *to = co_await test->launcher.launch(test->pool, RunId("run"));
    };
    EXPECT_TRUE(clock.run(doing(this, &out)));
    return out;
  }
  Error reach() {
    Error error;
    const auto doing = [](LauncherTest* test, Error* to) -> Task<> {
      LaunchedMachine machine;
      machine.instance.id = InstanceId("i-1");
      machine.instance.private_address = "10.0.0.1";
      const auto reached = co_await test->launcher.reach(machine, test->pool);
      if (!reached) *to = reached.error();
    };
    EXPECT_TRUE(clock.run(doing(this, &error)));
    return error;
  }
};

TEST_F(LauncherTest, CommitsTheIntentBeforeTheCall) {
  ASSERT_TRUE(launch().has_value());
  EXPECT_EQ(world.events, (std::vector<std::string>{"intent", "launch int a.large z1"}));
  EXPECT_EQ(world.states, std::vector<IntentState>{IntentState::launched});
}

TEST_F(LauncherTest, GoesToTheNextOfferingWithANewIntentWhenThereIsNoRoom) {
  world.answers = {
      fail(ErrorKind::capacity_unavailable, "", "", "InsufficientInstanceCapacity").value()};
  ASSERT_TRUE(launch().has_value());
  ASSERT_EQ(world.tokens.size(), 2U);
  EXPECT_NE(world.tokens[0], world.tokens[1]);
  EXPECT_EQ(world.events[3], "launch int a.large z2");
  EXPECT_EQ(world.states.front(), IntentState::refused);
}

TEST_F(LauncherTest, SendsTheSameCallAgainWhenTheOutcomeIsUnknown) {
  world.answers = {fail(ErrorKind::timeout, "").value(), fail(ErrorKind::unavailable, "").value()};
  ASSERT_TRUE(launch().has_value());
  ASSERT_EQ(world.tokens.size(), 3U);
  EXPECT_EQ(world.tokens[0], world.tokens[2]);
  EXPECT_EQ(std::count(world.events.begin(), world.events.end(), "intent"), 1);
}

TEST_F(LauncherTest, EndsAMachineOfAnotherMarketThanThePools) {
  pool.launch_template.name =
      "t";  // The world's machines are on-demand, and the first try is spot.
  const auto launched = launch();
  ASSERT_FALSE(launched.has_value());
  EXPECT_NE(launched.error().message.find("against the pool's on_demand"), std::string::npos);
  EXPECT_EQ(world.events.back(), "terminate");
  EXPECT_EQ(world.states.back(), IntentState::ended);
}

TEST_F(LauncherTest, StopsAtARefusalThatIsNotAboutRoom) {
  world.answers = {fail(ErrorKind::forbidden, "no", "", "UnauthorizedOperation").value()};
  EXPECT_EQ(launch().error().kind, ErrorKind::forbidden);
  EXPECT_EQ(world.tokens.size(), 1U);
}

TEST_F(LauncherTest, NamesEveryTryWhenNoOfferingHasRoom) {
  for (int i = 0; i < 4; ++i) {
    world.answers.push_back(
        fail(ErrorKind::capacity_unavailable, "", "", "InsufficientInstanceCapacity").value());
  }
  const Error error = launch().error();
  EXPECT_EQ(error.code, "E0412");
  EXPECT_NE(error.message.find("tried 4 offerings"), std::string::npos);
}

TEST_F(LauncherTest, ConnectsToNobodyWithoutAPinnedKey) {
  pool.boot_timeout = 30s;
  EXPECT_EQ(reach().code, "E0420");
  EXPECT_TRUE(world.events.empty());
}

TEST_F(LauncherTest, WaitsForAConsoleNoLongerThanForTheMachine) {
  pool.boot_timeout = 30s;
  world.asleep_by = &clock;
  const TimePoint before = clock.now();
  EXPECT_EQ(reach().code, "E0420");
  EXPECT_LT(clock.now() - before, 34s);
}

TEST_F(LauncherTest, StopsAtOnceWhenAnotherMachineAnswers) {
  world.console =
      "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 "
      "AAAAC3NzaC1lZDI1NTE5AAAAIJthMLfbjqUedf8S+m7fzyRh8gV2LZLaa9Sj+pJTOCC8 "
      "x\n-----END SSH HOST KEY KEYS-----\n";
  world.connect_error = fail(ErrorKind::unauthenticated, "other", "", "HostKeyMismatch").value();
  EXPECT_EQ(reach().code, "E0421");
  EXPECT_EQ(world.events.size(), 1U);
}

Task<Result<int>> never(Clock* clock) {
  co_await clock->sleep(1h);
  co_return 1;
}

TEST(WithDeadline, EndsWorkThatTakesTooLong) {
  boost::asio::io_context context;
  simulation::VirtualClock clock(context);
  Result<int> out = 0;
  const auto doing = [](simulation::VirtualClock* used, Result<int>* to) -> Task<> {
    *to = co_await with_deadline(*used, 5s, never(used));
  };
  const TimePoint before = clock.now();
  ASSERT_TRUE(clock.run(doing(&clock, &out)));
  EXPECT_EQ(out.error().kind, ErrorKind::timeout);
  EXPECT_EQ(clock.now() - before, 5s);
}

/// Runs tasks beside each other and notes when each ended.
struct BudgetTest : testing::Test {
  boost::asio::io_context context;
  simulation::VirtualClock clock{context};
  Log log{LogLevel::off};
  CallBudget budget{clock, log};
  std::vector<std::string> order;
  Duration started = clock.monotonic();

  Task<> take(std::string name, std::string action, CallPriority priority, int resources) {
    Task<> waiting = budget.acquire(std::move(action), priority, resources);
    co_await std::move(waiting);
    order.push_back(std::move(name));
  }
  Task<> take_again(std::string name, std::string action) {
    Task<> waiting = budget.acquire_again(std::move(action));
    co_await std::move(waiting);
    order.push_back(std::move(name));
  }
  double seconds() const {
    return std::chrono::duration<double>(clock.monotonic() - started).count();
  }
  static Task<> all(TaskScope* scope) { co_await scope->join(); }
};

TEST_F(BudgetTest, RunsAtFourFifthsOfWhatEc2Grants) {
  TaskScope scope(context.get_executor());
  // Five at once, then 1.6 a second.
  for (int i = 0; i < 20; ++i) scope.spawn(take("r", "RunInstances", CallPriority::launch, 1));
  EXPECT_TRUE(clock.run(all(&scope)));
  EXPECT_NEAR(seconds(), 15 / 1.6, 0.5);
}

TEST_F(BudgetTest, CountsMachinesInABucketOfTheirOwn) {
  TaskScope scope(context.get_executor());
  for (int i = 0; i < 3; ++i) scope.spawn(take("r", "RunInstances", CallPriority::launch, 400));
  EXPECT_TRUE(clock.run(all(&scope)));
  // 1,000 at once, and 200 more at 2 a second.
  EXPECT_NEAR(seconds(), 200 / 2.0, 2);
}

TEST_F(BudgetTest, DoesNotCountMachinesThatEc2DidNotGive) {
  TaskScope scope(context.get_executor());
  scope.spawn(take("r", "RunInstances", CallPriority::launch, 1000));
  EXPECT_TRUE(clock.run(all(&scope)));
  budget.give_back("RunInstances", 600);
  TaskScope after(context.get_executor());
  after.spawn(take("r", "RunInstances", CallPriority::launch, 600));
  EXPECT_TRUE(clock.run(all(&after)));
  EXPECT_LT(seconds(), 1);
}

TEST_F(BudgetTest, LetsTheMoreUrgentGoFirst) {
  TaskScope scope(context.get_executor());
  for (int i = 0; i < 5; ++i) scope.spawn(take("x", "RunInstances", CallPriority::launch, 0));
  scope.spawn(take("housekeeping", "RunInstances", CallPriority::housekeeping, 0));
  scope.spawn(take("tag", "RunInstances", CallPriority::tag, 0));
  scope.spawn(take("terminate", "RunInstances", CallPriority::terminate, 0));
  EXPECT_TRUE(clock.run(all(&scope)));
  EXPECT_EQ((std::vector<std::string>(order.end() - 3, order.end())),
            (std::vector<std::string>{"terminate", "tag", "housekeeping"}));
}

TEST_F(BudgetTest, LetsACallGoOnBeforeOthersBegin) {
  TaskScope scope(context.get_executor());
  const auto first = [&](const char* name) {
    scope.spawn(take(name, "GetConsoleOutput", CallPriority::describe, 0));
  };
  for (int i = 0; i < 110; ++i) first("first");
  scope.spawn(take_again("again", "GetConsoleOutput"));
  first("last");
  EXPECT_TRUE(clock.run(all(&scope)));
  // The bucket holds a hundred.
  EXPECT_EQ(order.at(100), "again");
  EXPECT_EQ(order.back(), "last");
}

TEST_F(BudgetTest, SlowsDownWhenItIsThrottledAndRecovers) {
  TaskScope scope(context.get_executor());
  for (int i = 0; i < 10; ++i)
    scope.spawn(take("d", "DescribeInstances", CallPriority::describe, 0));
  EXPECT_TRUE(clock.run(all(&scope)));
  EXPECT_LT(seconds(), 0.1);
  budget.throttled("DescribeInstances");
  TaskScope after(context.get_executor());
  for (int i = 0; i < 4; ++i)
    after.spawn(take("d", "DescribeInstances", CallPriority::describe, 0));
  EXPECT_TRUE(clock.run(all(&after)));
  // One a second and then 70 % of it, instead of sixteen.
  EXPECT_GT(seconds(), 3);
  EXPECT_LT(seconds(), 9);
}

}  // namespace
}  // namespace muster
