#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace muster::cli {

/// Adds the commands about who may use a daemon, and about the way onto its machines. The one that
/// was chosen is put into `chosen`; called, it gives the exit code.
void add_access_commands(CLI::App& app, std::function<int()>& chosen);

}  // namespace muster::cli
