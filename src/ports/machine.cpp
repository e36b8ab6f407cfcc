#include "ports/machine.hpp"

#include <fmt/format.h>

namespace muster {

std::string shell_command(const ExecRequest& request) {
  std::string script;
  if (!request.folder.empty())
    script += fmt::format("cd {} || exit 127\n", shell_quote(request.folder));
  for (const auto& [name, value] : request.environment) {
    script += fmt::format("export {}={}\n", name, shell_quote(value));
  }
  return "sh -c " + shell_quote(script + request.command);
}

}  // namespace muster
