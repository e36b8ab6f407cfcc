#include "ec2sim/machines.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace ec2sim {

std::string read_console(const std::string& dir) {
  constexpr std::size_t kConsoleBytes = 64 << 10;
  std::ifstream file(dir + "/console", std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  return all.size() > kConsoleBytes ? all.substr(all.size() - kConsoleBytes) : all;
}

int lock_by_name(const std::string& text) {
  const int lock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  text.copy(name.sun_path + 1, text.size());
  const auto size = static_cast<socklen_t>(sizeof(sa_family_t) + 1 + text.size());
  if (bind(lock, reinterpret_cast<sockaddr*>(&name), size) == 0) return lock;
  close(lock);
  return -1;
}

int open_guest_program() {
  const int file = memfd_create("ec2sim-guest", MFD_CLOEXEC);
  const std::string program = guest_program();
  if (file < 0) return -1;
  if (write(file, program.data(), program.size()) == static_cast<ssize_t>(program.size()))
    return file;
  close(file);
  return -1;
}

}  // namespace ec2sim
