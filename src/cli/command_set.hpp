#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/document.hpp"
#include "base/result.hpp"

namespace muster::cli {

/// Prints an answer of the daemon as JSON, or by `print`; reports an error. Gives the exit code.
[[nodiscard]] int show(const Result<Node>& answer, bool as_json,
                       const std::function<void(const Node&)>& print);

/// Why an argument cannot be taken: it is empty.
[[nodiscard]] std::string check_not_empty(const std::string& text);

/// Subcommands whose options are members of one `Flags`, which has at least `id` and `as_json`.
template <class Flags>
class CommandSet {
 public:
  using Run = std::function<int(const Flags&)>;

  /// `chosen` becomes what the command line asks for.
  explicit CommandSet(std::function<int()>& chosen)
      : chosen_(chosen), flags_(std::make_shared<Flags>()) {}

  CLI::App* add(CLI::App& under, const char* name, const std::string& about, Run run) {
    CLI::App* command = under.add_subcommand(name, about);
    command->callback([&chosen = chosen_, flags = flags_, run = std::move(run)] {
      chosen = [flags, run] { return run(*flags); };
    });
    return command;
  }
  void add_id(CLI::App* command, const char* name, const char* what) {
    command->add_option(name, flags_->id, what)->required()->check(check_not_empty);
  }
  void add_json(CLI::App* command, const char* schema) {
    command->add_flag("--json", flags_->as_json, fmt::format("As JSON ({})", schema));
  }
  [[nodiscard]] Flags& flags() { return *flags_; }

 private:
  std::function<int()>& chosen_;
  std::shared_ptr<Flags> flags_;
};

}  // namespace muster::cli
