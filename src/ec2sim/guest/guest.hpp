#pragma once

#include <cstdint>

/// The program inside a machine: a small static binary that is its first process, its `shutdown`
/// family and the filter in front of `runc`. It knows nothing of the simulator but what it is told.
namespace ec2sim::guest {

/// `init DIR GO_FD CONSOLE_FD`, with the rest in DIR/machine.conf. Returns only on failure.
int init_main(int argc, char** argv);

/// `process CONSOLE_FD` in the machine's folder, with the rest in `machine.conf` there: a machine
/// without root, in namespaces of the user's own. Exits 10 after a power-off, 11 for a restart.
int process_main(int argc, char** argv);

/// `shutdown`, `poweroff`, `halt` and `reboot`, as systemd's understand `-h -P -r -H -c`, `now`,
/// `+MINUTES` and `hh:mm`.
int shutdown_main(const char* name, int argc, char** argv);

/// An OCI runtime that takes out of a container's configuration what this machine may not grant,
/// then becomes `runc`.
int runtime_main(int argc, char** argv);

/// What `shutdown` writes into `/run/initctl` (sysvinit, `initreq.h`).
struct InitRequest {
  std::int32_t magic = 0x03091969;
  std::int32_t command = 1;
  std::int32_t runlevel = '0';
  char unused[384 - 12] = {};
};
static_assert(sizeof(InitRequest) == 384);

}  // namespace ec2sim::guest
