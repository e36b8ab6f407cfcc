#include "ec2sim/machines.hpp"

// The build puts the static guest program and the service manager into this object file.
__asm__(
    ".section .rodata\n"
    ".global ec2sim_guest_begin\n"
    ".global ec2sim_guest_end\n"
    ".global ec2sim_systemctl_begin\n"
    ".global ec2sim_systemctl_end\n"
    "ec2sim_guest_begin:\n"
    ".incbin \"" EC2SIM_GUEST_PATH
    "\"\n"
    "ec2sim_guest_end:\n"
    ".byte 0\n"
    "ec2sim_systemctl_begin:\n"
    ".incbin \"" EC2SIM_SYSTEMCTL_PATH
    "\"\n"
    "ec2sim_systemctl_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const char ec2sim_guest_begin[];
extern const char ec2sim_guest_end[];
extern const char ec2sim_systemctl_begin[];
extern const char ec2sim_systemctl_end[];
}

namespace ec2sim {

std::string guest_program() { return std::string(ec2sim_guest_begin, ec2sim_guest_end); }

std::string systemctl_script() { return std::string(ec2sim_systemctl_begin, ec2sim_systemctl_end); }

}  // namespace ec2sim
