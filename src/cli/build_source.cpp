#include "cli/build_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "adapters/git/local_repository.hpp"
#include "adapters/system/files.hpp"
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

/// `KEY=value` lines; a value in double quotes may hold \\n, \\" and \\\\.
Result<std::vector<std::pair<std::string, std::string>>> read_pairs(const std::string& path) {
  const Result<std::string> text =
      path == "-" ? system::read_standard_input(1 << 20) : system::read_file(path, 1 << 20);
  if (!text) {
    Error error = text.error();
    error.code = "E0303";
    error.remedy = "Correct the path or its permissions.";
    return tl::unexpected<Error>(error);
  }
  std::vector<std::pair<std::string, std::string>> pairs;
  std::istringstream lines(*text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t equals = line.find('=');
    // Also `export KEY=value` and `KEY = value`, which mean something else elsewhere.
    const bool is_name = line.substr(0, equals).find_first_not_of(
                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
                         std::string::npos;
    if (equals == std::string::npos || equals == 0 || !is_name) {
      // The line may be a secret: it is not shown.
      return fail(ErrorKind::invalid_input, fmt::format("{}:{}: is not KEY=value", path, number),
                  "Write one KEY=value a line, without export and without spaces around the =.",
                  "E0301");
    }
    std::string value = line.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      std::string plain;
      for (std::size_t i = 1; i + 1 < value.size(); ++i) {
        const bool escapes = value[i] == '\\' && i + 2 < value.size();
        if (escapes) ++i;
        plain += escapes && value[i] == 'n' ? '\n' : value[i];
      }
      value = std::move(plain);
    }
    pairs.emplace_back(line.substr(0, equals), std::move(value));
  }
  return pairs;
}

/// An unknown secret is an empty variable, as with Drone; a typo in its name deserves a word.
void warn_of_missing_secrets(const BuildSource& build) {
  std::set<std::string> told;
  for (const auto* steps : {&build.pipeline.services, &build.pipeline.steps}) {
    for (const pipeline::Step& step : *steps) {
      for (const auto* values : {&step.environment, &step.settings}) {
        for (const auto& [name, value] : *values) {
          std::string key = value.secret;
          for (char& c : key) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
          if (key.empty() || build.secrets.contains(key) || !told.insert(key).second) continue;
          fmt::print(stderr, "  warning   secret {} is not given (--secret-file), so it is empty\n",
                     value.secret);
        }
      }
    }
  }
}

Status read_files(const BuildFlags& flags, BuildSource& to) {
  for (const std::string& file : flags.secret_files) {
    const auto pairs = read_pairs(file);
    if (!pairs) return tl::unexpected<Error>(pairs.error());
    for (auto [name, value] : *pairs) {
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      to.secrets[name] = Secret(value);
    }
  }
  for (const std::string& file : flags.environment_files) {
    const auto pairs = read_pairs(file);
    if (!pairs) return tl::unexpected<Error>(pairs.error());
    for (const auto& [name, value] : *pairs) to.globals[name] = value;
  }
  // A proxy that muster goes through is a proxy for its steps too.
  for (const char* name : {"no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "https_proxy",
                           "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') to.globals.emplace(name, value);
  }
  return {};
}

}  // namespace

pipeline::CompileOptions compile_options(const BuildSource& build, const BuildFlags& flags,
                                         const std::string& root, const std::string& id) {
  pipeline::CompileOptions options;
  options.root = root;
  options.id = id;
  options.include = flags.include;
  options.exclude = flags.exclude;
  options.secrets = build.secrets;
  options.globals = build.globals;
  options.is_privileged = !flags.is_untrusted;
  return options;
}

Status obey_pool(const Pool& pool, const pipeline::Pipeline& pipeline,
                 pipeline::CompileOptions& options) {
  if (pool.privileged) return {};
  options.is_privileged = false;
  for (const auto* steps : {&pipeline.services, &pipeline.steps}) {
    const auto found = std::find_if(steps->begin(), steps->end(),
                                    [](const pipeline::Step& step) { return step.is_privileged; });
    if (found == steps->end()) continue;
    return fail(
        ErrorKind::invalid_input,
        fmt::format("step {} asks for privileged, and pool {} forbids it", found->name,
                    pool.name.value()),
        fmt::format("Set pools.{}.privileged: true, or name another pool.", pool.name.value()),
        "E0301");
  }
  return {};
}

Result<BuildSource> load_build(const BuildFlags& flags, const std::string& root) {
  if (!is_event(flags.event)) {
    return fail(ErrorKind::invalid_input, fmt::format("--event \"{}\" is no event", flags.event),
                "Use push, pull_request, tag, promote, rollback, cron or custom.", "E0101");
  }
  if (!flags.ref.empty() && !flags.ref.starts_with("refs/")) {
    return fail(ErrorKind::invalid_input, fmt::format("--ref \"{}\" is no full ref", flags.ref),
                "Write one such as refs/tags/v1.2.3 or refs/pull/7/head.", "E0101");
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
  if (Status read = read_files(flags, out); !read) return tl::unexpected<Error>(read.error());
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
    if (std::filesystem::is_directory(flags.file, ignored)) {
      return fail(ErrorKind::invalid_input, fmt::format("{} is a folder", flags.file),
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
    if (!snapshot->is_repository) out.summary += "; no git repository, hidden files stay out";
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
  if (!flags.ref.empty()) build.ref = flags.ref;
  if (build.ref.starts_with("refs/tags/")) {
    if (build.event == "push") build.event = "tag";
    // A tag belongs to no branch.
    build.target_branch.clear();
    build.source_branch.clear();
  }
  const std::size_t line_end = std::min(build.message.find('\n'), build.message.size());
  build.title = build.message.substr(0, line_end);
  PipelineRequest request{flags.file, flags.pipeline, build, out.globals, !flags.is_untrusted};
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
  warn_of_missing_secrets(out);
  return out;
}

}  // namespace muster::cli
