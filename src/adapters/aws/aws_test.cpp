#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <deque>
#include <fstream>

#include "adapters/aws/credentials.hpp"
#include "adapters/aws/ec2_client.hpp"
#include "adapters/aws/ec2_cloud.hpp"
#include "adapters/aws/endpoint.hpp"
#include "adapters/aws/retry.hpp"
#include "simulation/virtual_clock.hpp"

namespace muster::aws {
namespace {

using namespace std::chrono_literals;

/// Answers in order; keeps what was asked.
class FakeTransport : public HttpTransport {
 public:
  Task<Result<HttpResponse>> send(HttpRequest request) override {
    asked.push_back(request);
    if (answers.empty()) co_return fail(ErrorKind::unavailable, "nobody there");
    Result<HttpResponse> answer = answers.front();
    answers.pop_front();
    co_return answer;
  }
  std::deque<Result<HttpResponse>> answers;
  std::vector<HttpRequest> asked;
};

HttpResponse xml_error(int status, const std::string& code) {
  return {status,
          {},
          "<Response><Errors><Error><Code>" + code +
              "</Code><Message>m</Message></Error>"
              "</Errors><RequestID>r</RequestID></Response>"};
}

struct World {
  boost::asio::io_context context;
  simulation::VirtualClock clock{context};
  simulation::SeededRandom random{7};
  FakeTransport transport;
  Log log{LogLevel::off};
  CredentialsChain credentials{
      {transport, clock, random, log, {}},
      Environment{{"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", "s"}},
      Profile{}};
  Ec2ClientOptions options{"https://ec2.us-east-1.amazonaws.com", "us-east-1"};
  Ec2Client client{transport, credentials, clock, random, log, options};

  Result<wire::XmlElement> call(const std::string& action) {
    Result<wire::XmlElement> out = fail(ErrorKind::cancelled, "");
    Ec2Client asking(transport, credentials, clock, random, log, options);
    const auto doing = [](Ec2Client* by, std::string name, Result<wire::XmlElement>* to) -> Task<> {
      *to = co_await by->call(name, form_of(name, {}), 5s);
    };
    EXPECT_TRUE(clock.run(doing(&asking, action, &out)));
    return out;
  }
};

TEST(Classify, LooksAtTheCodeBeforeTheStatus) {
  EXPECT_EQ(classify("InsufficientInstanceCapacity", 500), ErrorKind::capacity_unavailable);
  EXPECT_EQ(classify("RequestLimitExceeded", 503), ErrorKind::throttled);
  EXPECT_EQ(classify("InternalError", 500), ErrorKind::unavailable);
  EXPECT_EQ(classify("", 502), ErrorKind::unavailable);
  EXPECT_EQ(classify("", 429), ErrorKind::throttled);
  EXPECT_EQ(classify("InvalidAMIID.NotFound", 400), ErrorKind::not_found);
  EXPECT_EQ(classify("VcpuLimitExceeded", 400), ErrorKind::quota_exceeded);
  EXPECT_EQ(classify("UnauthorizedOperation", 403), ErrorKind::forbidden);
  EXPECT_EQ(classify("SomethingNew", 400), ErrorKind::invalid_input);
}

TEST(Ec2Client, DoesNotRetryACapacityError) {
  World world;
  world.transport.answers = {xml_error(500, "InsufficientInstanceCapacity")};
  const auto answer = world.call("RunInstances");
  EXPECT_EQ(answer.error().kind, ErrorKind::capacity_unavailable);
  EXPECT_EQ(world.transport.asked.size(), 1U);
}

TEST(Ec2Client, RetriesWithTheSameBodySignedAnew) {
  World world;
  world.transport.answers = {xml_error(503, "RequestLimitExceeded"),
                             xml_error(500, "InternalError"),
                             HttpResponse{200, {}, "<RunInstancesResponse/>"}};
  ASSERT_TRUE(world.call("RunInstances").has_value());
  ASSERT_EQ(world.transport.asked.size(), 3U);
  EXPECT_EQ(world.transport.asked[0].body, world.transport.asked[2].body);
  EXPECT_EQ(header_value(world.transport.asked[2].headers, "amz-sdk-request"), "attempt=3; max=3");
}

TEST(Ec2Client, TellsTheBudgetOfEachRepetitionAndOfTooFast) {
  World world;
  std::vector<std::string> told;
  const auto nothing = []() -> Task<> { co_return; };
  world.options.before_repetition = [&](const std::string& action) {
    told.push_back("again " + action);
    return nothing();
  };
  world.options.throttled = [&](const std::string& action) { told.push_back("slow " + action); };
  world.transport.answers = {xml_error(503, "RequestLimitExceeded"),
                             xml_error(500, "InternalError"),
                             HttpResponse{200, {}, "<RunInstancesResponse/>"}};
  ASSERT_TRUE(world.call("RunInstances").has_value());
  EXPECT_EQ(told, (std::vector<std::string>{"slow RunInstances", "again RunInstances",
                                            "again RunInstances"}));
  told.clear();
  // The last counts too, whatever the call comes to.
  world.transport.answers = {xml_error(500, "InternalError"), xml_error(500, "InternalError"),
                             xml_error(503, "RequestLimitExceeded")};
  EXPECT_EQ(world.call("RunInstances").error().kind, ErrorKind::unavailable);
  EXPECT_EQ(told, (std::vector<std::string>{"again RunInstances", "again RunInstances",
                                            "slow RunInstances"}));
}

TEST(Ec2Client, GivesUpAfterThreeAttempts) {
  World world;
  for (int i = 0; i < 9; ++i) world.transport.answers.emplace_back(xml_error(503, "Unavailable"));
  EXPECT_EQ(world.call("DescribeInstances").error().kind, ErrorKind::unavailable);
  EXPECT_EQ(world.transport.asked.size(), 3U);
}

TEST(Ec2Client, CorrectsASkewedClock) {
  World world;
  HttpResponse refusal = xml_error(400, "RequestExpired");
  refusal.headers = {{"Date", "Wed, 15 Nov 2023 00:13:20 GMT"}};  // Two hours ahead.
  world.transport.answers = {refusal, HttpResponse{200, {}, "<DescribeImagesResponse/>"}};
  ASSERT_TRUE(world.call("DescribeImages").has_value());
  EXPECT_TRUE(
      header_value(world.transport.asked[1].headers, "x-amz-date").starts_with("20231115T0013"));
}

TEST(Ec2Client, CorrectsTheClockOnceAndWithoutWaiting) {
  World world;
  HttpResponse behind = xml_error(401, "AuthFailure");
  behind.headers = {{"Date", "Tue, 14 Nov 2023 20:13:20 GMT"}};  // Two hours behind.
  world.transport.answers = {behind, xml_error(401, "AuthFailure"), xml_error(401, "AuthFailure")};
  const auto refused = world.call("DescribeImages");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::unauthenticated);
  EXPECT_TRUE(
      header_value(world.transport.asked[1].headers, "x-amz-date").starts_with("20231114T2013"));
  World near;
  HttpResponse little = xml_error(401, "AuthFailure");
  little.headers = {{"Date", "Tue, 14 Nov 2023 22:16:20 GMT"}};  // Three minutes: no skew.
  near.transport.answers = {little, xml_error(401, "AuthFailure")};
  static_cast<void>(near.call("DescribeImages"));
  EXPECT_TRUE(
      header_value(near.transport.asked[1].headers, "x-amz-date").starts_with("20231114T2213"));
}

TEST(Ec2Client, CountsAnAnswerThatIsNoXmlByItsStatus) {
  EXPECT_EQ(error_of("X", 502, "<html>bad gateway</html>").kind, ErrorKind::unavailable);
  EXPECT_EQ(error_of("X", 400, "rubbish").kind, ErrorKind::invalid_input);
  World world;
  world.transport.answers = {HttpResponse{200, {}, "<html/>"}};
  EXPECT_EQ(world.call("DescribeImages").error().kind, ErrorKind::corrupt);
}

TEST(Retry, NeverWaitsLongerThanItsCeiling) {
  simulation::SeededRandom random(3);
  RetryPolicy policy(random, 10);
  const Error error = fail(ErrorKind::throttled, "").value();
  for (int attempt = 1; attempt < 10; ++attempt) {
    const auto delay = policy.delay_after(attempt, error, std::nullopt);
    ASSERT_TRUE(delay.has_value());
    EXPECT_LE(*delay, std::min<Duration>(20s, 1s * (1 << (attempt - 1))));
  }
  EXPECT_FALSE(policy.delay_after(10, error, std::nullopt).has_value());
}

TEST(Retry, StopsWhenTheQuotaIsUsedUp) {
  simulation::SeededRandom random(3);
  RetryPolicy policy(random, 3);
  const Error error = fail(ErrorKind::unavailable, "").value();
  int granted = 0;
  while (policy.delay_after(1, error, std::nullopt)) ++granted;
  EXPECT_EQ(granted, 500 / 14);
  policy.succeeded(2);
  EXPECT_TRUE(policy.delay_after(1, error, std::nullopt).has_value());
}

TEST(FreezeLaunch, GivesTheSameBytesForTheSameRequest) {
  World world;
  const Ec2Cloud cloud(world.client);
  LaunchSpec spec;
  spec.offering = {"t3.large", CapacityType::spot, "subnet-1", "z"};
  spec.image = ImageId("ami-1");
  spec.root_device = "/dev/xvda";
  spec.disk.size_gib = 40;
  spec.tags = {{"muster:pool", "p"}};
  const FrozenCall call = cloud.freeze_launch(spec, ClientToken("t"));
  EXPECT_EQ(call.body, cloud.freeze_launch(spec, ClientToken("t")).body);
  for (const char* part :
       {"ClientToken=t", "MetadataOptions.HttpTokens=required",
        "MetadataOptions.HttpPutResponseHopLimit=1", "InstanceInitiatedShutdownBehavior=terminate",
        "InstanceMarketOptions.MarketType=spot", "BlockDeviceMapping.1.DeviceName=%2Fdev%2Fxvda",
        "SubnetId=subnet-1", "TagSpecification.4.ResourceType=spot-instances-request"}) {
    EXPECT_NE(call.body.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(call.body.find("IamInstanceProfile"), std::string::npos);
}

TEST(FreezeLaunch, PutsEverythingOnTheInterfaceForAPublicAddress) {
  World world;
  const Ec2Cloud cloud(world.client);
  LaunchSpec spec;
  spec.offering = {"t3.large", CapacityType::on_demand, "subnet-1", "z"};
  spec.public_ip = true;
  spec.security_groups = {"sg-1"};
  const std::string body = cloud.freeze_launch(spec, ClientToken("t")).body;
  EXPECT_NE(body.find("NetworkInterface.1.SubnetId=subnet-1"), std::string::npos);
  EXPECT_NE(body.find("NetworkInterface.1.SecurityGroupId.1=sg-1"), std::string::npos);
  EXPECT_EQ(body.find("&SubnetId="), std::string::npos);
}

TEST(Endpoint, FollowsTheOrderOfSources) {
  Profile profile;
  profile.name = "ci";
  profile.all["ci"].values = {{"endpoint_url", "http://p"}};
  profile.services = {{"ec2.endpoint_url", "http://s"}};
  Environment environment{{"AWS_ENDPOINT_URL", "http://e"}, {"AWS_ENDPOINT_URL_EC2", "http://x"}};
  EXPECT_EQ(find_endpoint("ec2", "us-east-1", environment, profile)->value, "http://x");
  environment.erase("AWS_ENDPOINT_URL_EC2");
  EXPECT_EQ(find_endpoint("ec2", "us-east-1", environment, profile)->value, "http://e");
  EXPECT_EQ(find_endpoint("ec2", "us-east-1", {}, profile)->value, "http://s");
  profile.services.clear();
  EXPECT_EQ(find_endpoint("ec2", "us-east-1", {}, profile)->value, "http://p");
  EXPECT_EQ(find_endpoint("ec2", "cn-north-1", {}, Profile{})->value,
            "https://ec2.cn-north-1.amazonaws.com.cn");
  environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true";
  EXPECT_EQ(find_endpoint("ec2", "eu-west-1", environment, profile)->value,
            "https://ec2.eu-west-1.amazonaws.com");
  EXPECT_FALSE(find_endpoint("ec2", "bad region/", {}, Profile{}).has_value());
}

TEST(Endpoint, KnowsThePartitions) {
  const Environment fips{{"AWS_USE_FIPS_ENDPOINT", "true"}};
  const Environment dual{{"AWS_USE_DUALSTACK_ENDPOINT", "true"}};
  const auto at = [](const std::string& service, const std::string& region,
                     const Environment& environment) {
    return find_endpoint(service, region, environment, Profile{})->value;
  };
  EXPECT_EQ(at("ec2", "us-gov-west-1", {}), "https://ec2.us-gov-west-1.amazonaws.com");
  EXPECT_EQ(at("ec2", "us-gov-west-1", fips), "https://ec2-fips.us-gov-west-1.amazonaws.com");
  EXPECT_EQ(at("ec2", "eu-west-1", dual), "https://ec2.eu-west-1.api.aws");
  EXPECT_EQ(at("ec2", "cn-north-1", dual), "https://ec2.cn-north-1.api.amazonwebservices.com.cn");
  EXPECT_EQ(at("ec2", "eusc-de-east-1", {}), "https://ec2.eusc-de-east-1.amazonaws.eu");
  EXPECT_EQ(at("ec2", "us-isob-east-1", {}), "https://ec2.us-isob-east-1.sc2s.sgov.gov");
  EXPECT_FALSE(find_endpoint("ec2", "us-iso-east-1", dual, Profile{}).has_value());
  EXPECT_EQ(at("sts", "eu-west-1", {}), "https://sts.eu-west-1.amazonaws.com");
  EXPECT_EQ(at("sts", "eu-west-1", {{"AWS_STS_REGIONAL_ENDPOINTS", "legacy"}}),
            "https://sts.amazonaws.com");
}

TEST(FreezeLaunch, NamesATemplateAndWhatIsSetBesideIt) {
  World world;
  const Ec2Cloud cloud(world.client);
  LaunchSpec spec;
  spec.launch_template = {"lt-1", "ignored", "3"};
  spec.offering = {"t3.large", CapacityType::on_demand, "", ""};
  const std::string body = cloud.freeze_launch(spec, ClientToken("t")).body;
  EXPECT_NE(body.find("LaunchTemplate.LaunchTemplateId=lt-1"), std::string::npos);
  EXPECT_NE(body.find("LaunchTemplate.Version=3"), std::string::npos);
  EXPECT_EQ(body.find("LaunchTemplateName"), std::string::npos);
  EXPECT_EQ(body.find("ImageId"), std::string::npos);
}

TEST(FreezeFleet, AsksForOneMarketByItsStrategy) {
  World world;
  const Ec2Cloud cloud(world.client);
  FleetSpec spec;
  spec.offerings = {{"t3.large", CapacityType::spot, "subnet-1", "a"},
                    {"m5.large", CapacityType::spot, "subnet-2", "b"}};
  spec.count = 40;
  spec.launch_template = {"", "ci", ""};
  spec.tags = {{"muster:pool", "p"}};
  const std::string body = cloud.freeze_fleet(spec, ClientToken("t")).body;
  for (const char* part :
       {"Type=instant", "DefaultTargetCapacityType=spot", "price-capacity-optimized",
        "TotalTargetCapacity=40", "Overrides.2.SubnetId=subnet-2", "Overrides.2.AvailabilityZone=b",
        "LaunchTemplateName=ci", "Version=%24Default",
        "TagSpecification.2.ResourceType=instance"}) {
    EXPECT_NE(body.find(part), std::string::npos) << part;
  }
}

TEST(LoadProfile, MergesBothFiles) {
  std::string folder = testing::TempDir() + "/aws-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  std::ofstream(folder + "/config")
      << "[profile ci]\nregion = eu-west-1\naws_access_key_id = low\n";
  std::ofstream(folder + "/credentials") << "[ci]\naws_access_key_id = high\n";
  Environment environment{{"AWS_CONFIG_FILE", folder + "/config"},
                          {"AWS_SHARED_CREDENTIALS_FILE", folder + "/credentials"},
                          {"AWS_PROFILE", "ci"}};
  const auto profile = load_profile(environment);
  ASSERT_TRUE(profile.has_value());
  EXPECT_EQ(profile->get("aws_access_key_id"), "high");
  EXPECT_EQ(profile->get("region"), "eu-west-1");
  environment["AWS_PROFILE"] = "cii";
  const auto unknown = load_profile(environment);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().remedy, "Did you mean ci?");
}

}  // namespace
}  // namespace muster::aws
