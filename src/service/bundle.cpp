#include "service/bundle.hpp"

#include <fmt/format.h>

#include "service/persist.hpp"

namespace muster {

Task<Status> unpack_bundle(Machine& machine, Clock& clock, Duration patience, std::string root,
                           Bundle bundle) {
  if (bundle.bytes.empty()) co_return Status();
  ExecRequest command;
  command.command = fmt::format(
      // Whole or not at all: an earlier part of the run may have done it, or have died at it.
      "umask 077; if [ -d {0}/repo.git ]; then cat > /dev/null; exit 0; fi; "
      "mkdir -p {0} && cat > {0}/repo.bundle && [ \"$(wc -c < {0}/repo.bundle)\" -eq {2} ] && "
      "{{ command -v git > /dev/null || {{ echo 'the image has no git' >&2; exit 3; }}; }} && "
      "rm -rf {0}/repo.part && git clone -q --bare {0}/repo.bundle {0}/repo.part && {1}"
      "mv {0}/repo.part {0}/repo.git",
      shell_quote(root),
      bundle.ref.empty()
          ? std::string()
          : fmt::format("git -C {}/repo.part update-ref {} {} && ", shell_quote(root),
                        shell_quote(bundle.ref), shell_quote(bundle.commit)),
      bundle.bytes.size());
  command.input = std::move(bundle.bytes);
  Task<Result<ExecResult>> running = persist<ExecResult>(
      clock, patience,
      [&machine, &command]() -> Task<Result<ExecResult>> { return machine.run(command); });
  const Result<ExecResult> result = co_await std::move(running);
  if (!result) co_return within("copy the repository to", root, result.error());
  if (result->exit.code == 0) co_return Status();
  co_return fail(ErrorKind::unavailable,
                 fmt::format("the repository cannot be unpacked on the machine: {}", result->err),
                 result->exit.code == 3 ? "Install git with the pool's user_data, or bake it in."
                                        : "Is its disk full?",
                 "E0432");
}

}  // namespace muster
