#include "cli/configuration.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>

#include "adapters/config/config_file.hpp"
#include "adapters/system/files.hpp"
#include "base/nearest.hpp"
#include "cli/pipeline_source.hpp"

namespace muster::cli {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Result<Pool> pool_of(const pipeline::InstanceBlock& block, const pipeline::Pipeline& pipeline,
                     const Config& config) {
  if (block.image.empty()) {
    return fail(ErrorKind::invalid_input,
                fmt::format("{}: the instance block names no image", pipeline.mark.describe()),
                "Add image: with an AMI id or an image's name.", "E0302");
  }
  const bool is_arm = pipeline.platform_arch == "arm64";
  Pool pool;
  pool.name = PoolName(pipeline.name);
  pool.image = block.image;
  pool.instance_name = block.name;
  pool.region = block.region.empty() ? config.region : block.region;
  pool.types = {!block.type.empty() ? block.type : is_arm ? "a1.medium" : "t3.nano"};
  pool.ssh.user = block.user.empty() ? "root" : block.user;
  pool.iam_profile = block.iam_profile;
  pool.key_name = block.key_name;
  pool.user_data = block.user_data;
  pool.on_demand = block.market_type == "spot" ? OnDemandRule::never : OnDemandRule::only;
  if (!block.subnet.empty()) pool.subnets = {block.subnet};
  pool.security_groups = block.security_groups;
  pool.private_ip = block.private_address;
  if (block.has_private_address_only) {
    pool.public_ip = !*block.has_private_address_only;
    pool.ssh.uses_public_address = *pool.public_ip;
  }
  pool.disk.size_gib = block.disk_size_gib;
  pool.disk.type = block.disk_type;
  pool.disk.iops = block.disk_iops;
  pool.disk.device = block.device;
  pool.tags = block.tags;
  return pool;
}

}  // namespace

Result<Config> load_config(const std::string& file, std::vector<std::string>* problems) {
  const std::string from_variable = variable("MUSTER_CONFIG");
  const bool is_named = !file.empty() || !from_variable.empty();
  const std::string path = !file.empty() ? file : is_named ? from_variable : "muster.yml";
  const Result<std::string> text = system::read_file(path, 4 << 20);
  if (!text) {
    if (!is_named && text.error().kind == ErrorKind::not_found) return Config{};
    Error error = text.error();
    error.code = "E0303";
    error.remedy = "Name the configuration with --config, or correct its path.";
    return tl::unexpected<Error>(error);
  }
  std::vector<Finding> findings;
  Config config = config::read_config(*text, path, findings);
  if (problems != nullptr) {
    for (const Finding& one : findings) {
      if (one.is_error) problems->push_back(one.problem.describe());
    }
  }
  const int error_count = print_findings(std::move(findings));
  if (error_count == 0) return config;
  return fail(ErrorKind::invalid_input,
              fmt::format("{} problem{} in {}", error_count, error_count == 1 ? "" : "s", path), {},
              "E0301");
}

Result<Pool> choose_pool(const Config& config, const std::string& named,
                         const pipeline::Pipeline& pipeline) {
  const std::string wanted = named.empty() ? pipeline.pool : named;
  std::vector<std::string> names;
  for (const auto& [name, pool] : config.pools) names.push_back(name);
  if (wanted.empty() && pipeline.instance) return pool_of(*pipeline.instance, pipeline, config);
  if (wanted.empty() && config.pools.size() == 1) return config.pools.begin()->second;
  const auto found = config.pools.find(wanted);
  if (found != config.pools.end()) return found->second;
  const std::string where = config.file.empty() ? "muster.yml (not found here)" : config.file;
  const auto near = nearest_name(wanted, names);
  if (wanted.empty()) {
    return fail(
        ErrorKind::invalid_input,
        fmt::format("the pipeline names no pool, and {} has {}", where,
                    names.empty() ? "none" : fmt::format("several: {}", fmt::join(names, ", "))),
        names.empty() ? "Write a muster.yml with a pool, or give the pipeline an instance block."
                      : "Name one with --pool.",
        "E0302");
  }
  return fail(ErrorKind::invalid_input, fmt::format("{} has no pool \"{}\"", where, wanted),
              near ? fmt::format("Did you mean {}?", *near)
              : names.empty()
                  ? std::string("Write a muster.yml with that pool (docs/quickstart.md).")
                  : fmt::format("It has: {}.", fmt::join(names, ", ")),
              "E0302");
}

std::string state_folder() {
  std::string own = variable("MUSTER_STATE");
  if (!own.empty()) return own;
  const std::string xdg = variable("XDG_STATE_HOME");
  if (!xdg.empty()) return xdg + "/muster";
  const std::string home = variable("HOME");
  return (home.empty() ? std::string("/var/lib") : home + "/.local/state") + "/muster";
}

}  // namespace muster::cli
