#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace muster::cli {

/// A script that lets a shell complete commands and options. Nothing for a shell that is not bash,
/// zsh or fish.
[[nodiscard]] std::optional<std::string> completion_script(const CLI::App& app,
                                                           const std::string& shell);

/// All commands as one page for `man`, in the man macros of troff.
[[nodiscard]] std::string man_page(const CLI::App& app);

}  // namespace muster::cli
