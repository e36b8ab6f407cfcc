#pragma once

#include <string>

#include "ports/clock.hpp"
#include "ports/machine.hpp"

namespace muster {

/// A repository on its way to a machine.
struct Bundle {
  std::string bytes;  ///< A git bundle; empty: there is none to unpack.
  /// A ref that the bundle does not have, such as a tag, and the commit that it names.
  std::string ref;
  std::string commit;
};

/// Makes `root/repo.git` of it, whole or not at all; nothing where it is there already. Tried again
/// while the machine does not answer, for `patience`.
/// Errors: unavailable, with code E0432 when the machine cannot unpack it.
Task<Status> unpack_bundle(Machine& machine, Clock& clock, Duration patience, std::string root,
                           Bundle bundle);

}  // namespace muster
