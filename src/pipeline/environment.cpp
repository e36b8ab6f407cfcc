#include <fmt/format.h>

#include "pipeline/stage.hpp"

namespace muster::pipeline {

std::string Metadata::slug() const {
  return repo_namespace.empty() ? repo_name : repo_namespace + "/" + repo_name;
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
      {"DRONE_BUILD_NUMBER", number},
      {"DRONE_BUILD_PARENT", "0"},
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
  if (from.ref.starts_with("refs/tags/")) out["DRONE_TAG"] = from.ref.substr(10);
  if (from.event == "pull_request") {
    const std::size_t first = from.ref.find_first_of("0123456789");
    if (first != std::string::npos) {
      const std::size_t last = from.ref.find_first_not_of("0123456789", first);
      out["DRONE_PULL_REQUEST"] = from.ref.substr(first, last - first);
    }
  }
  return out;
}

}  // namespace muster::pipeline
