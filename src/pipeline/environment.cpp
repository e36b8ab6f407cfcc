#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "pipeline/stage.hpp"

namespace muster::pipeline {

namespace {

using Variables = std::map<std::string, std::string>;

/// The dotted parts, if all of them are numbers.
std::optional<std::vector<long>> numbers_of(const std::string& text) {
  std::vector<long> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    const auto number = parse_integer(text.substr(begin, end - begin));
    if (!number || *number < 0 || text[begin] == '+') return std::nullopt;
    out.push_back(static_cast<long>(*number));
    begin = end + 1;
  }
  return out;
}

/// Three dotted numbers, then `-prerelease` and `+build`.
void add_semver(Variables& out, const std::string& text) {
  const std::size_t plus = text.find('+');
  const std::string build = plus == std::string::npos ? "" : text.substr(plus + 1);
  const std::string rest = text.substr(0, plus);
  const std::size_t dash = rest.find('-');
  const std::string prerelease = dash == std::string::npos ? "" : rest.substr(dash + 1);
  const std::string core = rest.substr(0, dash);
  const auto parts = numbers_of(core);
  if (!parts || parts->size() != 3) {
    out["DRONE_SEMVER_ERROR"] = text + " is not in dotted-tri format";
    return;
  }
  const std::string brief = fmt::format("{}.{}.{}", (*parts)[0], (*parts)[1], (*parts)[2]);
  out["DRONE_SEMVER"] =
      brief + (prerelease.empty() ? "" : "-" + prerelease) + (build.empty() ? "" : "+" + build);
  out["DRONE_SEMVER_MAJOR"] = std::to_string((*parts)[0]);
  out["DRONE_SEMVER_MINOR"] = std::to_string((*parts)[1]);
  out["DRONE_SEMVER_PATCH"] = std::to_string((*parts)[2]);
  out["DRONE_SEMVER_SHORT"] = brief;
  if (!prerelease.empty()) out["DRONE_SEMVER_PRERELEASE"] = prerelease;
  if (!build.empty()) out["DRONE_SEMVER_BUILD"] = build;
}

/// `A.B[.C[-M]]` where A is a year.
void add_calver(Variables& out, const std::string& text) {
  const std::size_t dash = text.find('-');
  const std::string modifier = dash == std::string::npos ? "" : text.substr(dash + 1);
  const std::string core = text.substr(0, dash);
  const auto parts = numbers_of(core);
  if (!parts || parts->size() < 2 || parts->size() > 3 || (!modifier.empty() && parts->size() != 3))
    return;
  const long year = parts->front();
  if (!((year >= 19 && year <= 99) || (year >= 2019 && year <= 9998))) return;
  const std::size_t first = core.find('.');
  const std::size_t second = core.find('.', first + 1);
  const std::string major = core.substr(0, first);
  const std::string minor =
      core.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  const std::string micro = second == std::string::npos ? "" : core.substr(second + 1);
  out["DRONE_CALVER"] = text;
  out["DRONE_CALVER_MAJOR"] = major;
  out["DRONE_CALVER_MINOR"] = minor;
  out["DRONE_CALVER_MICRO"] = micro;
  out["DRONE_CALVER_MAJOR_MINOR"] = major + "." + minor;
  out["DRONE_CALVER_SHORT"] = core;
  if (!modifier.empty()) out["DRONE_CALVER_MODIFIER"] = modifier;
}

void add_tag(Variables& out, const std::string& tag) {
  out["DRONE_TAG"] = tag;
  const std::string version = tag.starts_with('v') ? tag.substr(1) : tag;
  add_semver(out, version);
  add_calver(out, version);
}

}  // namespace

std::string Metadata::slug() const {
  return repo_namespace.empty() ? repo_name : repo_namespace + "/" + repo_name;
}

std::map<std::string, std::string> stage_environment(const StageName& stage) {
  return {{"DRONE_STAGE_KIND", "pipeline"}, {"DRONE_STAGE_TYPE", stage.type},
          {"DRONE_STAGE_NAME", stage.name}, {"DRONE_STAGE_NUMBER", "1"},
          {"DRONE_STAGE_OS", stage.os},     {"DRONE_STAGE_ARCH", stage.arch},
          {"DRONE_STAGE_VARIANT", ""},      {"DRONE_STAGE_MACHINE", stage.machine},
          {"DRONE_STAGE_VERSION", "1"},     {"DRONE_STAGE_DEPENDS_ON", ""}};
}

std::map<std::string, std::string> build_environment(const Metadata& from) {
  const std::string created = std::to_string(from.created_at);
  const std::string number = std::to_string(from.build_number);
  const std::string is_private = from.repo_visibility == "public" ? "false" : "true";
  std::map<std::string, std::string> out{
      {"CI", "true"},
      {"DRONE", "true"},
      {"DRONE_SYSTEM_PROTO", from.system_proto},
      {"DRONE_SYSTEM_HOST", from.system_host},
      {"DRONE_SYSTEM_HOSTNAME", from.system_host},
      {"DRONE_SYSTEM_VERSION", from.system_version},
      {"DRONE_REPO", from.slug()},
      {"DRONE_REPO_SCM", "git"},
      {"DRONE_REPO_OWNER", from.repo_namespace},
      {"DRONE_REPO_NAMESPACE", from.repo_namespace},
      {"DRONE_REPO_NAME", from.repo_name},
      {"DRONE_REPO_LINK", from.repo_link},
      {"DRONE_REPO_BRANCH", from.repo_default_branch},
      {"DRONE_REMOTE_URL", from.repo_git_url},
      {"DRONE_GIT_HTTP_URL", from.repo_git_url},
      {"DRONE_GIT_SSH_URL", ""},
      {"DRONE_REPO_VISIBILITY", from.repo_visibility},
      {"DRONE_REPO_PRIVATE", is_private},
      {"CI_REPO", from.slug()},
      {"CI_REPO_NAME", from.slug()},
      {"CI_REPO_LINK", from.repo_link},
      {"CI_REPO_REMOTE", from.repo_git_url},
      {"CI_REMOTE_URL", from.repo_git_url},
      {"CI_REPO_PRIVATE", is_private},
      {"DRONE_BRANCH", from.target_branch},
      {"DRONE_TARGET_BRANCH", from.target_branch},
      {"DRONE_COMMIT_BRANCH", from.target_branch},
      {"DRONE_SOURCE_BRANCH", from.source_branch},
      {"DRONE_COMMIT", from.commit},
      {"DRONE_COMMIT_SHA", from.commit},
      {"DRONE_COMMIT_AFTER", from.commit},
      {"DRONE_COMMIT_BEFORE", from.commit_before},
      {"DRONE_COMMIT_REF", from.ref},
      {"DRONE_COMMIT_LINK", from.commit_link},
      {"DRONE_COMMIT_MESSAGE", from.message},
      {"DRONE_COMMIT_AUTHOR", from.author_login},
      {"DRONE_COMMIT_AUTHOR_NAME", from.author_name},
      {"DRONE_COMMIT_AUTHOR_EMAIL", from.author_email},
      {"DRONE_COMMIT_AUTHOR_AVATAR", ""},
      {"DRONE_BUILD_DEBUG", from.is_debug ? "true" : "false"},
      {"DRONE_DEPLOY_ID", from.deploy_id},
      {"DRONE_BUILD_NUMBER", number},
      {"DRONE_BUILD_PARENT", std::to_string(from.build_parent)},
      {"DRONE_BUILD_EVENT", from.event},
      {"DRONE_BUILD_ACTION", from.action},
      {"DRONE_BUILD_STATUS", "success"},
      {"DRONE_BUILD_CREATED", created},
      {"DRONE_BUILD_STARTED", created},
      {"DRONE_BUILD_FINISHED", created},
      {"DRONE_BUILD_TRIGGER", from.author_login},
      {"DRONE_DEPLOY_TO", from.deploy_to},
      {"DRONE_STAGE_STATUS", "success"},
      {"DRONE_STAGE_STARTED", created},
      {"DRONE_STAGE_FINISHED", created},
      {"DRONE_BUILD_LINK",
       fmt::format("{}://{}/{}/{}", from.system_proto, from.system_host, from.slug(), number)},
      {"CI_BUILD_NUMBER", number},
      {"CI_PARENT_BUILD_NUMBER", std::to_string(from.build_parent)},
      {"CI_BUILD_CREATED", created},
      {"CI_BUILD_STARTED", created},
      {"CI_BUILD_FINISHED", "0"},
      {"CI_BUILD_LINK", from.commit_link},
      {"CI_COMMIT_AUTHOR_AVATAR", ""},
      {"CI_BUILD_EVENT", from.event},
      {"CI_BUILD_STATUS", "running"},
      {"CI_BUILD_TARGET", from.deploy_to},
      {"CI_COMMIT_SHA", from.commit},
      {"CI_COMMIT_REF", from.ref},
      {"CI_COMMIT_BRANCH", from.target_branch},
      {"CI_COMMIT_MESSAGE", from.message},
      {"CI_COMMIT_AUTHOR", from.author_login},
      {"CI_COMMIT_AUTHOR_NAME", from.author_name},
      {"CI_COMMIT_AUTHOR_EMAIL", from.author_email},
  };
  if (from.ref.starts_with("refs/tags/")) add_tag(out, from.ref.substr(10));
  if (from.event == "pull_request") {
    const std::size_t first = from.ref.find_first_of("0123456789");
    if (first != std::string::npos) {
      const std::size_t last = from.ref.find_first_not_of("0123456789", first);
      out["DRONE_PULL_REQUEST"] = from.ref.substr(first, last - first);
    }
    out["DRONE_PULL_REQUEST_TITLE"] = from.title;
  }
  return out;
}

}  // namespace muster::pipeline
