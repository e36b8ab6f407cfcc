#include "adapters/system/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace muster::system {
namespace {

ErrorKind kind_of(int error) {
  if (error == ENOENT || error == ENOTDIR) return ErrorKind::not_found;
  if (error == EACCES || error == EPERM || error == EROFS) return ErrorKind::forbidden;
  return ErrorKind::unavailable;
}

tl::unexpected<Error> failed(std::string_view what, const std::string& path, int error) {
  return fail(kind_of(error), fmt::format("cannot {} {}: {}", what, path, std::strerror(error)));
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

bool write_all(int fd, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t size = write(fd, bytes.data() + done, bytes.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    done += static_cast<std::size_t>(size);
  }
  return true;
}

/// Writes a file of a unique name beside `path`; gives its name.
Result<std::string> write_beside(const std::string& path, const std::string& bytes, int mode) {
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && !std::filesystem::exists(folder)) {
    std::filesystem::create_directories(folder, error);
    if (error) return failed("make", folder.string(), error.value());
    chmod(folder.c_str(), (static_cast<mode_t>(mode) & 077) == 0 ? 0700 : 0755);
  }
  std::string name = path + ".XXXXXX";
  const Descriptor file{mkstemp(name.data())};
  if (file.fd < 0) return failed("write", path, errno);
  const bool is_written = fchmod(file.fd, static_cast<mode_t>(mode)) == 0 &&
                          write_all(file.fd, bytes) && fsync(file.fd) == 0;
  if (is_written) return name;
  const int failure = errno;
  unlink(name.c_str());
  return failed("write", path, failure);
}

void sync_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const Descriptor handle{open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC)};
  if (handle.fd >= 0) fsync(handle.fd);
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return failed("read", path, errno);
  struct stat info{};
  if (fstat(file.fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    return fail(ErrorKind::invalid_input, fmt::format("{} is a folder", path), "Name a file.");
  }
  std::string bytes;
  char block[65536];
  while (true) {
    const ssize_t size = read(file.fd, block, sizeof block);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed("read", path, errno);
    if (size == 0) return bytes;
    bytes.append(block, static_cast<std::size_t>(size));
    if (bytes.size() > bytes_max) {
      return fail(ErrorKind::invalid_input,
                  fmt::format("{} is over the limit of {} bytes", path, bytes_max));
    }
  }
}

Result<std::string> read_standard_input(std::size_t bytes_max) {
  std::string all;
  std::string block(65536, '\0');
  while (true) {
    const ssize_t size = read(STDIN_FILENO, block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return all;
    all.append(block, 0, static_cast<std::size_t>(size));
    if (all.size() > bytes_max) {
      return fail(ErrorKind::invalid_input,
                  fmt::format("standard input is over {} bytes", bytes_max));
    }
  }
}

Status write_file(const std::string& path, const std::string& bytes, int mode) {
  const Result<std::string> beside = write_beside(path, bytes, mode);
  if (!beside) return tl::unexpected<Error>(beside.error());
  if (rename(beside->c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(beside->c_str());
    return failed("write", path, error);
  }
  sync_folder(path);
  return {};
}

Result<std::string> read_or_create(const std::string& path, const std::string& bytes, int mode) {
  Result<std::string> before = read_file(path);
  if (before || before.error().kind != ErrorKind::not_found) return before;
  const Result<std::string> beside = write_beside(path, bytes, mode);
  if (!beside) return tl::unexpected<Error>(beside.error());
  // link() fails when another process was first: then its file counts.
  const bool is_first = link(beside->c_str(), path.c_str()) == 0;
  const int error = errno;
  unlink(beside->c_str());
  if (!is_first && error != EEXIST) return failed("write", path, error);
  sync_folder(path);
  return read_file(path);
}

}  // namespace muster::system
