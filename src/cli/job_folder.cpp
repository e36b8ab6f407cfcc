#include "cli/job_folder.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "adapters/system/files.hpp"
#include "cli/configuration.hpp"
#include "cli/run_folder.hpp"
#include "fleet/controller.hpp"

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

class KeptOutput : public StepLogs {
 public:
  KeptOutput(std::unique_ptr<Unwatched> next, const std::string& folder)
      : StepLogs(*next, folder), next_(std::move(next)) {}

 private:
  std::unique_ptr<Unwatched> next_;
};

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

}  // namespace muster::cli
