#pragma once

#include <string>

#include "base/result.hpp"

namespace muster::git {

/// The state of a folder's repository, its uncommitted changes included, as one commit.
struct Snapshot {
  std::string bundle;  ///< A git bundle with the branch and its history.
  std::string branch;  ///< `main` for a detached head or a folder without a repository.
  std::string commit;
  std::string subject;
  std::string message;
  std::string author_name;
  std::string author_email;
  std::string name;    ///< The folder's, as the repository's name.
  std::string remote;  ///< The URL of `origin`; empty without one.
  int file_count = 0;
  bool has_changes = false;  ///< The commit was made for changes that are not committed.
  bool is_repository = false;
};

/// Takes a snapshot without touching the repository: index and objects are written elsewhere.
/// Ignored files stay out; of a folder that is no repository hidden files too, for nobody has said
/// what may be shown. Blocks. Errors: not_found (no git program), invalid_input (a home folder or
/// the root without a repository), unavailable.
[[nodiscard]] Result<Snapshot> take_snapshot(const std::string& folder);

}  // namespace muster::git
