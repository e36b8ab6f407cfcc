#include <gtest/gtest.h>

#include <algorithm>

#include "pipeline/glob.hpp"
#include "pipeline/mask.hpp"
#include "pipeline/reader.hpp"
#include "pipeline/stage.hpp"
#include "pipeline/substitute.hpp"
#include "wire/yaml.hpp"

namespace muster::pipeline {
namespace {

TEST(Glob, MatchesAsDroneDoes) {
  EXPECT_TRUE(matches_glob("feature/*", "feature/a"));
  EXPECT_FALSE(matches_glob("feature/*", "feature/a/b"));
  EXPECT_TRUE(matches_glob("feature/**", "feature/a/b"));
  EXPECT_FALSE(matches_glob("feature/**", "feature"));
  EXPECT_FALSE(matches_glob("*", "a/b"));
  EXPECT_TRUE(matches_glob("**", "a/b"));
  EXPECT_TRUE(matches_glob("v*", "v1.2"));
  EXPECT_TRUE(matches_glob("", ""));
  EXPECT_FALSE(matches_glob("", "a"));
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("{main,release/*}", "release/1"));
  EXPECT_TRUE(matches_glob("[a-c]?", "bx"));
  EXPECT_FALSE(matches_glob("[^a]", "a"));
  EXPECT_FALSE(matches_glob("[a", "a"));
  EXPECT_TRUE(matches_glob("\\*", "*"));
}

TEST(Substitute, FollowsTheVectors) {
  const Variables variables{{"A", "abcdef"}, {"E", ""}, {"P", "/x/y.tar.gz"}, {"B", "äöü"}};
  const std::vector<std::pair<std::string, std::string>> vectors{{"${A:2:2}", "cd"},
                                                                 {"${A:10}", ""},
                                                                 {"${E:-d}", "d"},
                                                                 {"${U:+x}", "x"},
                                                                 {"${P%.*}", "/x/y.tar"},
                                                                 {"${P%%.*}", "/x/y"},
                                                                 {"${P##*/}", "y.tar.gz"},
                                                                 {"${A#a*c}", "def"},
                                                                 {"${A/bc/X}", "aXdef"},
                                                                 {"${A/b*d/X}", "abcdef"},
                                                                 {"$${A}", "${A}"},
                                                                 {"a$$b", "a$b"},
                                                                 {"\\${A}", "\\abcdef"},
                                                                 {"${U:-${A}}", "abcdef"},
                                                                 {"{{ x }}", "{{ x }}"},
                                                                 {"a\\\\b", "a\\b"},
                                                                 {"a\\/b", "a/b"},
                                                                 {"a\\\\\\b", "a\\\\b"},
                                                                 {"\\\\${A}", "\\abcdef"},
                                                                 {"$$$", "$$"},
                                                                 {"$$${A}", "$abcdef"},
                                                                 {"$$$${A}", "$${A}"},
                                                                 {"${A:1:99}", "bcdef"},
                                                                 {"${A:x}", "abcdef"},
                                                                 {"${P//\\//_}", "_x_y.tar.gz"},
                                                                 {"${A//[ab]/X}", "abcdef"},
                                                                 {"${A/%ef/X}", "abcdX"},
                                                                 {"${U:-x}y}", "xy}"},
                                                                 {"${U:-a b c}", "a b c"},
                                                                 {"${#B}", "6"},
                                                                 {"${1}", ""},
                                                                 {"$A", "$A"},
                                                                 {"${A^^}", "ABCDEF"},
                                                                 {"${A:1:-1}", "bcde"}};
  for (const auto& [text, expected] : vectors) {
    const auto got = substitute(text, variables);
    ASSERT_TRUE(got.has_value()) << text << ": " << got.error().message;
    EXPECT_EQ(*got, expected) << text;
  }
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"${v-d}", "missing closing brace"},
           {"${a.b}", "missing closing brace"},
           {"${v", "missing closing brace"},
           {"${}", "unable to parse variable name"},
           {"${!v}", "unable to parse variable name"},
           {"${v/x}", "bad substitution"},
           {"${v^^b}", "bad substitution"},
           {"${v:}", "unable to parse substitution within function"},
           {"${v%}", "unable to parse substitution within function"}}) {
    const auto got = substitute("first\n" + text, variables);
    ASSERT_FALSE(got.has_value()) << text;
    EXPECT_EQ(got.error().message, "line 2: " + error) << text;
  }
}

Node parse(const std::string& text) {
  wire::YamlOptions options;
  options.file = "p.yml";
  options.allows_duplicates = true;
  auto node = wire::parse_yaml(text, options);
  EXPECT_TRUE(node.has_value()) << node.error().message;
  return node.value_or(Node{});
}

std::vector<std::string> complaints(const std::string& text, bool errors = true) {
  std::vector<Finding> findings;
  const Pipeline pipeline = read_pipeline(parse(text), findings);
  lint(pipeline, true, findings);
  std::vector<std::string> out;
  for (const Finding& finding : findings) {
    if (finding.is_error == errors) out.push_back(finding.problem.describe());
  }
  return out;
}

/// Every value of a document on a line of its own.
std::string wire_text(const Node& node, const std::string& name = "") {
  std::string out;
  if (node.is_scalar()) return name + ": " + node.text + "\n";
  for (const Node& item : node.items) out += wire_text(item, name);
  for (const Member& member : node.members) out += wire_text(member.value, member.key);
  return out;
}

Stage compiled(const std::string& text, Metadata metadata = {}) {
  std::vector<Finding> findings;
  const Pipeline pipeline = read_pipeline(parse(text), findings);
  lint(pipeline, true, findings);
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.is_error) << finding.problem.describe();
  }
  CompileOptions options;
  options.root = "/r";
  options.id = "id";
  return compile(pipeline, metadata, options);
}

TEST(SplitDocuments, CutsAtDashesAndStopsAtDots) {
  const auto documents = split_documents("a: 1\n--- x\nb: 2\n...\nc: 3\n");
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[1].text, "b: 2\n");
  EXPECT_EQ(documents[1].first_line, 3);
}

TEST(ReadPipeline, RefusesWhatIsNotSupportedYetWithItsLine) {
  const char* const documents[] = {
      "kind: pipeline\nimage_pull_secrets: [a]\nsteps: []\n",
      "kind: pipeline\naccount: {region: eu-west-1}\nsteps: []\n",
      "kind: pipeline\npool_count: 3\nsteps: []\n",
  };
  for (const char* document : documents) {
    const auto found = complaints(document);
    ASSERT_EQ(found.size(), 1U) << document;
    EXPECT_NE(found[0].find("p.yml:2:1"), std::string::npos) << found[0];
    EXPECT_NE(found[0].find("not supported yet"), std::string::npos) << found[0];
  }
  const auto found =
      complaints("kind: pipeline\nsteps: [{name: a, image: b, when: {paths: [c]}}]\n");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].find("steps[0].when.paths"), std::string::npos) << found[0];
}

TEST(ReadPipeline, WarnsOfUnknownKeysWithTheNearestName) {
  const auto found = complaints(
      "kind: pipeline\ntype: vm\nsteps:\n- name: a\n  comands: [x]\n  commands: [y]\n", false);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].find("Did you mean commands?"), std::string::npos) << found[0];
}

TEST(ReadPipeline, KeepsTheSourceTextOfStrings) {
  const Stage stage = compiled(
      "kind: pipeline\ntype: vm\nname: on\nenvironment: {A: yes, B: 1.50, C: 0755, D: ~}\n"
      "steps: [{name: 2024, commands: [true, 0755]}]\n");
  EXPECT_EQ(stage.name, "on");
  const StageStep& step = stage.steps.at(1);
  EXPECT_EQ(step.name, "2024");
  EXPECT_EQ(step.environment.at("A"), "yes");
  EXPECT_EQ(step.environment.at("B"), "1.50");
  EXPECT_EQ(step.environment.at("C"), "0755");
  EXPECT_FALSE(step.environment.contains("D"));
  EXPECT_NE(step.script.find("\n0755\n"), std::string::npos);
}

TEST(Lint, UsesDronesTexts) {
  const std::string head = "kind: pipeline\ntype: vm\nsteps:\n";
  const auto has = [&](const std::string& steps, const std::string& text) {
    const auto found = complaints(head + steps);
    return std::any_of(found.begin(), found.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    });
  };
  EXPECT_TRUE(has("- {commands: [a]}\n", "Linter: invalid or missing step name"));
  EXPECT_TRUE(has("- {name: a, commands: [a]}\n- {name: a, commands: [a]}\n",
                  "Linter: duplicate step name"));
  EXPECT_TRUE(has("- {name: a, commands: [a], depends_on: [b]}\n",
                  "linter: unknown step dependency detected: a references b"));
  EXPECT_TRUE(has("- {name: a, commands: [a], depends_on: [a]}\n",
                  "linter: cyclical step dependency detected: a"));
  EXPECT_TRUE(has("- {name: a, image: i, volumes: [{name: workspace, path: /x}]}\n",
                  "linter: invalid volume name: workspace"));
  EXPECT_TRUE(has("-\n", "Linter: detected nil step"));
  EXPECT_FALSE(complaints("kind: pipeline\ntype: exec\nsteps: [{name: a, image: b}]\n").empty());
  EXPECT_FALSE(
      complaints("kind: pipeline\ntype: docker\nsteps: [{name: a, commands: [b]}]\n").empty());
}

TEST(Compile, RunsStepsInOrderWithoutDependencies) {
  const Stage stage = compiled(
      "kind: pipeline\ntype: vm\nservices: [{name: s, image: i}]\n"
      "steps: [{name: a, commands: [x]}, {name: b, commands: [y]}]\n");
  ASSERT_EQ(stage.steps.size(), 4U);
  EXPECT_EQ(stage.steps[0].name, "clone");
  EXPECT_EQ(stage.steps[1].depends_on, std::vector<std::string>{"clone"});
  EXPECT_TRUE(stage.steps[1].is_detached);
  EXPECT_EQ(stage.steps[3].depends_on, std::vector<std::string>{"a"});
}

TEST(Compile, FollowsAGraphOnceOneStepHasDependencies) {
  const Stage stage = compiled(
      "kind: pipeline\ntype: vm\nsteps: [{name: a, commands: [x]}, {name: b, commands: [y]}, "
      "{name: c, commands: [z], depends_on: [a, b]}]\n");
  EXPECT_EQ(stage.steps[2].depends_on, std::vector<std::string>{"clone"});
  EXPECT_EQ(stage.steps[3].depends_on, (std::vector<std::string>{"a", "b"}));
}

TEST(Compile, LeavesStepsOutWhoseConditionsDoNotMatch) {
  Metadata metadata;
  metadata.event = "tag";
  metadata.target_branch = "release/1";
  const Stage stage = compiled(
      "kind: pipeline\ntype: vm\nclone: {disable: true}\nsteps:\n"
      "- {name: a, commands: [x], when: {event: push}}\n"
      "- {name: b, commands: [x], when: {event: [push, tag], branch: 'release/*'}}\n"
      "- {name: c, commands: [x], when: {branch: {exclude: ['release/*']}}}\n"
      "- {name: d, commands: [x], depends_on: [a], when: {status: [failure]}}\n",
      metadata);
  ASSERT_EQ(stage.steps.size(), 2U);
  EXPECT_EQ(stage.steps[0].name, "b");
  EXPECT_TRUE(stage.steps[1].depends_on.empty());
  EXPECT_EQ(stage.steps[1].run_policy, RunPolicy::on_failure);
}

TEST(Compile, LetsStepsOverrideWhatThePipelineMayNot) {
  const Stage stage = compiled(
      "kind: pipeline\ntype: vm\nenvironment: {CI: no, X: 1}\n"
      "steps: [{name: a, commands: [x], environment: {CI: step, X: 2}}, {name: b, commands: "
      "[x]}]\n");
  EXPECT_EQ(stage.steps[1].environment.at("CI"), "step");
  EXPECT_EQ(stage.steps[1].environment.at("X"), "2");
  EXPECT_EQ(stage.steps[2].environment.at("CI"), "true");
  EXPECT_EQ(stage.steps[2].environment.at("X"), "1");
}

/// The pipeline with one step more, and what became of the step.
std::string step_text(const std::string& key, const std::string& more = "") {
  const Stage stage = compiled("kind: pipeline\ntype: docker\nclone: {disable: true}\n" + more +
                               "steps:\n- {name: before, image: b}\n- name: a\n  image: b\n" +
                               (key.empty() ? "" : "  " + key + "\n"));
  for (const StageStep& step : stage.steps) {
    if (step.name == "before") continue;
    const Node document = to_document(stage, true);
    return wire_text(document.find("steps")->items.back());
  }
  return "left out";
}

TEST(Compile, HeedsEachKeyOfAStep) {
  const char* const volumes =
      "volumes: [{name: v, temp: {}}, {name: m, temp: {medium: memory, size_limit: 4096}}, "
      "{name: h, host: {path: /srv}}]\n";
  const std::string plain = step_text("", volumes);
  const std::vector<std::pair<std::string, std::string>> keys{
      {"commands: [echo x]", "echo x"},
      {"command: [one, two]", "two"},
      {"entrypoint: [/e]", "/e"},
      {"environment: {A: b}", "A: b"},
      {"settings: {some_key: [1, 2]}", "PLUGIN_SOME_KEY: 1,2"},
      {"detach: true", "detach"},
      {"failure: ignore", "ignore"},
      {"when: {branch: other}", "left out"},
      {"when: {status: [failure]}", "failure"},
      {"volumes: [{name: v, path: /v}]", "/v"},
      {"volumes: [{name: m, path: /m}]", "4096"},
      {"volumes: [{name: h, path: /h}]", "/srv"},
      {"privileged: true", "privileged"},
      {"pull: never", "never"},
      {"user: someone", "someone"},
      {"working_dir: /w", "/w"},
      {"network_mode: host", "host"},
      {"dns: [192.0.2.1]", "192.0.2.1"},
      {"dns_search: [example.org]", "example.org"},
      {"extra_hosts: [\"x:192.0.2.2\"]", "x:192.0.2.2"},
      {"devices: [{name: null, path: /dev/null}]", "/dev/null"},
      {"port_bindings: {8080: 80}", "8080"},
      {"shm_size: 64MiB", "67108864"},
      {"mem_limit: 1g", "1073741824"},
      {"memswap_limit: 2g", "2147483648"},
  };
  for (const auto& [key, trace] : keys) {
    const std::string text = step_text(key, volumes);
    EXPECT_NE(text, plain) << key;
    EXPECT_NE(text.find(trace), std::string::npos) << key << "\n" << text;
  }
}

TEST(Compile, MountsTheWorkspaceByType) {
  const auto mounts_of = [](const std::string& type) {
    const Stage stage = compiled("kind: pipeline\ntype: " + type +
                                 "\nsteps: [{name: a, image: i, commands: [x]}]\n");
    std::vector<std::string> out{stage.steps[1].folder};
    for (const StageMount& mount : stage.steps[1].mounts) {
      out.push_back(mount.source + ":" + mount.target);
    }
    return out;
  };
  EXPECT_EQ(mounts_of("docker"),
            (std::vector<std::string>{"/drone/src", "/r/drone/src:/drone/src"}));
  EXPECT_EQ(mounts_of("vm"), (std::vector<std::string>{"/r/drone/src", "/r:/r"}));
  EXPECT_EQ(mounts_of("aws"),
            (std::vector<std::string>{"/drone/src", "/r:/r", "/r/drone/src:/drone/src"}));
}

TEST(Compile, FallsBackFromARestrictedWorkspace) {
  for (const char* path : {"/", "/etc", "/usr/bin", "/proc/x", "/dev"}) {
    const Stage stage = compiled(std::string("kind: pipeline\ntype: docker\nworkspace: {path: ") +
                                 path + "}\nsteps: [{name: a, image: i, commands: [x]}]\n");
    EXPECT_EQ(stage.steps[1].folder, "/drone/src") << path;
  }
  const Stage stage = compiled(
      "kind: pipeline\ntype: docker\nworkspace: {base: /go, path: src/x}\n"
      "steps: [{name: a, image: i, commands: [x]}]\n");
  EXPECT_EQ(stage.steps[1].folder, "/go/src/x");
}

TEST(Masker, HidesValuesHoweverTheyArriveAndTheirEncodings) {
  const std::vector<std::string> patterns = mask_patterns({"abcdefghij", "two words"});
  const std::string text = "x abcdefghij YWJjZGVmZ2hpag== two%20words y\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Masker masker(patterns);
    std::string shown = masker.feed(std::string_view(text).substr(0, cut));
    shown += masker.feed(std::string_view(text).substr(cut));
    shown += masker.finish();
    EXPECT_EQ(shown, "x ****** ******== ****** y\n") << cut;
  }
}

TEST(TracedScript, ShowsCommandsAsWrittenWithoutRunningThem) {
  EXPECT_EQ(traced_script({"echo `date` $X 'q'"}),
            "\nset -e\n\nprintf '%s\\n' '+ echo `date` $X '\\''q'\\'''\necho `date` $X 'q'\n");
}

TEST(CloneScript, FetchesByKindOfRef) {
  Metadata metadata;
  metadata.repo_git_url = "https://h/r.git";
  metadata.commit = "abc";
  const std::string pipeline = "kind: pipeline\ntype: vm\nclone: {depth: 5}\nsteps: []\n";
  const auto script = [&] { return compiled(pipeline, metadata).steps.at(0).script; };
  EXPECT_NE(script().find("\ngit fetch --depth=5 origin +refs/heads/main:\n"), std::string::npos);
  EXPECT_NE(script().find("\ngit checkout abc -b main\n"), std::string::npos);
  metadata.ref = "refs/tags/v1";
  EXPECT_NE(script().find("\ngit checkout -qf FETCH_HEAD\n"), std::string::npos);
  metadata.ref = "refs/pull/7/head";
  EXPECT_NE(script().find("\ngit merge abc\n"), std::string::npos);
}

TEST(InstanceBlock, ReadsEverySettingOfTheProposal) {
  std::vector<Finding> findings;
  const Pipeline pipeline = read_pipeline(
      parse(
          "kind: pipeline\ntype: aws\ninstance: {image: ami-1, name: n, region: r, size: t3.large, "
          "subnet: subnet-1, groups: [sg-1], device: /dev/sda1, private_ip: true, volume_type: "
          "gp3, volume_size: 40, volume_iops: 3000, iam_profile_arn: 'arn:x', userdata: "
          "'#!/bin/sh', "
          "tags: {a: b}}\nsteps: []\n"),
      findings);
  EXPECT_TRUE(findings.empty());
  const InstanceBlock& block = *pipeline.instance;
  EXPECT_EQ(block.image, "ami-1");
  EXPECT_EQ(block.type, "t3.large");
  EXPECT_EQ(block.subnet, "subnet-1");
  EXPECT_EQ(block.security_groups, std::vector<std::string>{"sg-1"});
  EXPECT_EQ(block.device, "/dev/sda1");
  EXPECT_EQ(block.has_private_address_only, true);
  EXPECT_EQ(block.disk_type, "gp3");
  EXPECT_EQ(block.disk_size_gib, 40);
  EXPECT_EQ(block.disk_iops, 3000);
  EXPECT_EQ(block.iam_profile, "arn:x");
  EXPECT_EQ(block.user_data, "#!/bin/sh");
  EXPECT_EQ(block.tags.at("a"), "b");
}

}  // namespace
}  // namespace muster::pipeline
