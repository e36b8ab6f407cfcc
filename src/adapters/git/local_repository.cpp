#include "adapters/git/local_repository.hpp"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "adapters/system/process.hpp"

namespace muster::git {
namespace {

namespace fs = std::filesystem;

/// An interrupt waits until the temporary folder is gone again.
class SignalsWait {
 public:
  SignalsWait() {
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&blocked, signal);
    sigprocmask(SIG_BLOCK, &blocked, &before_);
  }
  ~SignalsWait() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

 private:
  sigset_t before_{};
};

struct TemporaryFolder {
  std::string path;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

/// git commands over one work tree, with a repository of their own beside it.
class Git {
 public:
  Git(std::string folder, std::vector<std::pair<std::string, std::string>> environment)
      : folder_(std::move(folder)), environment_(std::move(environment)) {}

  [[nodiscard]] Result<std::string> run(std::vector<std::string> arguments) const {
    system::ProcessRequest request;
    request.arguments = {"git"};
    for (std::string& argument : arguments) request.arguments.push_back(std::move(argument));
    request.environment = environment_;
    request.folder = folder_;
    Result<system::ProcessResult> result = system::run_process(request);
    if (!result) return tl::unexpected<Error>(result.error());
    if (result->exit_code == 0) return trimmed(std::move(result->out));
    return fail(ErrorKind::unavailable, fmt::format("git {} failed in {}: {}", request.arguments[1],
                                                    folder_, trimmed(result->err)));
  }

 private:
  std::string folder_;
  std::vector<std::pair<std::string, std::string>> environment_;
};

/// What a program that was killed has left.
void remove_old_folders() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(fs::temp_directory_path(), ignored)) {
    const std::string name = entry.path().filename();
    struct stat info{};
    const bool is_ours = name.size() == 13 && name.starts_with("muster-") &&
                         lstat(entry.path().c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
                         info.st_uid == geteuid() && fs::exists(entry.path() / "repo.git", ignored);
    const auto age = fs::file_time_type::clock::now() - fs::last_write_time(entry.path(), ignored);
    if (is_ours && age > std::chrono::hours{1}) fs::remove_all(entry.path(), ignored);
  }
}

/// Whoever runs muster there by mistake does not mean all of it.
Status check_plain_folder(const std::string& folder) {
  std::error_code ignored;
  const fs::path whole = fs::canonical(folder, ignored);
  const char* home = std::getenv("HOME");
  const bool is_home = home != nullptr && whole == fs::canonical(home, ignored);
  if (!is_home && whole != "/") return {};
  return fail(ErrorKind::invalid_input,
              fmt::format("{} is no git repository, and all of it would be sent", whole.string()),
              "Go to the project's folder, or make it a repository with git init.");
}

}  // namespace

Result<Snapshot> take_snapshot(const std::string& folder) {
  const SignalsWait wait;
  remove_old_folders();
  const Git original(folder, {});
  const Result<std::string> top = original.run({"rev-parse", "--show-toplevel"});
  if (!top && top.error().kind == ErrorKind::not_found) return tl::unexpected<Error>(top.error());
  const Result<std::string> head = original.run({"rev-parse", "--verify", "-q", "HEAD"});
  const Result<std::string> branch = original.run({"symbolic-ref", "-q", "--short", "HEAD"});
  const Result<std::string> objects =
      original.run({"rev-parse", "--path-format=absolute", "--git-path", "objects"});

  if (!top) {
    if (Status fine = check_plain_folder(folder); !fine) return tl::unexpected<Error>(fine.error());
  }
  std::string pattern = (fs::temp_directory_path() / "muster-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    return fail(ErrorKind::unavailable, "no temporary folder can be made", "Check TMPDIR.");
  }
  const TemporaryFolder temporary{pattern};
  const std::string own = pattern + "/repo.git";
  const Result<std::string> made = Git(pattern, {}).run({"init", "-q", "--bare", own});
  if (!made) return tl::unexpected<Error>(made.error());
  if (objects) std::ofstream(own + "/objects/info/alternates") << *objects << "\n";

  // What the repository keeps beside its objects counts here too.
  for (const char* name : {"info/exclude", "shallow"}) {
    const Result<std::string> path =
        original.run({"rev-parse", "--path-format=absolute", "--git-path", name});
    std::error_code ignored;
    if (path) fs::copy_file(*path, own + "/" + name, fs::copy_options::overwrite_existing, ignored);
  }
  const std::string tree_folder = fs::absolute(top ? *top : folder).lexically_normal().string();
  const Git git(tree_folder, {{"GIT_DIR", own},
                              {"GIT_WORK_TREE", tree_folder},
                              {"GIT_AUTHOR_NAME", "muster"},
                              {"GIT_AUTHOR_EMAIL", "muster@localhost"},
                              {"GIT_COMMITTER_NAME", "muster"},
                              {"GIT_COMMITTER_EMAIL", "muster@localhost"}});
  Snapshot out;
  out.is_repository = top.has_value();
  out.branch = branch ? *branch : "main";
  out.name = fs::path(tree_folder).filename().string();
  if (out.name.empty()) out.name = fs::path(tree_folder).parent_path().filename().string();
  out.remote = original.run({"config", "--get", "remote.origin.url"}).value_or("");
  if (head) {
    const Result<std::string> read = git.run({"read-tree", *head});
    if (!read) return tl::unexpected<Error>(read.error());
  }
  std::vector<std::string> adding{"add", "-A", "--", "."};
  if (!top) {
    adding.insert(adding.end(), {":(exclude,glob)**/.*", ":(exclude,glob)**/.*/**"});
  }
  const Result<std::string> added = git.run(std::move(adding));
  if (!added) return tl::unexpected<Error>(added.error());
  const Result<std::string> tree = git.run({"write-tree"});
  if (!tree) return tl::unexpected<Error>(tree.error());
  const Result<std::string> before = head ? git.run({"rev-parse", *head + "^{tree}"}) : head;
  out.has_changes = !before || *before != *tree;
  out.commit = head.value_or("");
  if (out.has_changes) {
    std::vector<std::string> commit{"commit-tree", *tree, "-m", "Uncommitted changes"};
    if (head) commit.insert(commit.end(), {"-p", *head});
    const Result<std::string> committed = git.run(std::move(commit));
    if (!committed) return tl::unexpected<Error>(committed.error());
    out.commit = *committed;
  }
  const std::string ref = "refs/heads/" + out.branch;
  const Result<std::string> set = git.run({"update-ref", ref, out.commit});
  if (!set) return tl::unexpected<Error>(set.error());
  const Result<std::string> shown =
      git.run({"show", "-s", "--format=%s%x00%an%x00%ae%x00%B", out.commit});
  if (!shown) return tl::unexpected<Error>(shown.error());
  std::istringstream fields(*shown);
  std::getline(fields, out.subject, '\0');
  std::getline(fields, out.author_name, '\0');
  std::getline(fields, out.author_email, '\0');
  std::getline(fields, out.message, '\0');
  out.message = trimmed(out.message);
  const Result<std::string> files = git.run({"ls-tree", "-r", "--name-only", out.commit});
  if (!files) return tl::unexpected<Error>(files.error());
  out.file_count =
      files->empty() ? 0 : static_cast<int>(std::count(files->begin(), files->end(), '\n')) + 1;
  const std::string bundle = pattern + "/bundle";
  const Result<std::string> bundled = git.run({"bundle", "create", "-q", bundle, ref});
  if (!bundled) return tl::unexpected<Error>(bundled.error());
  std::ifstream file(bundle, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  out.bundle = bytes.str();
  return out;
}

}  // namespace muster::git
