#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace muster::cli {

/// Adds the commands that look at a running daemon and tell it what to do. The one that was chosen
/// is put into `chosen`; called, it gives the exit code.
void add_operate_commands(CLI::App& app, std::function<int()>& chosen);

}  // namespace muster::cli
