#include "service/pool_resolver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "service/boot_data.hpp"
#include "wire/digest.hpp"
#include "wire/encoding.hpp"

namespace muster {

/// Adds what to correct when EC2 refuses something that the pool says, as far as it can be told.
Error of_pool(const char* step, const Pool& pool, Error error) {
  struct Hint {
    std::string_view word;  // In EC2's code or its text.
    std::string_view key;
  };
  static constexpr std::array<Hint, 15> kHints{{{"LaunchTemplate", "launch_template"},
                                                {"KeyPair", "key_name"},
                                                {"InvalidSubnet", "subnets"},
                                                {"InvalidGroup", "security_groups"},
                                                {"InvalidSecurityGroup", "security_groups"},
                                                {"InvalidAMIID", "image"},
                                                {"IAM Instance Profile", "iam_profile"},
                                                {"InstanceType", "types"},
                                                {"instance type", "types"},
                                                {"requested configuration", "types"},
                                                {"Address ", "private_ip"},
                                                {"InvalidIPAddress", "private_ip"},
                                                {"Volume ", "disk"},
                                                {"VolumeType", "disk"},
                                                {"BlockDeviceMapping", "disk"}}};
  const bool is_refusal = error.kind == ErrorKind::invalid_input ||
                          error.kind == ErrorKind::not_found || error.kind == ErrorKind::conflict;
  for (const Hint& hint : kHints) {
    const bool is_it = error.code.find(hint.word) != std::string::npos ||
                       error.message.find(hint.word) != std::string::npos;
    if (!is_refusal || !is_it || !error.remedy.empty()) continue;
    error.remedy = fmt::format("Correct {} of the pool.", hint.key);
  }
  error.context.push_back(fmt::format("{} {}", step, pool.name.value()));
  return error;
}

Task<Result<ImageView>> PoolResolver::image(const Pool* pool) {
  if (pool->image.empty()) co_return ImageView{};
  Task<Result<std::vector<ImageView>>> finding =
      catalog_.find_images(pool->image, pool->image_owner);
  const Result<std::vector<ImageView>> images = co_await std::move(finding);
  if (!images) co_return tl::unexpected<Error>(of_pool("image of pool", *pool, images.error()));
  if (!images->empty()) co_return images->front();
  co_return fail(ErrorKind::not_found,
                 fmt::format("pool {}: no image named \"{}\" of owner {} in {}", pool->name.value(),
                             pool->image, pool->image_owner, region_),
                 "Correct image or image_owner of the pool.", "E0401");
}

Task<Result<std::vector<SubnetView>>> PoolResolver::subnets(const Pool* pool) {
  const bool is_templates = pool->subnets.empty() && !pool->launch_template.empty();
  if (is_templates) co_return std::vector<SubnetView>();
  Task<Result<std::vector<SubnetView>>> listing = catalog_.list_subnets(pool->subnets);
  Result<std::vector<SubnetView>> subnets = co_await std::move(listing);
  if (!subnets) co_return tl::unexpected<Error>(of_pool("subnets of pool", *pool, subnets.error()));
  if (!subnets->empty()) co_return subnets;
  co_return fail(
      ErrorKind::not_found,
      fmt::format("pool {}: the account has no default subnet in {}", pool->name.value(), region_),
      "Name subnets of the pool.", "E0402");
}

Task<Result<std::vector<std::string>>> PoolResolver::groups(const Pool* pool, std::string vpc) {
  std::vector<std::string> ids;
  if (pool->security_groups.empty()) co_return ids;
  const auto named =
      std::find_if(pool->security_groups.begin(), pool->security_groups.end(),
                   [](const std::string& asked) { return !asked.starts_with("sg-"); });
  const bool has_names = named != pool->security_groups.end();
  if (vpc.empty() && !has_names) co_return pool->security_groups;
  if (vpc.empty()) {
    co_return fail(ErrorKind::invalid_input,
                   fmt::format("pool {}: whose security group \"{}\" is cannot be told, for the "
                               "subnet is the launch template's",
                               pool->name.value(), *named),
                   "Name the group by its id (sg-…), or name subnets of the pool.", "E0403");
  }
  Task<Result<std::vector<GroupView>>> grouping = catalog_.find_groups(pool->security_groups, vpc);
  const Result<std::vector<GroupView>> groups = co_await std::move(grouping);
  if (!groups)
    co_return tl::unexpected<Error>(of_pool("security groups of pool", *pool, groups.error()));
  for (const std::string& asked : pool->security_groups) {
    const auto found = std::find_if(groups->begin(), groups->end(), [&](const GroupView& group) {
      return group.id == asked || group.name == asked;
    });
    if (found == groups->end()) {
      co_return fail(
          ErrorKind::not_found,
          fmt::format("pool {}: no security group \"{}\" in {}", pool->name.value(), asked, vpc),
          "Correct security_groups of the pool.", "E0403");
    }
    ids.push_back(found->id);
  }
  co_return ids;
}

Task<Result<ResolvedPool>> PoolResolver::resolve(Pool pool) {
  ResolvedPool resolved;
  Task<Result<ImageView>> finding = image(&pool);
  Result<ImageView> found = co_await std::move(finding);
  if (!found) co_return tl::unexpected<Error>(found.error());
  resolved.image = std::move(*found);
  Task<Result<std::vector<SubnetView>>> listing = subnets(&pool);
  Result<std::vector<SubnetView>> listed = co_await std::move(listing);
  if (!listed) co_return tl::unexpected<Error>(listed.error());
  resolved.subnets = std::move(*listed);
  Task<Result<std::vector<std::string>>> grouping =
      groups(&pool, resolved.subnets.empty() ? std::string() : resolved.subnets.front().vpc);
  Result<std::vector<std::string>> grouped = co_await std::move(grouping);
  if (!grouped) co_return tl::unexpected<Error>(grouped.error());
  resolved.groups = std::move(*grouped);
  co_return resolved;
}

Task<Result<PoolOffers>> PoolResolver::offers(Pool pool, ResolvedPool resolved,
                                              std::map<std::string, std::string> prices) {
  std::vector<std::string> types = pool.types;
  for (const auto& [size, type] : pool.sizes) {
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  }
  Pool all = pool;
  all.types = types;
  // Its own machines are what its launch template says.
  if (pool.types.empty()) all.types.insert(all.types.begin(), "");
  std::map<std::string, int> vcpus;
  std::map<std::pair<std::string, std::string>, double> spot;  // By type and zone.
  if (!types.empty()) {
    Task<Result<std::vector<InstanceTypeView>>> asking = catalog_.list_types(types);
    const Result<std::vector<InstanceTypeView>> views = co_await std::move(asking);
    if (!views) co_return tl::unexpected<Error>(of_pool("types of pool", pool, views.error()));
    for (const InstanceTypeView& view : *views) vcpus[view.name] = view.vcpu_count;
    if (pool.on_demand != OnDemandRule::only) {
      Task<Result<std::vector<SpotPriceView>>> pricing = catalog_.spot_prices(types);
      const Result<std::vector<SpotPriceView>> priced = co_await std::move(pricing);
      if (!priced) {
        co_return tl::unexpected<Error>(of_pool("spot prices of pool", pool, priced.error()));
      }
      for (const SpotPriceView& one : *priced) {
        spot[{one.instance_type, one.zone}] = one.usd_per_hour;
      }
    }
  }
  PoolOffers offers;
  offers.settings = settings_digest(pool, resolved);
  for (const Offering& offering : offerings_of(all, resolved.subnets)) {
    PricedOffering priced{offering, 0, vcpus[offering.instance_type]};
    const auto on_demand = prices.find(offering.instance_type);
    if (on_demand != prices.end()) {
      priced.usd_per_hour = parse_decimal(on_demand->second).value_or(0);
    }
    if (offering.capacity_type == CapacityType::spot) {
      const auto found = spot.find({offering.instance_type, offering.zone});
      if (found != spot.end()) priced.usd_per_hour = found->second;
    }
    offers.offerings.push_back(std::move(priced));
  }
  co_return offers;
}

LaunchSpec launch_spec(const Pool& pool, const ResolvedPool& resolved, const Offering& offering,
                       const std::string& public_key) {
  LaunchSpec spec;
  spec.offering = offering;
  spec.image = resolved.image.id;
  spec.launch_template = pool.launch_template;
  spec.root_device = resolved.image.root_device;
  spec.security_groups = resolved.groups;
  spec.disk = pool.disk;
  spec.iam_profile = pool.iam_profile;
  spec.key_name = pool.key_name;
  spec.public_ip = pool.public_ip;
  spec.private_ip = pool.private_ip;
  spec.max_price = pool.max_price;
  spec.monitoring = pool.monitoring;
  spec.metadata_hop_limit = pool.metadata_hop_limit;
  spec.user_data = boot_user_data({pool.ssh.user, public_key, pool.dead_man, pool.user_data});
  return spec;
}

std::string settings_digest(const Pool& pool, const ResolvedPool& resolved) {
  std::string text = resolved.image.id.value() + "\n" + pool.launch_template.id +
                     pool.launch_template.name + pool.launch_template.version + "\n" +
                     pool.iam_profile + "\n" + pool.key_name + "\n" + pool.user_data + "\n" +
                     pool.ssh.user + "\n" + pool.disk.type + "\n" +
                     std::to_string(pool.disk.size_gib.value_or(0)) + "\n";
  for (const std::string& group : resolved.groups) text += group + "\n";
  for (const auto& [name, value] : pool.tags) text += name + "=" + value + "\n";
  text += pool.instance_name + "\n" + std::to_string(pool.metadata_hop_limit) +
          (pool.monitoring ? " monitored" : "") +
          (!pool.public_ip   ? ""
           : *pool.public_ip ? " public"
                             : " private") +
          "\n" + std::to_string(pool.disk.iops.value_or(0)) + " " +
          std::to_string(pool.disk.throughput_mib.value_or(0)) + " " +
          (!pool.disk.is_encrypted   ? ""
           : *pool.disk.is_encrypted ? "encrypted"
                                     : "clear") +
          " " + pool.disk.device;
  return wire::hex_encode(wire::sha256(text)).substr(0, 16);
}

}  // namespace muster
