#include "pipeline/settings.hpp"

#include <gtest/gtest.h>

#include "pipeline/stage.hpp"
#include "wire/yaml.hpp"

namespace muster::pipeline {
namespace {

/// What a plugin sees of `s: VALUE`; `(not set)` if nothing.
std::string seen(const std::string& value) {
  wire::YamlOptions options;
  options.file = "f";
  const auto document = wire::parse_yaml("s: " + value + "\n", options);
  if (!document) return "(no YAML) " + document.error().message;
  return setting_text(*document->find("s")).value_or("(not set)");
}

TEST(Settings, FollowTheVectors) {
  const std::vector<std::pair<std::string, std::string>> vectors{
      {"text", "text"},
      {"3.0", "3"},
      {"0.001", "0.001"},
      {".inf", "+Inf"},
      {"1e3", "1e3"},
      {"0755", "493"},
      {"0x1F", "31"},
      {"1_000", "1000"},
      {"yes", "true"},
      {"On", "true"},
      {"y", "true"},
      {"'yes'", "yes"},
      {"[true, 1.0, null, 'x,y']", "true,1,,x,y"},
      {"[]", ""},
      {"{}", "{}"},
      {"[[a, b], c]", R"([["a","b"],"c"])"},
      {"[{a: 1}, 2]", R"([{"a":1},2])"},
      {"{b: 1, a: [1, 2]}", R"({"a":[1,2],"b":1})"},
      {"{k: v, n: 1}", R"({"false":1,"k":"v"})"},
      {"1:30", "1:30"},
      {"2020-01-01", "2020-01-01"},
      {"!!binary aGVsbG8=", "hello"},
      {"~", "(not set)"}};
  for (const auto& [value, expected] : vectors) EXPECT_EQ(seen(value), expected) << value;
  EXPECT_EQ(setting_name("MixedCase-Key"), "PLUGIN_MIXEDCASE-KEY");
}

TEST(ParseBytes, KnowsUnitsAndNothingElse) {
  EXPECT_EQ(parse_bytes("1024"), 1024);
  EXPECT_EQ(parse_bytes("512MiB"), 512L << 20);
  EXPECT_EQ(parse_bytes("100Mi"), 100L << 20);
  EXPECT_EQ(parse_bytes("1g"), 1L << 30);
  for (const char* wrong : {"", "MiB", "1x", "-1", "1 2", "99999999999999999999g"}) {
    EXPECT_FALSE(parse_bytes(wrong).has_value()) << wrong;
  }
}

TEST(TagVariables, FollowTheVectors) {
  const auto of_tag = [](const std::string& tag) {
    Metadata build;
    build.event = "tag";
    build.ref = "refs/tags/" + tag;
    return build_environment(build);
  };
  auto plain = of_tag("v1.2.3");
  EXPECT_EQ(plain["DRONE_TAG"], "v1.2.3");
  EXPECT_EQ(plain["DRONE_SEMVER"], "1.2.3");
  EXPECT_FALSE(plain.contains("DRONE_CALVER"));
  auto pre = of_tag("1.2.3-rc.1+b5");
  EXPECT_EQ(pre["DRONE_SEMVER_PRERELEASE"], "rc.1");
  EXPECT_EQ(pre["DRONE_SEMVER_BUILD"], "b5");
  EXPECT_EQ(pre["DRONE_SEMVER_SHORT"], "1.2.3");
  auto month = of_tag("2021.05");
  EXPECT_EQ(month["DRONE_CALVER"], "2021.05");
  EXPECT_EQ(month["DRONE_CALVER_MICRO"], "");
  EXPECT_TRUE(month.contains("DRONE_SEMVER_ERROR"));
  auto both = of_tag("2024.05.1");
  EXPECT_EQ(both["DRONE_CALVER"], "2024.05.1");
  EXPECT_EQ(both["DRONE_SEMVER"], "2024.5.1");
  auto four = of_tag("v1.2.3.4");
  EXPECT_TRUE(four.contains("DRONE_SEMVER_ERROR") && !four.contains("DRONE_SEMVER") &&
              !four.contains("DRONE_CALVER"));
  EXPECT_EQ(of_tag("1.2")["DRONE_SEMVER_ERROR"], "1.2 is not in dotted-tri format");
}

}  // namespace
}  // namespace muster::pipeline
