#include "cli/run_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "cli/configuration.hpp"
#include "pipeline/stage.hpp"
#include "wire/digest.hpp"
#include "wire/encoding.hpp"

namespace muster::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::hours kKept{24 * 7};

void remove_old_runs(const std::string& folder) {
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    const bool is_old = now - fs::last_write_time(at->path(), ignored) > kKept;
    const bool is_run = at->path().filename().string().starts_with("run-");
    if (!ignored && is_old && is_run) fs::remove_all(at->path(), ignored);
  }
}

}  // namespace

Result<std::unique_ptr<RunFolder>> RunFolder::open(const std::string& run) {
  const std::string runs = state_folder() + "/runs";
  remove_old_runs(runs);
  std::unique_ptr<RunFolder> made(new RunFolder(runs + "/" + run));
  std::error_code error;
  fs::create_directories(made->path_ + "/steps", error);
  const std::string lock = made->path_ + "/lock";
  made->lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (error || made->lock_ < 0) {
    return fail(ErrorKind::unavailable,
                fmt::format("cannot write {}: {}", made->path_, std::strerror(errno)),
                "Set MUSTER_STATE to a folder that can be written.", "E0303");
  }
  chmod(made->path_.c_str(), 0700);
  if (flock(made->lock_, LOCK_EX | LOCK_NB) == 0) return made;
  return fail(ErrorKind::conflict, fmt::format("another muster works on {}", run),
              "Wait for it to end.", "E0441");
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) close(lock_);
}

/// One step's file: what was there before is not shown again.
struct StepLogs::Log {
  int file = -1;
  std::size_t skipped = 0;  // Still to come, and there from an earlier part.
  std::size_t size = 0;
  bool is_full = false;

  ~Log() {
    if (file >= 0) close(file);
  }
  void append(std::string_view bytes) {
    if (file < 0 || is_full) return;
    if (size + bytes.size() > kBytesMax) {
      const std::string notice = fmt::format(
          "\n[muster: the log keeps {} MiB of a step; the rest was only shown]\n", kBytesMax >> 20);
      bytes = bytes.substr(0, kBytesMax - size);
      is_full = true;
      put(bytes);
      put(notice);
      return;
    }
    put(bytes);
  }
  void put(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(file, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        is_full = true;  // A full disk costs the log, not the run.
        return;
      }
      size += static_cast<std::size_t>(written);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }
};

void RunFolder::remove_bundle() const { ::unlink(bundle_path().c_str()); }

StepLogs::StepLogs(RunObserver& next, std::string folder)
    : next_(next), folder_(std::move(folder)) {}

StepLogs::~StepLogs() = default;

std::string StepLogs::file_of(const std::string& step) {
  // Two names may have one slug.
  const std::string mark = wire::hex_encode(wire::sha256(step)).substr(0, 6);
  return fmt::format("{}-{}.log", pipeline::slug(step), mark);
}

StepLogs::Log& StepLogs::log_of(const std::string& step) {
  std::unique_ptr<Log>& log = logs_[step];
  if (log) return *log;
  log = std::make_unique<Log>();
  const std::string path = folder_ + "/steps/" + file_of(step);
  log->file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat info{};
  if (log->file >= 0 && fstat(log->file, &info) == 0) {
    log->size = static_cast<std::size_t>(info.st_size);
    log->skipped = std::min(log->size, kBytesMax);
    log->is_full = log->size >= kBytesMax;
  }
  return *log;
}

void StepLogs::phase_done(std::string_view name, std::string_view text, Duration took) {
  next_.phase_done(name, text, took);
}

void StepLogs::note(std::string_view text) { next_.note(text); }

void StepLogs::step_started(const std::string& step) { next_.step_started(step); }

void StepLogs::step_output(const std::string& step, std::string_view bytes) {
  Log& log = log_of(step);
  const std::size_t known = std::min(log.skipped, bytes.size());
  log.skipped -= known;
  bytes.remove_prefix(known);
  if (bytes.empty()) return;
  log.append(bytes);
  next_.step_output(step, bytes);
}

void StepLogs::step_finished(const std::string& step, const StepResult& result) {
  next_.step_finished(step, result);
}

}  // namespace muster::cli
