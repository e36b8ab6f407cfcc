#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.hpp"
#include "cli/configuration.hpp"
#include "cli/errors.hpp"
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

Node to_document(const Pool& pool) {
  Node out = Node::mapping();
  Node types = Node::sequence();
  for (const std::string& type : pool.types) types.items.push_back(Node::string(type));
  out.set("image", Node::string(pool.image)).set("types", std::move(types));
  out.set("region", Node::string(pool.region));
  out.set("on_demand", Node::string(name_of(pool.on_demand)));
  out.set("max_instances", Node::number(pool.max_instances));
  out.set("ssh_user", Node::string(pool.ssh.user));
  return out;
}

}  // namespace

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
    for (const auto& [name, pool] : config->pools) pools.set(name, to_document(pool));
    out.set("pools", std::move(pools));
    fmt::print("{}\n", wire::to_json(out, 2));
    return kDone;
  }
  fmt::print("{}: no problems\n  cluster  {}\n", config->file, config->cluster);
  for (const auto& [name, pool] : config->pools) {
    fmt::print("  pool     {}  image {} · {} · on-demand {} · at most {} · user {}\n", name,
               pool.image, fmt::join(pool.types, ", "), name_of(pool.on_demand), pool.max_instances,
               pool.ssh.user);
  }
  return kDone;
}

}  // namespace muster::cli
