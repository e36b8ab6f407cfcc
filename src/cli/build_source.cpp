#include "cli/build_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "adapters/git/local_repository.hpp"
#include "base/nearest.hpp"
#include "cli/pipeline_source.hpp"

namespace muster::cli {
namespace {

/// `https://host/owner/name.git` as owner and name.
void name_repository(pipeline::Metadata& to, const std::string& url) {
  std::string path = url;
  while (path.ends_with('/')) path.pop_back();
  if (path.ends_with(".git")) path.erase(path.size() - 4);
  const std::size_t slash = path.rfind('/');
  to.repo_name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (slash == std::string::npos) return;
  const std::string before = path.substr(0, slash);
  to.repo_namespace = before.substr(before.find_last_of("/:") + 1);
}

bool is_event(const std::string& event) {
  for (const char* known :
       {"push", "pull_request", "tag", "promote", "rollback", "cron", "custom"}) {
    if (event == known) return true;
  }
  return false;
}

}  // namespace

Result<BuildSource> load_build(const BuildFlags& flags, const std::string& root) {
  if (!is_event(flags.event)) {
    return fail(ErrorKind::invalid_input, fmt::format("--event \"{}\" is no event", flags.event),
                "Use push, pull_request, tag, promote, rollback, cron or custom.", "E0101");
  }
  if (flags.repo.empty() && (!flags.branch.empty() || !flags.commit.empty())) {
    return fail(ErrorKind::invalid_input, "--branch and --commit go with --repo",
                "Check the branch out here, or name a URL with --repo.", "E0101");
  }
  const std::size_t scheme = flags.repo.find("://");
  const bool has_user =
      scheme != std::string::npos &&
      flags.repo.substr(scheme + 3, flags.repo.find('/', scheme + 3) - scheme - 3).find('@') !=
          std::string::npos &&
      !flags.repo.starts_with("ssh://");
  if (has_user) {
    return fail(ErrorKind::invalid_input, "--repo holds a user or token, which logs would show",
                "Give a URL without; private repositories come with secrets, in a later version.",
                "E0101");
  }
  BuildSource out;
  pipeline::Metadata& build = out.metadata;
  build.event = flags.event;
  build.deploy_to = flags.deploy_to;
  build.system_version = MUSTER_VERSION;
  build.created_at = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  if (flags.repo.empty()) {
    std::filesystem::path folder = std::filesystem::path(flags.file).parent_path();
    if (folder.empty()) folder = ".";
    std::error_code ignored;
    if (!std::filesystem::exists(flags.file, ignored)) {
      return fail(ErrorKind::not_found, fmt::format("there is no {}", flags.file),
                  "Name the pipeline's file, or go to its folder.", "E0303");
    }
    Result<git::Snapshot> snapshot = git::take_snapshot(folder.string());
    if (!snapshot) return tl::unexpected<Error>(snapshot.error());
    build.target_branch = snapshot->branch;
    build.source_branch = build.target_branch;
    build.commit = snapshot->commit;
    build.message = snapshot->message;
    build.author_name = snapshot->author_name;
    build.author_email = snapshot->author_email;
    build.author_login = snapshot->author_name;
    name_repository(build, snapshot->remote.empty() ? snapshot->name : snapshot->remote);
    build.repo_git_url = "file://" + root + "/repo.git";
    build.ref = "refs/heads/" + snapshot->branch;
    out.bundle = std::move(snapshot->bundle);
    out.summary = fmt::format("{} file{}, {} \"{}\"", snapshot->file_count,
                              snapshot->file_count == 1 ? "" : "s", snapshot->commit.substr(0, 7),
                              snapshot->subject);
  } else {
    name_repository(build, flags.repo);
    build.repo_git_url = flags.repo;
    build.target_branch = flags.branch.empty() ? "main" : flags.branch;
    build.source_branch = build.target_branch;
    build.ref = "refs/heads/" + build.target_branch;
    build.commit = flags.commit;
    out.summary = fmt::format("{} {}", flags.repo, build.target_branch);
  }
  build.repo_default_branch = build.target_branch;
  PipelineRequest request{flags.file, flags.pipeline, build};
  Result<pipeline::Pipeline> pipeline = load_pipeline(request);
  if (!pipeline) return tl::unexpected<Error>(pipeline.error());
  out.pipeline = std::move(*pipeline);
  std::vector<std::string> names;
  for (const auto* steps : {&out.pipeline.services, &out.pipeline.steps}) {
    for (const pipeline::Step& step : *steps) names.push_back(step.name);
  }
  for (const auto* named : {&flags.include, &flags.exclude}) {
    for (const std::string& name : *named) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const auto near = nearest_name(name, names);
      return fail(ErrorKind::invalid_input, fmt::format("the pipeline has no step \"{}\"", name),
                  near ? fmt::format("Did you mean {}?", *near) : "muster compile shows its steps.",
                  "E0101");
    }
  }
  if (out.pipeline.clone.is_disabled) out.bundle.clear();
  return out;
}

}  // namespace muster::cli
