#pragma once

#include <map>
#include <string>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "cli/commands.hpp"
#include "fleet/pool.hpp"
#include "pipeline/model.hpp"
#include "pipeline/stage.hpp"

namespace muster::cli {

/// A pipeline with the build that it is run for.
struct BuildSource {
  pipeline::Pipeline pipeline;
  pipeline::Metadata metadata;
  std::string bundle;   ///< Of the local repository; empty for a remote one or without a clone.
  std::string summary;  ///< `3 files, 9f1c2ab "Say hello"`
  std::map<std::string, Secret> secrets;       ///< By their names in lower case.
  std::map<std::string, std::string> globals;  ///< Variables of every step.
};

/// What compiling takes from the build and the flags.
[[nodiscard]] pipeline::CompileOptions compile_options(const BuildSource& build,
                                                       const BuildFlags& flags,
                                                       const std::string& root,
                                                       const std::string& id);

/// Makes no container privileged if the pool forbids it. Errors: a step asks for it, code E0301.
[[nodiscard]] Status obey_pool(const Pool& pool, const pipeline::Pipeline& pipeline,
                               pipeline::CompileOptions& options);

/// Reads the pipeline and takes a snapshot of the repository. `root` is where the machine will
/// keep the stage. Errors: those of load_pipeline and of git.
[[nodiscard]] Result<BuildSource> load_build(const BuildFlags& flags, const std::string& root);

}  // namespace muster::cli
