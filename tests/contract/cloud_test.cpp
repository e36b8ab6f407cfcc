/// The contract of the Cloud ports, held against whatever answers at AWS_ENDPOINT_URL: ec2sim, and
/// moto as an emulator that is not ours (tests/integration/test_cloud_contract.py). Built with
/// MUSTER_SIMULATED_CLOUD it is held against the cloud of the controller's simulator.
///
/// Where moto 5.2 answers otherwise than EC2, the test says so and holds moto to its own answer:
///   RunInstances              launches again for a used token, and launches an unknown image
///   DescribeInstances         fails (500) on the filter client-token
///   ModifyInstanceAttribute   changes the type of a running machine
///   CreateFleet               launches again for a used token
///   DescribeNetworkInterfaces shows no tags of a launch
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <set>

#ifdef MUSTER_SIMULATED_CLOUD
#include "simulation/sim_ports.hpp"
#else
#include "adapters/aws/credentials.hpp"
#include "adapters/aws/ec2_cloud.hpp"
#include "adapters/aws/endpoint.hpp"
#include "adapters/http/curl_transport.hpp"
#include "adapters/system/real_clock.hpp"
#endif
#include "service/call_budget.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// The kind and code of a failure; `cancelled` and nothing for a success.
template <class T>
ErrorKind kind_of(const Result<T>& result) {
  return result ? ErrorKind::cancelled : result.error().kind;
}
template <class T>
std::string code_of(const Result<T>& result) {
  return result ? "" : result.error().code;
}

#ifdef MUSTER_SIMULATED_CLOUD

/// The simulator's cloud, without its faults.
class CloudUnderTest : public testing::Test {
 protected:
  void run_to_end(Task<> task) { EXPECT_TRUE(world_.clock.run(std::move(task))); }
  /// What machines do by themselves in `time`.
  Task<int> nap() {
    co_await world_.clock.sleep(1s);
    world_.settle();
    co_return 0;
  }
  [[nodiscard]] static std::string image_name() { return "debian-12-amd64"; }
  // What a fleet's template would say is in the frozen call; keys are of no use without machines.
  static constexpr bool kHasTemplatesAndKeys = false;

 private:
  static simulation::SimWorld::Options calm() {
    simulation::SimWorld::Options options;
    options.has_faults = false;
    options.cloud = ec2model::default_world(1);
    options.cloud.default_kind = ec2model::MachineKind::record;
    options.cloud.vcpu_quota = 100'000;
    return options;
  }
  simulation::SimWorld world_{calm(), simulation::Faults{}};

 protected:
  Clock& clock_ = world_.clock;
  Log log_{LogLevel::off};
  simulation::SimCloud cloud_{(world_.begin_incarnation(), world_)};
};

#else

/// EC2's wire, and whoever answers.
class CloudUnderTest : public testing::Test {
 protected:
  void SetUp() override {
    if (variable("AWS_ENDPOINT_URL").empty()) {
      GTEST_SKIP() << "run by tests/integration, which starts the clouds";
    }
  }

  void run_to_end(Task<> task) {
    boost::asio::co_spawn(context_, std::move(task), [](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
    });
    context_.restart();
    context_.run();
  }
  Task<int> nap() {
    co_await clock_.sleep(20ms);
    co_return 0;
  }
  [[nodiscard]] static std::string image_name() { return variable("MUSTER_CLOUD_IMAGE"); }
  static constexpr bool kHasTemplatesAndKeys = true;

  boost::asio::io_context context_;
  system::RealClock clock_{context_.get_executor()};
  system::SystemRandom random_;
  Log log_{LogLevel::off};
  http::CurlTransport transport_{context_.get_executor(), {}};
  aws::CredentialsChain credentials_{{transport_, clock_, random_, log_, {}},
                                     {{"AWS_ACCESS_KEY_ID", variable("AWS_ACCESS_KEY_ID")},
                                      {"AWS_SECRET_ACCESS_KEY", variable("AWS_SECRET_ACCESS_KEY")}},
                                     aws::Profile{}};
  aws::Ec2Client client_{transport_, credentials_, clock_,
                         random_,    log_,         {variable("AWS_ENDPOINT_URL"), "us-east-1"}};
  aws::Ec2Cloud cloud_{client_};
};

#endif

class CloudContract : public CloudUnderTest {
 protected:
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    const auto doing = [](Task<T> work, std::optional<T>* to) -> Task<> {
      to->emplace(co_await std::move(work));
    };
    run_to_end(doing(std::move(task), &result));
    return std::move(*result);
  }

  [[nodiscard]] bool is_moto() const { return variable("MUSTER_CLOUD") == "moto"; }

  ImageView image() {
    const std::string wanted = image_name();
    const auto found = run(cloud_.find_images(wanted, is_moto() ? "amazon" : "self"));
    EXPECT_TRUE(found && !found->empty()) << wanted;
    return found->front();
  }
  LaunchSpec spec(int count = 1) {
    LaunchSpec made;
    const ImageView found = image();
    made.image = found.id;
    made.root_device = found.root_device;
    made.offering = {"t3.large", CapacityType::on_demand, subnet().id, ""};
    made.count = count;
    made.tags = {{"muster:test", test_name()}};
    return made;
  }
  SubnetView subnet() {
    const auto subnets = run(cloud_.list_subnets({}));
    EXPECT_TRUE(subnets && !subnets->empty());
    return subnets->front();
  }
  static std::string test_name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  ClientToken token(const std::string& mark = "a") { return ClientToken(test_name() + "-" + mark); }
  std::vector<CloudInstance> launch(const LaunchSpec& wanted, const std::string& mark = "a") {
    auto answer = run(cloud_.launch(cloud_.freeze_launch(wanted, token(mark))));
    EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().describe());
    return answer ? answer->instances : std::vector<CloudInstance>{};
  }
  CloudInstance see(const InstanceId& id) {
    InstanceFilter filter;
    filter.ids = {id};
    return list(filter).size() == 1 ? list(filter).front() : CloudInstance{};
  }
  std::vector<CloudInstance> list(const InstanceFilter& filter) {
    const auto found = run(cloud_.list_instances(filter));
    EXPECT_TRUE(found.has_value()) << (found ? "" : found.error().describe());
    return found.value_or(std::vector<CloudInstance>{});
  }
  void wait_for(const InstanceId& id, InstanceState state) {
    for (int i = 0; i < 200 && see(id).state != state; ++i) run(nap());
    EXPECT_EQ(see(id).state, state);
  }
};

TEST_F(CloudContract, LaunchesWithTagsAndShowsThem) {
  const auto launched = launch(spec(2));
  ASSERT_EQ(launched.size(), 2U);
  EXPECT_FALSE(launched[0].private_address.empty());
  EXPECT_EQ(launched[0].tags.at("muster:test"), test_name());
  InstanceFilter filter;
  filter.tags = {{"muster:test", test_name()}};
  filter.states = {InstanceState::pending, InstanceState::running};
  EXPECT_EQ(list(filter).size(), 2U);
  filter.tags = {{"muster:test", "other"}};
  EXPECT_TRUE(list(filter).empty());
}

TEST_F(CloudContract, LaunchesOncePerToken) {
  const LaunchSpec wanted = spec();
  const auto first = launch(wanted);
  const auto again = launch(wanted);
  ASSERT_FALSE(first.empty() || again.empty());
  InstanceFilter filter;
  filter.client_token = token();
  if (is_moto()) {
    EXPECT_NE(first[0].id, again[0].id);
    EXPECT_EQ(kind_of(run(cloud_.list_instances(filter))), ErrorKind::unavailable);
    return;
  }
  EXPECT_EQ(first[0].id, again[0].id);
  EXPECT_EQ(list(filter).size(), 1U);
}

TEST_F(CloudContract, RefusesATokenWithOtherParameters) {
  LaunchSpec wanted = spec();
  launch(wanted);
  wanted.offering.instance_type = "m5.large";
  const auto answer = run(cloud_.launch(cloud_.freeze_launch(wanted, token())));
  if (is_moto()) {
    EXPECT_TRUE(answer.has_value());
    return;
  }
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(kind_of(answer), ErrorKind::conflict);
}

TEST_F(CloudContract, NamesWhatDoesNotExist) {
  LaunchSpec wanted = spec();
  wanted.image = ImageId("ami-00000000000000000");
  const auto image_answer = run(cloud_.launch(cloud_.freeze_launch(wanted, token("i"))));
  EXPECT_EQ(code_of(image_answer), is_moto() ? "" : "InvalidAMIID.NotFound");
  wanted = spec();
  wanted.offering.subnet = "subnet-00000000000000000";
  const auto subnet_answer = run(cloud_.launch(cloud_.freeze_launch(wanted, token("s"))));
  EXPECT_EQ(code_of(subnet_answer), "InvalidSubnetID.NotFound");
  const Status ended = run(cloud_.terminate({InstanceId("i-00000000000000000")}));
  EXPECT_EQ(kind_of(ended), ErrorKind::not_found);
}

TEST_F(CloudContract, EndsMachinesAndSaysSo) {
  const auto launched = launch(spec());
  ASSERT_TRUE(run(cloud_.terminate({launched.at(0).id})));
  wait_for(launched[0].id, InstanceState::terminated);
  EXPECT_TRUE(run(cloud_.terminate({launched[0].id})));
}

TEST_F(CloudContract, StopsAndStartsAndKeepsTheAddress) {
  const auto launched = launch(spec());
  const InstanceId id = launched.at(0).id;
  wait_for(id, InstanceState::running);
  ASSERT_TRUE(run(cloud_.stop({id}, false)));
  wait_for(id, InstanceState::stopped);
  InstanceChange change;
  change.instance_type = "t3.xlarge";
  EXPECT_TRUE(run(cloud_.modify(id, change)));
  ASSERT_TRUE(run(cloud_.start({id})));
  wait_for(id, InstanceState::running);
  EXPECT_EQ(see(id).instance_type, "t3.xlarge");
  EXPECT_EQ(see(id).private_address, launched[0].private_address);
  const Status refused = run(cloud_.modify(id, change));
  if (is_moto()) {
    EXPECT_TRUE(refused.has_value());
  } else {
    EXPECT_EQ(kind_of(refused), ErrorKind::conflict);
  }
}

TEST_F(CloudContract, ProtectsFromTermination) {
  const InstanceId id = launch(spec()).at(0).id;
  InstanceChange change;
  change.is_termination_protected = true;
  ASSERT_TRUE(run(cloud_.modify(id, change)));
  EXPECT_EQ(kind_of(run(cloud_.terminate({id}))), ErrorKind::conflict);
  change.is_termination_protected = false;
  ASSERT_TRUE(run(cloud_.modify(id, change)));
  EXPECT_TRUE(run(cloud_.terminate({id})));
}

TEST_F(CloudContract, TagsLater) {
  const InstanceId id = launch(spec()).at(0).id;
  ASSERT_TRUE(run(cloud_.tag({id.value()}, {{"muster:later", "x y"}})));
  EXPECT_EQ(see(id).tags.at("muster:later"), "x y");
}

TEST_F(CloudContract, AnswersTheConsoleWithoutAnErrorEarlyOn) {
  const InstanceId id = launch(spec()).at(0).id;
  EXPECT_TRUE(run(cloud_.console_output(id)));
}

TEST_F(CloudContract, LaunchesSpot) {
  LaunchSpec wanted = spec();
  wanted.offering.capacity_type = CapacityType::spot;
  const auto launched = launch(wanted);
  ASSERT_EQ(launched.size(), 1U);
  EXPECT_TRUE(see(launched[0].id).is_spot);
  if (!is_moto()) {
    wait_for(launched[0].id, InstanceState::running);
    EXPECT_EQ(kind_of(run(cloud_.stop({launched[0].id}, false))), ErrorKind::conflict);
  }
}

TEST_F(CloudContract, LaunchesAFleetFromATemplate) {
  if (!kHasTemplatesAndKeys) GTEST_SKIP() << "not played by the simulator";
  LaunchSpec data = spec();
  data.offering = {};
  const auto saved = run(cloud_.save_template("fleet-template", data, token("t")));
  ASSERT_TRUE(saved.has_value()) << saved.error().describe();
  FleetSpec fleet;
  fleet.launch_template = *saved;
  const SubnetView place = subnet();
  fleet.offerings = {{"t3.large", CapacityType::on_demand, place.id, place.zone},
                     {"m5.large", CapacityType::on_demand, place.id, place.zone}};
  fleet.count = 3;
  fleet.tags = {{"muster:fleet", "1"}};
  const FrozenCall call = cloud_.freeze_fleet(fleet, token("f"));
  const auto answer = run(cloud_.launch(call));
  ASSERT_TRUE(answer.has_value()) << answer.error().describe();
  ASSERT_EQ(answer->instances.size(), 3U);
  const auto again = run(cloud_.launch(call));
  ASSERT_TRUE(again.has_value());
  if (is_moto()) {
    EXPECT_NE(again->instances.at(0).id, answer->instances[0].id);
  } else {
    EXPECT_EQ(again->instances.at(0).id, answer->instances[0].id);
  }
  const CloudInstance seen = see(answer->instances[0].id);
  EXPECT_EQ(seen.tags.at("muster:fleet"), "1");
  EXPECT_EQ(seen.tags.at("muster:test"), test_name());
  EXPECT_TRUE(run(cloud_.delete_template(saved->id)));
}

TEST_F(CloudContract, AddsAVersionToATemplateThatIsThere) {
  if (!kHasTemplatesAndKeys) GTEST_SKIP() << "not played by the simulator";
  LaunchSpec data = spec();
  const auto first = run(cloud_.save_template("versions", data, token("1")));
  ASSERT_TRUE(first.has_value());
  data.monitoring = true;
  const auto second = run(cloud_.save_template("versions", data, token("2")));
  ASSERT_TRUE(second.has_value()) << second.error().describe();
  EXPECT_EQ(second->id, first->id);
  EXPECT_EQ(second->version, "2");
  const auto listed = run(cloud_.list_templates({"versions"}));
  ASSERT_TRUE(listed && listed->size() == 1);
  EXPECT_EQ(listed->front().latest_version, 2);
  EXPECT_EQ(listed->front().default_version, 1);
  EXPECT_TRUE(run(cloud_.delete_template(first->id)));
}

TEST_F(CloudContract, ImportsAKeyOnce) {
  if (!kHasTemplatesAndKeys) GTEST_SKIP() << "not played by the simulator";
  const std::string line =
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDNlZWRzZWVkc2VlZHNlZWRzZWVkc2VlZHNlZWRzZWVk muster";
  const auto made = run(cloud_.import_key("k", line, {{"muster:key", "1"}}));
  ASSERT_TRUE(made.has_value()) << made.error().describe();
  EXPECT_FALSE(made->fingerprint.empty());
  EXPECT_EQ(kind_of(run(cloud_.import_key("k", line, {}))), ErrorKind::conflict);
  EXPECT_TRUE(run(cloud_.delete_key("k")));
  EXPECT_TRUE(run(cloud_.delete_key("k")));
}

TEST_F(CloudContract, ListsWhatMachinesAreMadeOf) {
  const InstanceId id = launch(spec()).at(0).id;
  const auto volumes = run(cloud_.list_volumes("muster:test", test_name()));
  ASSERT_TRUE(volumes.has_value());
  ASSERT_EQ(volumes->size(), 1U);
  EXPECT_EQ(volumes->front().instance, id.value());
  const auto interfaces = run(cloud_.list_interfaces("muster:test", test_name()));
  ASSERT_TRUE(interfaces.has_value());
  if (is_moto()) {
    EXPECT_TRUE(interfaces->empty());
  } else {
    ASSERT_EQ(interfaces->size(), 1U);
    EXPECT_EQ(interfaces->front().instance, id.value());
  }
}

TEST_F(CloudContract, KnowsWhatIsSold) {
  const auto types = run(cloud_.list_types({"t3.large", "m7g.large"}));
  ASSERT_TRUE(types.has_value()) << types.error().describe();
  ASSERT_EQ(types->size(), 2U);
  for (const InstanceTypeView& type : *types) {
    EXPECT_EQ(type.vcpu_count, 2);
    EXPECT_EQ(type.memory_mib, 8192);
    EXPECT_EQ(type.architecture, type.name == "t3.large" ? "x86_64" : "arm64");
    EXPECT_TRUE(type.is_spot_sold);
  }
  const auto offerings = run(cloud_.list_offerings({"t3.large"}));
  ASSERT_TRUE(offerings.has_value());
  std::set<std::string> zones;
  for (const OfferingView& offering : *offerings) zones.insert(offering.zone);
  EXPECT_TRUE(zones.contains("us-east-1a"));
  EXPECT_GE(zones.size(), 3U);
  EXPECT_EQ(code_of(run(cloud_.list_types({"x9.tiny"}))), "InvalidInstanceType");
}

TEST_F(CloudContract, KnowsWhatSpotCosts) {
  const auto prices = run(cloud_.spot_prices({"t3.large"}));
  ASSERT_TRUE(prices.has_value()) << prices.error().describe();
  ASSERT_GE(prices->size(), 3U);
  for (const SpotPriceView& price : *prices) {
    EXPECT_EQ(price.instance_type, "t3.large");
    EXPECT_GT(price.usd_per_hour, 0);
    EXPECT_LT(price.usd_per_hour, 10);
  }
}

TEST_F(CloudContract, FindsGroupsByNameInTheirNetwork) {
  const SubnetView place = subnet();
  const auto groups = run(cloud_.find_groups({"default"}, place.vpc));
  ASSERT_TRUE(groups && groups->size() == 1);
  EXPECT_EQ(groups->front().vpc, place.vpc);
}

/// Through the budget, with EC2's own buckets played: the calls are counted by the test around it.
TEST_F(CloudContract, ThousandMachinesTakeFewCallsWithinTheBudget) {
  if (is_moto()) GTEST_SKIP() << "the emulator plays no buckets";
  CallBudget budget(clock_, log_);
  BudgetedCloud cloud(cloud_, cloud_, cloud_, budget);
  std::set<std::string> ids;
  const LaunchSpec wanted = spec(250);
  for (int i = 0; i < 4; ++i) {
    const auto answer = run(cloud.launch(cloud.freeze_launch(wanted, token(std::to_string(i)))));
    ASSERT_TRUE(answer.has_value()) << answer.error().describe();
    for (const CloudInstance& one : answer->instances) ids.insert(one.id.value());
  }
  EXPECT_EQ(ids.size(), 1000U);
  InstanceFilter filter;
  filter.tags = {{"muster:test", test_name()}};
  const auto seen = run(cloud.list_instances(filter));
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->size(), 1000U);
  std::vector<InstanceId> all;
  for (const std::string& id : ids) all.emplace_back(id);
  EXPECT_TRUE(run(cloud.terminate(all)));
}

}  // namespace
}  // namespace muster
