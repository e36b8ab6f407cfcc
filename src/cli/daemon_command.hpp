#pragma once

#include <functional>
#include <memory>

#include "cli/cloud_wiring.hpp"
#include "cli/commands.hpp"
#include "ports/ci_server.hpp"

namespace muster::cli {

/// Makes one more source of jobs for the daemon.
using MakeSource = std::function<std::unique_ptr<CiServer>(Wiring& wiring)>;

/// Keeps the pools of `muster.yml` and runs jobs on them until it is stopped. Gives the program's
/// exit code.
int run_daemon(const CommonFlags& common, const DaemonFlags& flags, const MakeSource& more = {});

}  // namespace muster::cli
