// Each key of drone.md 4.2 to 4.5 that no other test looks at: that it counts, or that it is
// refused.
#include <gtest/gtest.h>

#include <algorithm>

#include "pipeline/reader.hpp"
#include "pipeline/stage.hpp"
#include "wire/yaml.hpp"

namespace muster::pipeline {
namespace {

Node parse(const std::string& text) {
  wire::YamlOptions options;
  options.file = "p.yml";
  options.allows_duplicates = true;
  const auto node = wire::parse_yaml(text, options);
  EXPECT_TRUE(node.has_value()) << node.error().message;
  return node.value_or(Node{});
}

struct Read {
  Pipeline pipeline;
  std::string told;  ///< Every finding, one a line; warnings with a mark.
};

Read read(const std::string& text, bool is_trusted = true) {
  std::vector<Finding> findings;
  Read out;
  out.pipeline = read_pipeline(parse(text), findings);
  lint(out.pipeline, is_trusted, findings);
  for (const Finding& finding : findings) {
    out.told += finding.problem.describe() + (finding.is_error ? "\n" : " (warning)\n");
  }
  return out;
}

/// With one step besides.
Read with_key(const std::string& key) {
  return read("kind: pipeline\ntype: vm\n" + key + "\nsteps: [{name: a, commands: [x]}]\n");
}

Read with_step(const std::string& keys) {
  return read(
      "kind: pipeline\ntype: vm\nvolumes: [{name: v, temp: {}}]\nsteps: [{name: a, image: i, " +
      keys + "}]\n");
}

StageStep compiled_step(const std::string& keys, Metadata metadata = {}) {
  const Read read = with_step(keys);
  EXPECT_EQ(read.told, "");
  CompileOptions options;
  options.root = "/r";
  options.id = "id";
  const Stage stage = compile(read.pipeline, metadata, options);
  return stage.steps.size() < 2 ? StageStep{} : stage.steps.at(1);
}

TEST(KeysOfAPipeline, KindAndTypeDecideWhoRunsIt) {
  EXPECT_TRUE(is_pipeline(parse("kind: pipeline\n")));
  for (const char* type : {"aws", "vm", "docker", "exec"}) {
    EXPECT_TRUE(is_pipeline(parse(std::string("kind: pipeline\ntype: ") + type)));
  }
  EXPECT_FALSE(is_pipeline(parse("kind: pipeline\ntype: kubernetes\n")));
  EXPECT_FALSE(is_pipeline(parse("kind: secret\n")));
  EXPECT_EQ(with_key("").pipeline.type, "vm");
}

TEST(KeysOfAPipeline, Count) {
  EXPECT_EQ(with_key("pool: {use: big}").pipeline.pool, "big");
  EXPECT_EQ(with_key("platform: {os: linux, arch: arm64}").pipeline.platform_arch, "arm64");
  EXPECT_EQ(with_key("clone: {retries: 3}").pipeline.clone.retries, 3);
  EXPECT_TRUE(with_key("clone: {skip_verify: true}").pipeline.clone.skips_verify);
  EXPECT_TRUE(with_key("clone: {trace: true}").pipeline.clone.traces);
  EXPECT_TRUE(with_key("clone: {disable: true}").pipeline.clone.is_disabled);
  // For the server, or without effect in Drone too.
  EXPECT_EQ(with_key("version: 1\ndepends_on: [b]\nnode: {a: b}\nconcurrency: {limit: 1}\n"
                     "trigger: {branch: main}\nplatform: {variant: v7, version: 1, os_name: x}")
                .told,
            "");
}

TEST(KeysOfAPipeline, AreRefusedWhereTheyCannotBe) {
  EXPECT_NE(with_key("platform: {arch: mips}").told.find("platform.arch \"mips\""),
            std::string::npos);
  EXPECT_NE(with_key("platform: {os: windows}").told.find("platform.os \"windows\""),
            std::string::npos);
  EXPECT_NE(
      with_key("environment: {A: {from_secret: s}}").told.find("cannot be given to all steps"),
      std::string::npos);
  EXPECT_NE(with_key("concurrency: {limt: 1}").told.find("Did you mean limit?"), std::string::npos);
  EXPECT_NE(with_key("node: [a]").told.find("node is no mapping"), std::string::npos)
      << with_key("node: [a]").told;
  EXPECT_NE(with_key("depends_on: {a: b}").told.find("depends_on is no list"), std::string::npos)
      << with_key("depends_on: {a: b}").told;
  EXPECT_NE(with_key("trigger: {brnach: main}").told.find("Did you mean branch?"),
            std::string::npos);
  EXPECT_NE(with_key("clone: {dept: 1}").told.find("Did you mean depth?"), std::string::npos);
}

TEST(KeysOfAClone, ReachItsScriptAndEnvironment) {
  Metadata metadata;
  metadata.repo_git_url = "https://h/r.git";
  metadata.commit = "abc";
  CompileOptions options;
  options.root = "/r";
  options.id = "id";
  const Read traced = with_key("clone: {trace: true, skip_verify: true}");
  const StageStep clone = compile(traced.pipeline, metadata, options).steps.at(0);
  EXPECT_EQ(clone.environment.at("GIT_TRACE"), "true");
  EXPECT_EQ(clone.environment.at("GIT_SSL_NO_VERIFY"), "true");
  const StageStep plain = compile(with_key("").pipeline, metadata, options).steps.at(0);
  EXPECT_FALSE(plain.environment.contains("GIT_TRACE"));
  EXPECT_FALSE(plain.environment.contains("GIT_SSL_NO_VERIFY"));
}

TEST(KeysOfConditions, EachCanLeaveAStepOut) {
  Metadata build;
  build.event = "promote";
  build.action = "opened";
  build.ref = "refs/heads/main";
  build.repo_namespace = "o";
  build.repo_name = "r";
  build.target_branch = "main";
  build.deploy_to = "production";
  build.cron = "nightly";
  build.system_host = "host";
  const std::vector<std::pair<std::string, std::string>> keys{
      {"branch", "main"}, {"event", "promote"},     {"action", "opened"}, {"ref", "refs/heads/*"},
      {"repo", "o/r"},    {"target", "production"}, {"cron", "nightly"},  {"instance", "host"}};
  for (const auto& [key, value] : keys) {
    EXPECT_EQ(compiled_step("when: {" + key + ": ['" + value + "']}", build).name, "a") << key;
    // Left out of the stage.
    EXPECT_EQ(compiled_step("when: {" + key + ": {exclude: ['" + value + "']}}", build).name, "")
        << key;
  }
}

TEST(KeysOfAStep, PullHasFourMeanings) {
  for (const char* pull : {"always", "if-not-exists", "never", "default"}) {
    EXPECT_EQ(compiled_step(std::string("pull: ") + pull).pull, pull);
  }
  EXPECT_EQ(compiled_step("pull: If-Not-Exists").pull, "if-not-exists");
  EXPECT_NE(with_step("pull: sometimes").told.find("\"sometimes\" counts as default"),
            std::string::npos);
}

TEST(KeysOfAStep, FailureHasItsSpellings) {
  for (const char* fast : {"fast", "fast-fail", "fail-fast"}) {
    EXPECT_EQ(compiled_step(std::string("failure: ") + fast).failure, FailurePolicy::fail_fast);
  }
  EXPECT_EQ(compiled_step("failure: ignore").failure, FailurePolicy::ignore);
  EXPECT_EQ(with_step("failure: never").pipeline.steps.at(0).failure, FailurePolicy::fail);
  EXPECT_NE(with_step("failure: never").told.find("(warning)"), std::string::npos);
}

TEST(KeysOfAStep, AreRefusedWhereTheyCannotBe) {
  EXPECT_NE(with_step("working_dir: w").told.find("steps[0].working_dir \"w\" is not absolute"),
            std::string::npos);
  EXPECT_NE(read("kind: pipeline\ntype: vm\nsteps: [{name: " + std::string(101, 'n') +
                 ", commands: [x]}]\n")
                .told.find("cannot exceed 100 characters"),
            std::string::npos);
  EXPECT_EQ(with_step("shell: bash").told, "");
  EXPECT_NE(with_step("volumes: [{name: v, path: /run/drone/x}]").told.find("/run/drone"),
            std::string::npos);
  EXPECT_NE(with_step("when: {event: [psuh]}").told.find("Did you mean push?"), std::string::npos);
}

TEST(KeysOfAStep, ThatNeedTrustAreRefusedWithoutIt) {
  const std::vector<std::pair<std::string, std::string>> keys{
      {"privileged: true", "enable privileged mode"},
      {"devices: [{name: a, path: /dev/null}]", "mount devices"},
      {"dns: [192.0.2.1]", "configure dns"},
      {"dns_search: [x]", "configure dns_search"},
      {"extra_hosts: ['x:192.0.2.1']", "configure extra_hosts"},
      {"network_mode: host", "configure network_mode"},
      {"shm_size: 1g", "configure shm_size"}};
  for (const auto& [key, text] : keys) {
    const std::string document = "kind: pipeline\nsteps: [{name: a, image: i, " + key + "}]\n";
    EXPECT_NE(read(document, false).told.find("untrusted repositories cannot " + text),
              std::string::npos)
        << key;
    EXPECT_EQ(read(document, true).told, "") << key;
  }
  const auto volume = [](const std::string& kind) {
    return "kind: pipeline\nvolumes: [{name: v, " + kind + "}]\nsteps: [{name: a, image: i}]\n";
  };
  EXPECT_NE(read(volume("host: {path: /srv}"), false).told.find("cannot mount host volumes"),
            std::string::npos);
  EXPECT_NE(
      read(volume("temp: {medium: memory}"), false).told.find("cannot mount in-memory volumes"),
      std::string::npos);
}

TEST(KeysOfAVolume, CountOrAreRefused) {
  const auto of_volume = [](const std::string& keys) {
    return read("kind: pipeline\ntype: vm\nvolumes: [{" + keys +
                "}]\nsteps: [{name: a, commands: [x]}]\n");
  };
  EXPECT_NE(of_volume("name: v, temp: {medium: disk}").told.find("\"disk\" is no medium"),
            std::string::npos);
  EXPECT_NE(of_volume("name: v, host: {path: srv}").told.find("\"srv\" is not absolute"),
            std::string::npos);
  EXPECT_NE(of_volume("temp: {}").told.find("missing volume name"), std::string::npos);
  EXPECT_NE(of_volume("name: v").told.find("neither temp nor host"), std::string::npos);
  EXPECT_NE(of_volume("name: v, host: {path: /a, read_only: true}").told.find("stays writable"),
            std::string::npos);
  // Only of the Kubernetes runner: taken, and no step can mount it.
  EXPECT_TRUE(of_volume("name: v, claim: {name: c}").pipeline.volumes.empty());
  const Read device = read(
      "kind: pipeline\ntype: docker\nvolumes: [{name: d, host: {path: /dev/kvm}}]\n"
      "steps: [{name: a, image: i, volumes: [{name: d, path: /dev/kvm}]}]\n");
  CompileOptions options;
  options.root = "/r";
  options.id = "id";
  const StageStep step = compile(device.pipeline, {}, options).steps.at(1);
  ASSERT_EQ(step.devices.size(), 1U);
  EXPECT_EQ(step.devices[0].name, "/dev/kvm");
}

TEST(KeysOfAnInstanceBlock, OfTheEarlyRunnerCountOrAreRefused) {
  const Read early = with_key(
      "instance: {ami: ami-1, type: m7i.large, user: ubuntu, tags: {a: b}, iam_profile_arn: "
      "'arn:x', "
      "key_name: k, region: eu-west-1, market_type: spot, disk: {size: 40, type: io2, iops: 5000}, "
      "network: {subnet_id: subnet-1, security_groups: [one], vpc_security_group_ids: [sg-2], "
      "private_ip: 10.0.0.9}, device: {name: /dev/sda1}}");
  EXPECT_EQ(early.told, "");
  const InstanceBlock& block = *early.pipeline.instance;
  EXPECT_EQ(block.image, "ami-1");
  EXPECT_EQ(block.type, "m7i.large");
  EXPECT_EQ(block.user, "ubuntu");
  EXPECT_EQ(block.region, "eu-west-1");
  EXPECT_EQ(block.key_name, "k");
  EXPECT_EQ(block.market_type, "spot");
  EXPECT_EQ(block.disk_size_gib, 40);
  EXPECT_EQ(block.disk_type, "io2");
  EXPECT_EQ(block.disk_iops, 5000);
  EXPECT_EQ(block.subnet, "subnet-1");
  EXPECT_EQ(block.security_groups, (std::vector<std::string>{"one", "sg-2"}));
  EXPECT_EQ(block.private_address, "10.0.0.9");
  EXPECT_EQ(block.device, "/dev/sda1");
  for (const char* key :
       {"private_key: x", "public_key: x", "use: x", "use_pool: true", "network: {vpc: v}"}) {
    EXPECT_NE(
        with_key(std::string("instance: {ami: a, ") + key + "}").told.find("not supported yet"),
        std::string::npos)
        << key;
  }
  EXPECT_NE(with_key("instance: {ami: a, market_type: cheap}").told.find("\"cheap\" is no market"),
            std::string::npos);
  EXPECT_NE(with_key("instance: {ami: a, sise: x}").told.find("Did you mean size?"),
            std::string::npos);
}

}  // namespace
}  // namespace muster::pipeline
