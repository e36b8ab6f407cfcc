#include "adapters/aws/credentials.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <deque>
#include <fstream>

#include "adapters/aws/ec2_client.hpp"
#include "simulation/virtual_clock.hpp"
#include "wire/encoding.hpp"

namespace muster::aws {
namespace {

using namespace std::chrono_literals;

/// STS, a container's endpoint and instance metadata, told apart by host, path and method.
class FakeServices : public HttpTransport {
 public:
  explicit FakeServices(Clock& clock) : clock_(clock) {}

  Task<Result<HttpResponse>> send(HttpRequest request) override {
    asked.push_back(request);
    if (!overrides.empty()) {
      HttpResponse answer = overrides.front();
      overrides.pop_front();
      co_return answer;
    }
    if (is_down) co_return fail(ErrorKind::unavailable, "connection refused");
    if (request.url.find("sts.") != std::string::npos) co_return sts(request);
    if (request.url.find("/latest/") != std::string::npos) co_return metadata(request);
    co_return HttpResponse{200, {}, keys_json("CONTAINER", life)};
  }

  std::string keys_json(const std::string& id, Duration lasts, const char* token = "Token") {
    return R"({"Code":"Success","AccessKeyId":")" + id + R"(","SecretAccessKey":"s",")" + token +
           R"(":"t","Expiration":")" + format_iso8601(clock_.now() + lasts) + "\"}";
  }

  std::vector<HttpRequest> asked;
  std::deque<HttpResponse> overrides;
  Duration life = 6h;
  bool is_down = false;
  bool is_old = false;  // Instance metadata of version 1 only.
  int number = 0;

 private:
  HttpResponse sts(const HttpRequest& request) {
    const auto form = wire::form_decode(request.body);
    std::string action;
    for (const auto& [name, value] : *form) {
      if (name == "Action") action = value;
    }
    return {200,
            {},
            "<" + action + "Response><" + action + "Result><Credentials><AccessKeyId>ASIA" +
                std::to_string(++number) +
                "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
                "<Expiration>" +
                format_iso8601(clock_.now() + life) + "</Expiration></Credentials></" + action +
                "Result></" + action + "Response>"};
  }
  HttpResponse metadata(const HttpRequest& request) {
    if (request.method == "PUT") return {is_old ? 404 : 200, {}, "SESSION"};
    if (!is_old && header_value(request.headers, "x-aws-ec2-metadata-token") != "SESSION") {
      return {401, {}, ""};
    }
    if (request.url.ends_with("/security-credentials/")) return {200, {}, "role\n"};
    if (request.url.ends_with("/region")) return {200, {}, "eu-west-3"};
    return {200, {}, keys_json("INSTANCE" + std::to_string(++number), life)};
  }

  Clock& clock_;
};

struct CredentialsTest : testing::Test {
  boost::asio::io_context context;
  simulation::VirtualClock clock{context};
  simulation::SeededRandom random{7};
  FakeServices services{clock};
  Log log{LogLevel::off};
  Environment environment;
  Profile profile;
  std::vector<std::vector<std::string>> run;
  std::string program_output;

  void set(const std::string& name, std::map<std::string, std::string> values) {
    profile.all[name].values = std::move(values);
  }
  std::unique_ptr<CredentialsChain> chain() {
    const RunProgram run_program = [this](std::vector<std::string> arguments) {
      return answer(std::move(arguments));
    };
    auto made = std::make_unique<CredentialsChain>(
        CredentialsChain::Parts{services, clock, random, log, run_program}, environment, profile);
    made->use_sts({"https://sts.eu-west-1.amazonaws.com", "eu-west-1"});
    return made;
  }
  Task<Result<std::string>> answer(std::vector<std::string> arguments) {
    run.push_back(std::move(arguments));
    if (program_output.empty()) co_return fail(ErrorKind::unavailable, "exit code 3: no vault");
    co_return program_output;
  }
  Result<wire::AwsCredentials> get(CredentialsChain& from) {
    Result<wire::AwsCredentials> out = fail(ErrorKind::cancelled, "");
    const auto doing = [](CredentialsChain* one, Result<wire::AwsCredentials>* to) -> Task<> {
      *to = co_await one->get();
    };
    EXPECT_TRUE(clock.run(doing(&from, &out)));
    return out;
  }
  Result<wire::AwsCredentials> get() {
    const auto one = chain();
    return get(*one);
  }
  std::string form_of_call(std::size_t i, const std::string& name) {
    const auto form = wire::form_decode(services.asked.at(i).body);
    for (const auto& [key, value] : *form) {
      if (key == name) return value;
    }
    return {};
  }
  void pass(Duration time) {
    const auto sleeping = [](Clock* on, Duration how_long) -> Task<> {
      co_await on->sleep(how_long);
    };
    EXPECT_TRUE(clock.run(sleeping(&clock, time)));
  }
};

TEST_F(CredentialsTest, OfTheEnvironmentWantBothHalves) {
  environment = {{"AWS_ACCESS_KEY_ID", "a"}};
  const auto found = get();
  EXPECT_EQ(found.error().kind, ErrorKind::unauthenticated);
  EXPECT_NE(found.error().message.find("AWS_SECRET_ACCESS_KEY"), std::string::npos);
  environment["AWS_SECRET_ACCESS_KEY"] = "b";
  EXPECT_EQ(get()->access_key_id, "a");
}

TEST_F(CredentialsTest, OfTheEnvironmentStandBehindAConfiguredProfile) {
  environment = {{"AWS_ACCESS_KEY_ID", "a"}, {"AWS_SECRET_ACCESS_KEY", "b"}};
  set("ci", {{"aws_access_key_id", "c"}, {"aws_secret_access_key", "d"}});
  profile.name = "ci";
  EXPECT_EQ(get()->access_key_id, "a");
  profile.is_configured = true;
  EXPECT_EQ(get()->access_key_id, "c");
}

TEST_F(CredentialsTest, OfAWebIdentityAreAskedForUnsignedWithTheTokenOfTheMoment) {
  const std::string file = testing::TempDir() + "/token";
  std::ofstream(file) << "first\n";
  environment = {{"AWS_WEB_IDENTITY_TOKEN_FILE", file}, {"AWS_ROLE_ARN", "arn:r"}};
  const auto one = chain();
  EXPECT_EQ(get(*one)->access_key_id, "ASIA1");
  EXPECT_EQ(form_of_call(0, "WebIdentityToken"), "first");
  EXPECT_EQ(header_value(services.asked[0].headers, "authorization"), "");
  std::ofstream(file) << "second";
  one->forget();
  EXPECT_EQ(get(*one)->access_key_id, "ASIA2");
  EXPECT_EQ(form_of_call(1, "WebIdentityToken"), "second");
  environment.erase("AWS_ROLE_ARN");
  EXPECT_NE(get().error().message.find("AWS_ROLE_ARN"), std::string::npos);
}

TEST_F(CredentialsTest, OfAWebIdentityReadAStaleTokenOnceMore) {
  const std::string file = testing::TempDir() + "/stale";
  std::ofstream(file) << "t";
  environment = {{"AWS_WEB_IDENTITY_TOKEN_FILE", file}, {"AWS_ROLE_ARN", "arn:r"}};
  const HttpResponse stale{400,
                           {},
                           "<ErrorResponse><Error><Code>ExpiredTokenException</Code>"
                           "<Message>Token expired</Message></Error></ErrorResponse>"};
  services.overrides = {stale};
  EXPECT_TRUE(get().has_value());
  services.overrides = {stale, stale};
  const auto found = get();
  EXPECT_EQ(found.error().kind, ErrorKind::unauthenticated);
  EXPECT_NE(found.error().remedy.find(file), std::string::npos);
}

TEST_F(CredentialsTest, OfARoleAreSignedForByItsSource) {
  set("default", {{"role_arn", "arn:r"},
                  {"source_profile", "base"},
                  {"external_id", "x"},
                  {"role_session_name", "me"},
                  {"duration_seconds", "7200"}});
  set("base", {{"aws_access_key_id", "BASE"}, {"aws_secret_access_key", "s"}});
  EXPECT_EQ(get()->access_key_id, "ASIA1");
  EXPECT_EQ(form_of_call(0, "RoleArn"), "arn:r");
  EXPECT_EQ(form_of_call(0, "ExternalId"), "x");
  EXPECT_EQ(form_of_call(0, "RoleSessionName"), "me");
  EXPECT_EQ(form_of_call(0, "DurationSeconds"), "7200");
  const std::string signature = header_value(services.asked[0].headers, "authorization");
  EXPECT_NE(signature.find("Credential=BASE/"), std::string::npos);
  EXPECT_NE(signature.find("/eu-west-1/sts/"), std::string::npos);
}

TEST_F(CredentialsTest, OfARoleAreSignedWithTheTimeThatStsHas) {
  set("default", {{"role_arn", "arn:r"}, {"source_profile", "base"}});
  set("base", {{"aws_access_key_id", "BASE"}, {"aws_secret_access_key", "s"}});
  HttpResponse refusal{403,
                       {{"Date", format_http_date(clock.now() + 2h)}},
                       "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></"
                       "ErrorResponse>"};
  services.overrides = {refusal};
  ASSERT_TRUE(get().has_value());
  const std::string date = header_value(services.asked[1].headers, "x-amz-date");
  EXPECT_TRUE(date.starts_with(format_iso8601_basic(clock.now() + 2h).substr(0, 11))) << date;
}

TEST_F(CredentialsTest, OfAChainOfRolesLastAnHourAtMost) {
  set("default",
      {{"role_arn", "arn:2"}, {"source_profile", "middle"}, {"duration_seconds", "7200"}});
  set("middle", {{"role_arn", "arn:1"}, {"source_profile", "base"}});
  set("base", {{"aws_access_key_id", "BASE"}, {"aws_secret_access_key", "s"}});
  EXPECT_EQ(get()->access_key_id, "ASIA2");
  EXPECT_EQ(form_of_call(0, "RoleArn"), "arn:1");
  EXPECT_EQ(form_of_call(1, "RoleArn"), "arn:2");
  EXPECT_EQ(form_of_call(1, "DurationSeconds"), "3600");
  EXPECT_NE(header_value(services.asked[1].headers, "authorization").find("Credential=ASIA1/"),
            std::string::npos);
}

TEST_F(CredentialsTest, OfAProfileThatContradictsItselfAreRefused) {
  const std::vector<std::pair<std::map<std::string, std::string>, std::string>> wrong{
      {{{"role_arn", "r"}}, "none of source_profile"},
      {{{"role_arn", "r"}, {"source_profile", "b"}, {"credential_source", "Environment"}}, "both"},
      {{{"role_arn", "r"}, {"source_profile", "missing"}}, "does not exist"},
      {{{"role_arn", "r"}, {"source_profile", "default"}}, "its own source_profile"},
      {{{"role_arn", "r"}, {"source_profile", "b"}, {"mfa_serial", "m"}}, "mfa_serial"},
      {{{"role_arn", "r"}, {"credential_source", "Moon"}}, "Moon"},
      {{{"sso_session", "s"}}, "sso_session"},
      {{{"login_session", "s"}}, "login_session"},
      {{{"aws_access_key_id", "a"}}, "only one of"},
      {{{"credential_process", "'open"}}, "no command"}};
  set("b", {{"aws_access_key_id", "B"}, {"aws_secret_access_key", "s"}});
  for (const auto& [values, text] : wrong) {
    set("default", values);
    const auto found = get();
    ASSERT_FALSE(found.has_value()) << text;
    EXPECT_NE(found.error().message.find(text), std::string::npos) << found.error().message;
    EXPECT_FALSE(found.error().remedy.empty()) << text;
  }
  set("default", {{"role_arn", "r"}, {"source_profile", "one"}});
  set("one", {{"role_arn", "r"}, {"source_profile", "default"}});
  EXPECT_NE(get().error().message.find("circle"), std::string::npos);
}

TEST_F(CredentialsTest, OfARoleMayComeFromEachNamedSource) {
  environment = {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2"}};
  set("default", {{"role_arn", "r"}, {"credential_source", "EcsContainer"}});
  EXPECT_TRUE(get().has_value());
  EXPECT_NE(header_value(services.asked.back().headers, "authorization").find("CONTAINER/"),
            std::string::npos);
  environment.clear();
  set("default", {{"role_arn", "r"}, {"credential_source", "Ec2InstanceMetadata"}});
  EXPECT_TRUE(get().has_value());
  EXPECT_NE(header_value(services.asked.back().headers, "authorization").find("INSTANCE"),
            std::string::npos);
  environment = {{"AWS_ACCESS_KEY_ID", "ENV"}, {"AWS_SECRET_ACCESS_KEY", "s"}};
  profile.is_configured = true;
  set("default", {{"role_arn", "r"}, {"credential_source", "Environment"}});
  EXPECT_TRUE(get().has_value());
  EXPECT_NE(header_value(services.asked.back().headers, "authorization").find("ENV/"),
            std::string::npos);
}

TEST_F(CredentialsTest, OfAProcessAreReadFromItsJson) {
  set("default", {{"credential_process", "vault \"two words\" --json"}});
  program_output = R"({"Version":1,"AccessKeyId":"P","SecretAccessKey":"s"})";
  const auto one = chain();
  EXPECT_EQ(get(*one)->access_key_id, "P");
  EXPECT_EQ(run.at(0), (std::vector<std::string>{"vault", "two words", "--json"}));
  EXPECT_EQ(get(*one)->access_key_id, "P");  // Without an expiration it is asked once.
  EXPECT_EQ(run.size(), 1U);
  program_output = R"({"Version":2,"AccessKeyId":"P","SecretAccessKey":"s"})";
  EXPECT_NE(get().error().message.find("Version 1"), std::string::npos);
  program_output.clear();
  EXPECT_NE(get().error().message.find("no vault"), std::string::npos);
}

TEST_F(CredentialsTest, OfTheCredentialsFileStandBeforeAProcessAndThoseOfTheConfigFileBehind) {
  set("default",
      {{"credential_process", "p"}, {"aws_access_key_id", "K"}, {"aws_secret_access_key", "s"}});
  program_output = R"({"Version":1,"AccessKeyId":"P","SecretAccessKey":"s"})";
  EXPECT_EQ(get()->access_key_id, "P");
  profile.all["default"].from_credentials_file = {"aws_access_key_id", "aws_secret_access_key"};
  EXPECT_EQ(get()->access_key_id, "K");
}

TEST_F(CredentialsTest, OfAContainerComeWithItsAuthorization) {
  environment = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:8080/keys"},
                 {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "bearer"}};
  EXPECT_EQ(get()->access_key_id, "CONTAINER");
  EXPECT_EQ(header_value(services.asked[0].headers, "authorization"), "bearer");
  const std::string file = testing::TempDir() + "/authorization";
  std::ofstream(file) << "from file\n";
  environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file;
  EXPECT_TRUE(get().has_value());
  EXPECT_EQ(header_value(services.asked[1].headers, "authorization"), "from file");
  std::ofstream(file) << "one\r\ntwo";
  EXPECT_NE(get().error().message.find("line break"), std::string::npos);
  environment = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/keys"}};
  EXPECT_EQ(get().error().kind, ErrorKind::invalid_input);
}

TEST_F(CredentialsTest, OfAContainerAreTriedThreeTimes) {
  environment = {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2"}};
  services.overrides = {{500, {}, ""}, {503, {}, ""}};
  EXPECT_TRUE(get().has_value());
  EXPECT_EQ(services.asked.size(), 3U);
  services.overrides = {{403, {}, ""}};
  EXPECT_EQ(get().error().kind, ErrorKind::unauthenticated);
}

TEST_F(CredentialsTest, OfAnInstanceComeOverASession) {
  EXPECT_EQ(get()->access_key_id, "INSTANCE1");
  EXPECT_EQ(services.asked[0].method, "PUT");
  EXPECT_FALSE(services.asked[0].uses_proxy);
}

TEST_F(CredentialsTest, OfAnOldMetadataServiceComeWithoutOneWhereAllowed) {
  services.is_old = true;
  EXPECT_EQ(get()->access_key_id, "INSTANCE1");
  environment = {{"AWS_EC2_METADATA_V1_DISABLED", "true"}};
  EXPECT_FALSE(get().has_value());
}

TEST_F(CredentialsTest, OfAnInstanceAreExtendedWhenTheServiceGivesOldOnes) {
  services.life = 5min;
  const auto one = chain();
  const auto found = get(*one);
  EXPECT_GT(*found->expiration - clock.now(), 15min);
  const std::size_t calls = services.asked.size();
  EXPECT_TRUE(get(*one).has_value());
  EXPECT_EQ(services.asked.size(), calls);
}

TEST_F(CredentialsTest, AreRefreshedByOneWhileTheOthersGoOn) {
  const auto one = chain();
  EXPECT_EQ(get(*one)->access_key_id, "INSTANCE1");
  pass(services.life - 20min);
  EXPECT_EQ(get(*one)->access_key_id, "INSTANCE1");
  pass(8min);  // Twelve minutes are left.
  EXPECT_EQ(get(*one)->access_key_id, "INSTANCE2");
}

TEST_F(CredentialsTest, AreKeptUntilTheyEndWhenARefreshFails) {
  const auto one = chain();
  EXPECT_EQ(get(*one)->access_key_id, "INSTANCE1");
  services.is_down = true;
  pass(services.life - 5min);
  EXPECT_EQ(get(*one)->access_key_id, "INSTANCE1");
  pass(6min);
  const auto ended = get(*one);
  EXPECT_EQ(ended.error().kind, ErrorKind::unauthenticated);
  services.is_down = false;
  EXPECT_EQ(get(*one)->access_key_id, "INSTANCE2");
}

TEST_F(CredentialsTest, SayWhereTheyLookedWhenThereAreNone) {
  environment = {{"AWS_EC2_METADATA_DISABLED", "true"}};
  const auto found = get();
  EXPECT_EQ(found.error().kind, ErrorKind::unauthenticated);
  EXPECT_NE(found.error().message.find("profile default"), std::string::npos);
  EXPECT_FALSE(found.error().remedy.empty());
}

TEST_F(CredentialsTest, ThatExpireDuringUseAreRenewedOnceForTheCall) {
  const auto one = chain();
  Ec2Client client(services, *one, clock, random, log, {"https://ec2.x.test", "eu-west-1"});
  ASSERT_TRUE(get(*one).has_value());
  const std::size_t calls = services.asked.size();
  services.overrides = {{400,
                         {},
                         "<Response><Errors><Error><Code>RequestExpired</Code><Message>m"
                         "</Message></Error></Errors></Response>"}};
  Result<wire::XmlElement> out = fail(ErrorKind::cancelled, "");
  const auto doing = [](Ec2Client* to, FakeServices* fake,
                        Result<wire::XmlElement>* into) -> Task<> {
    *into = co_await to->call("DescribeRegions", form_of("DescribeRegions", {}), 5s);
    static_cast<void>(fake);
  };
  EXPECT_TRUE(clock.run(doing(&client, &services, &out)));
  // Refused once, then metadata asked again, then the call signed with the new keys.
  const std::string last = header_value(services.asked.back().headers, "authorization");
  EXPECT_NE(last.find("INSTANCE2"), std::string::npos);
  EXPECT_GT(services.asked.size(), calls + 2);
}

TEST(SplitWords, FollowsTheShell) {
  EXPECT_EQ(*split_words("a 'b c' \"d \\\"e\" f\\ g ''"),
            (std::vector<std::string>{"a", "b c", "d \"e", "f g", ""}));
  EXPECT_FALSE(split_words("a \"b").has_value());
}

}  // namespace
}  // namespace muster::aws
