#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "pipeline/model.hpp"
#include "pipeline/stage.hpp"

namespace muster::cli {

/// Which pipeline to take from which file, for which build.
struct PipelineRequest {
  std::string file = ".drone.yml";
  std::string name;  ///< Empty: `default`, or the only one there is.
  pipeline::Metadata metadata;
  std::map<std::string, std::string> globals;  ///< For every step, and for `${…}`.
  bool is_trusted = true;  ///< Whether privileged containers and the like are let through.
};

/// Reads, substitutes and checks a pipeline. Findings are told on standard error.
/// Errors: not_found, invalid_input.
[[nodiscard]] Result<pipeline::Pipeline> load_pipeline(const PipelineRequest& request);

/// Prints findings in the order of their lines; gives how many are errors.
int print_findings(std::vector<Finding> findings);

}  // namespace muster::cli
