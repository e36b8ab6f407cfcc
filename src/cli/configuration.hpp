#pragma once

#include <string>

#include "base/result.hpp"
#include "fleet/config.hpp"
#include "pipeline/model.hpp"

namespace muster::cli {

/// Reads `muster.yml` and says on standard error what is wrong with it. Without a name,
/// `MUSTER_CONFIG` or `muster.yml` here; that the latter is missing is no error.
/// `problems` has the errors then too, each with its place. Errors: invalid_input, not_found.
[[nodiscard]] Result<Config> load_config(const std::string& file,
                                         std::vector<std::string>* problems = nullptr);

/// The pool for a pipeline: the one named, the pipeline's `pool.use`, its instance block, or the
/// only one there is. Errors: invalid_input.
[[nodiscard]] Result<Pool> choose_pool(const Config& config, const std::string& named,
                                       const pipeline::Pipeline& pipeline);

/// A folder for what must outlive the program: `MUSTER_STATE`, else `XDG_STATE_HOME/muster`, else
/// `~/.local/state/muster`.
[[nodiscard]] std::string state_folder();

}  // namespace muster::cli
