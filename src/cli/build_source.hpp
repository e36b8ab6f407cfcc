#pragma once

#include <string>

#include "base/result.hpp"
#include "cli/commands.hpp"
#include "pipeline/model.hpp"
#include "pipeline/stage.hpp"

namespace muster::cli {

/// A pipeline with the build that it is run for.
struct BuildSource {
  pipeline::Pipeline pipeline;
  pipeline::Metadata metadata;
  std::string bundle;   ///< Of the local repository; empty for a remote one or without a clone.
  std::string summary;  ///< `3 files, 9f1c2ab "Say hello"`
};

/// Reads the pipeline and takes a snapshot of the repository. `root` is where the machine will
/// keep the stage. Errors: those of load_pipeline and of git.
[[nodiscard]] Result<BuildSource> load_build(const BuildFlags& flags, const std::string& root);

}  // namespace muster::cli
