#include <fmt/format.h>

#include "cli/build_source.hpp"
#include "cli/commands.hpp"
#include "cli/errors.hpp"
#include "pipeline/stage.hpp"
#include "wire/json.hpp"

namespace muster::cli {

int run_compile(const BuildFlags& flags, bool shows_secrets) {
  const std::string root = "/tmp/muster-RUN";
  const Result<BuildSource> build = load_build(flags, root);
  if (!build) return report(build.error());
  const pipeline::Stage stage = pipeline::compile(build->pipeline, build->metadata,
                                                  compile_options(*build, flags, root, "RUN"));
  fmt::print("{}\n", wire::to_json(pipeline::to_document(stage, shows_secrets), 2));
  return kDone;
}

}  // namespace muster::cli
