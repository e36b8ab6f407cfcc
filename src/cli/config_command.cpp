#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.hpp"
#include "cli/config_reference.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
#include "fleet/config_keys.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

const char* name_of(OnDemandRule rule) {
  switch (rule) {
    case OnDemandRule::fallback: return "fallback";
    case OnDemandRule::only: return "only";
    case OnDemandRule::never: return "never";
  }
  return "";
}

}  // namespace

int run_config_schema() {
  fmt::print("{}", config_schema());
  return kDone;
}

int run_config_reference() {
  fmt::print("{}", config_reference());
  return kDone;
}

int run_config_check(const CommonFlags& common, bool as_json) {
  const Result<Config> config = load_config(common.config);
  if (!config) return report(config.error());
  if (config->file.empty()) {
    Error error;
    error.kind = ErrorKind::not_found;
    error.code = "E0303";
    error.message = "there is no muster.yml here";
    error.remedy = "Write one (docs/quickstart.md), or name it with --config.";
    return report(error);
  }
  if (as_json) {
    Node out = Node::mapping();
    out.set("schema", Node::string("muster.config/1"));
    out.set("file", Node::string(config->file)).set("cluster", Node::string(config->cluster));
    Node pools = Node::mapping();
    for (const auto& [name, pool] : config->pools) pools.set(name, pool_keys().write(pool));
    out.set("pools", std::move(pools));
    fmt::print("{}\n", wire::to_json(out, 2));
    return kDone;
  }
  fmt::print("{}: no problems\n  cluster  {}\n", config->file, config->cluster);
  if (config->pools.empty()) fmt::print("  pool     none: muster daemon needs one\n");
  for (const auto& [name, pool] : config->pools) {
    const std::string of_template = "of " + describe(pool.launch_template);
    fmt::print(
        "  pool     {}  image {} · {} · on-demand {} · at most {} · user {}\n", name,
        pool.image.empty() ? of_template : pool.image,
        pool.types.empty() ? "type " + of_template : fmt::to_string(fmt::join(pool.types, ", ")),
        name_of(pool.on_demand), pool.max_instances, pool.ssh.user);
  }
  return kDone;
}

}  // namespace muster::cli
