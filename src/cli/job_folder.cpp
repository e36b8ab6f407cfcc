#include "cli/job_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "adapters/system/files.hpp"
#include "cli/configuration.hpp"
#include "cli/run_folder.hpp"
#include "fleet/controller.hpp"
#include "wire/json.hpp"

namespace muster::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::hours kKept{24 * 7};
constexpr std::size_t kBundleBytesMax = std::size_t{1} << 32;

std::string jobs_folder() { return state_folder() + "/jobs"; }

/// A CI server's id may be anything; a folder's name may not.
std::string folder_of(const std::string& job) {
  std::string name;
  for (const char c : job) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_';
    name += is_plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return jobs_folder() + "/" + name.substr(0, 200);
}

/// Nobody looks on: the logs are all.
class Unwatched : public RunObserver {
 public:
  void phase_done(std::string_view, std::string_view, Duration) override {}
  void note(std::string_view) override {}
  void step_started(const std::string&) override {}
  void step_output(const std::string&, std::string_view) override {}
  void step_finished(const std::string&, const StepResult&) override {}
};

std::string index_of(const std::string& folder) { return folder + "/steps.jsonl"; }

/// Logs of steps, and a list of them in the order in which they began.
class KeptOutput : public StepLogs {
 public:
  KeptOutput(std::unique_ptr<Unwatched> next, const std::string& folder)
      : StepLogs(*next, folder), next_(std::move(next)), index_(index_of(folder)) {}

  void step_started(const std::string& step) override {
    note(step, "running", 0);
    StepLogs::step_started(step);
  }
  void step_finished(const std::string& step, const StepResult& result) override {
    note(step, to_string(result.outcome), result.exit_code);
    StepLogs::step_finished(step, result);
  }

 private:
  using StepLogs::note;
  void note(const std::string& step, std::string_view outcome, int exit_code) const {
    Node line = Node::mapping();
    line.set("step", Node::string(step)).set("outcome", Node::string(std::string(outcome)));
    line.set("exit_code", Node::number(exit_code));
    const int file = ::open(index_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return;
    const std::string text = wire::to_json(line) + "\n";
    // A full disk costs the list, not the job.
    static_cast<void>(!::write(file, text.data(), text.size()));
    ::close(file);
  }

  std::unique_ptr<Unwatched> next_;
  std::string index_;
};

std::string folder_of_job(const JobId& job) {
  constexpr std::string_view kSubmitted = "submit/";
  const std::string& id = job.value();
  return folder_of(id.starts_with(kSubmitted) ? id.substr(kSubmitted.size()) : id);
}

}  // namespace

Result<std::string> JobFolder::make(const std::string& job) {
  std::string path = folder_of(job);
  std::error_code error;
  fs::create_directories(path + "/steps", error);
  if (error) {
    return fail(ErrorKind::unavailable, fmt::format("cannot make {}: {}", path, error.message()),
                "Set MUSTER_STATE to a folder that can be written.", "E0303");
  }
  chmod(path.c_str(), 0700);
  return path;
}

Status JobFolder::write_bundle(const std::string& job, const std::string& bytes) {
  const Result<std::string> path = make(job);
  if (!path) return tl::unexpected<Error>(path.error());
  return system::write_file(*path + "/bundle", bytes, 0600);
}

Result<std::string> JobFolder::read_bundle(const std::string& job) {
  const std::string path = folder_of(job) + "/bundle";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::string();
  return system::read_file(path, kBundleBytesMax);
}

void JobFolder::remove_old() {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  fs::directory_iterator at(jobs_folder(), error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    const bool is_old = now - fs::last_write_time(at->path() / "steps", ignored) > kKept;
    if (!ignored && is_old) fs::remove_all(at->path(), ignored);
  }
}

std::unique_ptr<RunObserver> JobLogs::open(const Job& job, const LeaseId& lease) {
  static_cast<void>(lease);
  JobFolder::remove_old();
  const std::string id = ci_id_of(job);
  const Result<std::string> folder = JobFolder::make(job.source == "submit" ? id : job.id.value());
  if (!folder) return std::make_unique<Unwatched>();
  return std::make_unique<KeptOutput>(std::make_unique<Unwatched>(), *folder);
}

Result<std::vector<StepLog>> JobLogs::steps_of(const JobId& job) const {
  constexpr std::size_t kIndexBytesMax = 16 << 20;
  const std::string folder = folder_of_job(job);
  std::error_code error;
  if (!fs::exists(index_of(folder), error)) {
    return fail(ErrorKind::not_found, fmt::format("job {} has no logs", job.value()),
                "They begin with its first step, and are kept for a week.");
  }
  const Result<std::string> text = system::read_file(index_of(folder), kIndexBytesMax);
  if (!text) return tl::unexpected<Error>(text.error());
  std::vector<StepLog> steps;
  for (std::size_t begin = 0; begin < text->size();) {
    const std::size_t end = std::min(text->find('\n', begin), text->size());
    const Result<Node> line = wire::parse_json(std::string_view(*text).substr(begin, end - begin));
    begin = end + 1;
    if (!line) continue;  // The last one, on a full disk.
    const std::string name = line->text_at({"step"});
    auto step = std::find_if(steps.begin(), steps.end(),
                             [&](const StepLog& one) { return one.step == name; });
    if (step == steps.end()) step = steps.insert(steps.end(), StepLog{name, "", 0, 0});
    step->outcome = line->text_at({"outcome"});
    step->exit_code = static_cast<int>(parse_integer(line->text_at({"exit_code"})).value_or(0));
  }
  for (StepLog& step : steps) {
    const auto size = fs::file_size(folder + "/steps/" + StepLogs::file_of(step.step), error);
    step.bytes = error ? 0 : static_cast<std::size_t>(size);
  }
  return steps;
}

Result<std::string> JobLogs::read(const JobId& job, const std::string& step, std::size_t offset,
                                  std::size_t bytes_max) const {
  const std::string path = folder_of_job(job) + "/steps/" + StepLogs::file_of(step);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) {
      const Result<std::vector<StepLog>> steps = steps_of(job);
      const bool is_known =
          steps && std::any_of(steps->begin(), steps->end(),
                               [&](const StepLog& one) { return one.step == step; });
      if (is_known) return std::string();  // It has printed nothing yet.
    }
    return fail(ErrorKind::not_found,
                fmt::format("job {} has no log of a step \"{}\"", job.value(), step),
                "muster logs JOB shows its steps.");
  }
  std::string bytes(bytes_max, '\0');
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  const int why = errno;
  ::close(file);
  if (got < 0) {
    return fail(ErrorKind::unavailable,
                fmt::format("cannot read {}: {}", path, std::strerror(why)));
  }
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

}  // namespace muster::cli
