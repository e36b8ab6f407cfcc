#include <cstring>

#include "ec2sim/guest/guest.hpp"

int main(int argc, char** argv) {
  const char* slash = std::strrchr(argv[0], '/');
  const char* name = slash == nullptr ? argv[0] : slash + 1;
  if (std::strcmp(name, "ec2sim-init") == 0) return ec2sim::guest::init_main(argc, argv);
  if (std::strcmp(name, "ec2sim-process") == 0) return ec2sim::guest::process_main(argc, argv);
  if (std::strcmp(name, "ec2sim-runc") == 0) return ec2sim::guest::runtime_main(argc, argv);
  return ec2sim::guest::shutdown_main(name, argc, argv);
}
