#include <gtest/gtest.h>

#include "adapters/config/config_file.hpp"

namespace muster::config {
namespace {

std::vector<std::string> problems(const std::string& text) {
  std::vector<Finding> findings;
  static_cast<void>(read_config(text, "muster.yml", findings));
  std::vector<std::string> out;
  for (const Finding& finding : findings) out.push_back(finding.problem.describe());
  return out;
}

TEST(ReadConfig, TakesAPoolOfFourLines) {
  std::vector<Finding> findings;
  const Config config =
      read_config("pools:\n  linux:\n    image: debian-12\n    types: [t3.large]\n", "m", findings);
  EXPECT_TRUE(findings.empty());
  EXPECT_EQ(config.pools.at("linux").types.front(), "t3.large");
  EXPECT_EQ(config.pools.at("linux").max_instances, 10);
}

TEST(ReadConfig, TellsAllProblemsAtOnceWithPlaceAndRemedy) {
  const auto found = problems(
      "pools:\n  linux:\n    imgae: x\n    types: [t3.large, m5.lrage]\n    on_demand: maybe\n"
      "    dead_man: 10\n    max_instances: many\n");
  ASSERT_EQ(found.size(), 6U);
  EXPECT_EQ(found[0], "muster.yml:3:5  pools.linux.imgae: unknown key. Did you mean image?");
  EXPECT_EQ(
      found[1],
      "muster.yml:4:23  pools.linux.types[1] \"m5.lrage\": no such instance type. Did you mean "
      "m5.large?");
  EXPECT_NE(found[2].find("muster.yml:5:16"), std::string::npos);
  EXPECT_NE(found[3].find("no duration"), std::string::npos);
  EXPECT_NE(found[4].find("no whole number"), std::string::npos);
  EXPECT_NE(found[5].find("pools.linux.image is missing"), std::string::npos) << found[5];
}

TEST(ReadConfig, NothingFollowsFromAValueThatCannotBeRead) {
  const std::string pool = "pools:\n  a:\n    image: i\n    types: [t3.large]\n";
  EXPECT_EQ(problems(pool + "    idle: {count: 3}\n    max_instances: fuor\n").size(), 1U);
  EXPECT_EQ(problems(pool + "    idle: {count: 3}\n    max_instances: 2\n").size(), 1U);
  EXPECT_EQ(problems(pool + "    stopped: 2\n    on_demand: olny\n").size(), 1U);
  EXPECT_EQ(problems(pool + "    dead_man: soon\n    boot_timeout: 20m\n").size(), 1U);
}

TEST(ReadConfig, RefusesWhatIsNotSupportedYet) {
  for (const char* key : {"block_devices", "host_key"}) {
    const auto found = problems(
        std::string("pools:\n  a:\n    image: i\n    types: [t3.large]\n    ") + key + ": {}\n");
    ASSERT_EQ(found.size(), 1U) << key;
    EXPECT_NE(found[0].find("not supported yet"), std::string::npos);
  }
}

TEST(ReadConfig, RefusesABudgetWithoutPricesAndStoppedSpot) {
  const std::string pool = "pools:\n  a:\n    image: i\n    types: [t3.large]\n";
  ASSERT_EQ(problems(pool + "limits: {usd_per_day: 5}\n").size(), 1U);
  EXPECT_TRUE(problems(pool + "limits: {usd_per_day: 5}\nprices: {t3.large: 0.0832}\n").empty());
  ASSERT_EQ(problems(pool + "    stopped: 1\n").size(), 1U);
  EXPECT_TRUE(problems(pool + "    stopped: 1\n    on_demand: only\n").empty());
}

TEST(ReadConfig, TakesALaunchTemplateInPlaceOfImageAndTypes) {
  std::vector<Finding> findings;
  const Config config =
      read_config("pools: {a: {launch_template: {name: ci, version: 3}}}\n", "m", findings);
  EXPECT_TRUE(findings.empty());
  const Pool& pool = config.pools.at("a");
  EXPECT_EQ(pool.launch_template.name, "ci");
  EXPECT_EQ(pool.launch_template.version, "3");
  EXPECT_TRUE(pool.image.empty() && pool.types.empty());
  ASSERT_EQ(offerings_of(pool, {}).size(), 2U);
  EXPECT_EQ(offerings_of(pool, {}).front().instance_type, "");
}

TEST(ReadConfig, RefusesAnUnclearLaunchTemplate) {
  const auto of_template = [](const std::string& keys) {
    return problems("pools: {a: {launch_template: {" + keys + "}}}\n");
  };
  EXPECT_NE(of_template("version: 3").at(0).find("launch_template.name is missing"),
            std::string::npos);
  EXPECT_NE(of_template("name: a, id: lt-1").at(0).find("twice"), std::string::npos);
  EXPECT_NE(of_template("id: ci").at(0).find("no id of a launch template"), std::string::npos);
  EXPECT_NE(of_template("name: ci, version: newest").at(0).find("no version"), std::string::npos);
  EXPECT_NE(problems("pools: {a: {launch_template: {name: ci}, disk: {size: 9}}}\n")
                .at(0)
                .find("disk: needs a device"),
            std::string::npos);
}

TEST(ReadConfig, RefusesAKeyWithoutValue) {
  EXPECT_NE(problems("pools:\n  a:\n").at(0).find("pools.a: has no value"), std::string::npos);
  EXPECT_NE(
      problems("pools: {a: {image: i, types: [t3.large], ssh: {user: }}}\n").at(0).find("no value"),
      std::string::npos);
}

TEST(ReadConfig, RefusesReservedTagsAndOverlongUserData) {
  EXPECT_EQ(problems("pools: {a: {image: i, types: [t3.large], tags: {'muster:x': y}}}\n").size(),
            1U);
  EXPECT_EQ(problems("pools: {a: {image: i, types: [t3.large], user_data: 'echo'}}\n").size(), 1U);
  EXPECT_EQ(
      problems("pools: {a: {image: i, types: [t3.large], user_data: 'file:nowhere'}}\n").size(),
      1U);
}

TEST(ReadConfig, NamesThePlaceOfBrokenYaml) {
  const auto found = problems("pools:\n  a: [\n");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].starts_with("muster.yml:")) << found[0];
}

}  // namespace
}  // namespace muster::config
