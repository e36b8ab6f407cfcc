#include "fleet/config_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/nearest.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 8> kSizes{"nano",  "micro",  "small", "medium",
                                                 "large", "xlarge", "metal", "flex"};
constexpr std::size_t kUserDataBytesMax = 12'000;
constexpr std::size_t kTagsMax = 40;

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// `large`, `2xlarge`, `metal-24xl`
bool is_size(const std::string& size) {
  if (std::find(kSizes.begin(), kSizes.end(), size) != kSizes.end()) return true;
  if (size.ends_with("xlarge") && is_digits(size.substr(0, size.size() - 6))) return true;
  return size.starts_with("metal-") && size.ends_with("xl");
}

void check_types(NodeReader& reader, const Node& node, const std::string& path, const Pool& pool) {
  for (std::size_t i = 0; i < pool.types.size(); ++i) {
    const std::string& type = pool.types[i];
    const SourceMark& mark = node.is_sequence() ? node.items[i].mark : node.mark;
    const std::string at = node.is_sequence() ? fmt::format("{}[{}]", path, i) : path;
    const std::size_t dot = type.find('.');
    const std::string size = dot == std::string::npos ? "" : type.substr(dot + 1);
    if (dot != std::string::npos && dot > 0 && is_size(size)) continue;
    const auto near = nearest_name(size, {kSizes.begin(), kSizes.end()});
    reader.error(mark, at, fmt::format("\"{}\": no such instance type.", type),
                 near && dot != std::string::npos
                     ? fmt::format("Did you mean {}.{}?", type.substr(0, dot), *near)
                     : "Write family and size, such as m7i.large.");
  }
}

void check_price(NodeReader& reader, const Node& node, const std::string& path, const Pool& pool) {
  double price = 0;
  const char* end = pool.max_price.data() + pool.max_price.size();
  const auto [stop, failure] = std::from_chars(pool.max_price.data(), end, price);
  if (failure == std::errc{} && stop == end && price > 0) return;
  reader.error(node.mark, path, fmt::format("\"{}\" is no price.", pool.max_price),
               "Write US dollars an hour, such as 0.05.");
}

void check_tags(NodeReader& reader, const Node& node, const std::string& path, const Pool& pool) {
  for (const Member& member : node.members) {
    const bool is_reserved = member.key.starts_with("aws:") || member.key.starts_with("muster:");
    if (!is_reserved) continue;
    reader.error(member.key_mark, path, fmt::format("\"{}\" is a reserved tag.", member.key),
                 "Tags of aws: and muster: are not yours to set.");
  }
  if (pool.tags.size() > kTagsMax) {
    reader.error(node.mark, path, fmt::format("has over {} tags.", kTagsMax),
                 "EC2 allows 50, muster sets some.");
  }
}

void check_user_data(NodeReader& reader, const Node& node, const std::string& path,
                     const Pool& pool) {
  const bool is_known = pool.user_data.empty() || pool.user_data.starts_with("#!") ||
                        pool.user_data.starts_with("#cloud-config");
  if (!is_known) {
    reader.error(node.mark, path, "starts with neither #! nor #cloud-config.",
                 "Make it a script or a cloud-config.");
  }
  if (pool.user_data.size() > kUserDataBytesMax) {
    reader.error(node.mark, path,
                 fmt::format("has {} bytes, over {}.", pool.user_data.size(), kUserDataBytesMax),
                 "EC2 allows 16 KiB with muster's own part; fetch the rest from the machine.");
  }
}

void check_volume_type(NodeReader& reader, const Node& node, const std::string& path,
                       const DiskPolicy& disk) {
  static const std::vector<std::string> kTypes{"standard", "io1", "io2", "gp2",
                                               "sc1",      "st1", "gp3"};
  if (std::find(kTypes.begin(), kTypes.end(), disk.type) != kTypes.end()) return;
  const auto near = nearest_name(disk.type, kTypes);
  reader.error(node.mark, path, fmt::format("\"{}\" is no volume type.", disk.type),
               near ? fmt::format("Did you mean {}?", *near) : "Use gp3.");
}

void check_template(NodeReader& reader, const Node& node, const std::string& path,
                    const TemplateRef& ref) {
  if (!ref.id.empty() && !ref.name.empty()) {
    reader.error(node.mark, path, "names the template twice, by id and by name.", "Remove one.");
  }
  const bool is_id = ref.id.empty() || ref.id.starts_with("lt-");
  if (!is_id) {
    reader.error(node.find("id")->mark, path + ".id",
                 fmt::format("\"{}\" is no id of a launch template.", ref.id),
                 "Write lt-…, or use name.");
  }
  const bool is_version = ref.version.empty() || ref.version == "$Latest" ||
                          ref.version == "$Default" || is_digits(ref.version);
  if (!is_version) {
    reader.error(node.find("version")->mark, path + ".version",
                 fmt::format("\"{}\" is no version.", ref.version),
                 "Use a number, $Latest or $Default.");
  }
}

void check_pool(NodeReader& reader, const Node& node, const std::string& path, const Pool& pool) {
  const auto mark_of = [&](const char* key) {
    const Node* given = node.find(key);
    return given != nullptr ? given->mark : node.mark;
  };
  if (pool.boot_timeout > pool.dead_man) {
    reader.error(mark_of("boot_timeout"), path + ".boot_timeout",
                 fmt::format("is {}, above dead_man ({}): a slow machine would end before it is "
                             "up.",
                             duration_text(pool.boot_timeout), duration_text(pool.dead_man)),
                 "Lower it, or raise dead_man.");
  }
  if (!pool.private_ip.empty() && pool.max_instances > 1) {
    reader.error(mark_of("private_ip"), path + ".private_ip", "fits one machine only.",
                 fmt::format("Set {}.max_instances to 1, or remove it.", path));
  }
  const bool is_disk_nowhere = node.find("disk") != nullptr && pool.image.empty() &&
                               pool.disk.device.empty() && !pool.launch_template.empty();
  if (is_disk_nowhere) {
    reader.error(mark_of("disk"), path + ".disk",
                 "needs a device when the image is the template's.",
                 fmt::format("Set {}.disk.device, such as /dev/xvda.", path));
  }
  const bool is_interface_torn = pool.public_ip && !pool.launch_template.empty() &&
                                 (pool.subnets.empty() || pool.security_groups.empty());
  if (is_interface_torn) {
    reader.error(
        mark_of("public_ip"), path + ".public_ip",
        "replaces the template's network interface, its subnet and groups too.",
        fmt::format("Set {0}.subnets and {0}.security_groups, or let the template say it.", path));
  }
}

const KeyTable<DiskPolicy>& disk_keys() {
  static const KeyTable<DiskPolicy> table =
      KeyTable<DiskPolicy>()
          .number(&DiskPolicy::size_gib, "size", 1, 65536, "GiB")
          .absent("the image's")
          .key(&DiskPolicy::type, "type", "volume type")
          .absent("the image's")
          .choices({"gp3", "gp2", "io2", "io1", "st1", "sc1", "standard"})
          .check(check_volume_type)
          .number(&DiskPolicy::iops, "iops", 100, 256'000, "operations a second")
          .absent("the type's")
          .number(&DiskPolicy::throughput_mib, "throughput", 125, 2000, "MiB a second")
          .absent("the type's")
          .key(&DiskPolicy::is_encrypted, "encrypted", "encrypt the volume")
          .absent("the account's rule")
          .key(&DiskPolicy::device, "device", "device name")
          .absent("the image's root device");
  return table;
}

const KeyTable<SshPolicy>& ssh_keys() {
  static const KeyTable<SshPolicy> table =
      KeyTable<SshPolicy>()
          .key(&SshPolicy::user, "user", "who logs in; cloud-init gives this user muster's key")
          .check([](NodeReader& reader, const Node& node, const std::string& path,
                    const SshPolicy& ssh) { check_name(reader, node.mark, path, ssh.user); })
          .number(&SshPolicy::port, "port", 1, 65535, "port of sshd on the machines")
          .key(&SshPolicy::uses_public_address, "public_address",
               "connect to the public address instead of the private one")
          .later({"private_key"});
  return table;
}

const KeyTable<TemplateRef>& template_keys() {
  static const KeyTable<TemplateRef> table =
      KeyTable<TemplateRef>()
          .key(&TemplateRef::name, "name", "the template's name")
          .absent("none")
          .remedy("Name the template by name or id.")
          .key(&TemplateRef::id, "id", "the template's id, in place of its name")
          .absent("none")
          .key(&TemplateRef::version, "version", "a number, `$Latest` or `$Default`")
          .absent("`$Default`")
          .may_be_number()
          .needs({{"name"}, {"id"}})
          .check_all(check_template);
  return table;
}

}  // namespace

const KeyTable<Pool>& pool_keys() {
  static const KeyTable<Pool> table =
      KeyTable<Pool>()
          .key(&Pool::image, "image",
               "an AMI id, or a name pattern with `*` and `?`; the newest match is taken")
          .absent("the launch template's; required without one")
          .remedy("Name an AMI id or an image's name.")
          .key(&Pool::image_owner, "image_owner",
               "account id, `self` or `amazon`; never left open, names are squatted")
          .may_be_number()
          .key(&Pool::types, "types", "instance types, the preferred one first")
          .absent("the launch template's; required without one")
          .remedy("List instance types, such as [t3.large].")
          .check(check_types)
          .object(
              &Pool::launch_template, "launch_template", template_keys(),
              "an EC2 launch template; what the pool does not say is the template's, subnet and "
              "security groups too")
          .key(&Pool::region, "region", "where the machines are")
          .absent("the key `region` of the file")
          .key(&Pool::subnets, "subnets", "ids; the one with the most free addresses first")
          .absent("the default VPC's")
          .key(&Pool::security_groups, "security_groups", "ids or names")
          .absent("the VPC's `default`")
          .choice(&Pool::on_demand, "on_demand",
                  {{"fallback", OnDemandRule::fallback},
                   {"only", OnDemandRule::only},
                   {"never", OnDemandRule::never}},
                  "`fallback`: spot first, on-demand when there is no room; `only`: never spot; "
                  "`never`: only spot",
                  "Use fallback (spot first), only (never spot) or never.")
          .key(&Pool::max_price, "max_price", "the most to pay for spot, USD an hour")
          .absent("the on-demand price")
          .may_be_number()
          .check(check_price)
          .number(&Pool::max_instances, "max_instances", 1, 100'000,
                  "machines of the pool at a time")
          .object(&Pool::disk, "disk", disk_keys(), "the root volume")
          .key(&Pool::iam_profile, "iam_profile", "name or ARN of an instance profile")
          .absent("none")
          .key(&Pool::key_name, "key_name", "an EC2 key pair beside muster's own key")
          .absent("none")
          .key(&Pool::public_ip, "public_ip", "give machines a public address, or none")
          .absent("the subnet's rule")
          .key(&Pool::private_ip, "private_ip", "a fixed address; with `max_instances: 1`")
          .absent("EC2's choice")
          .key(&Pool::monitoring, "monitoring", "detailed CloudWatch monitoring")
          .key(&Pool::instance_name, "name", "the `Name` tag")
          .absent("`muster POOL`")
          .key(&Pool::tags, "tags", "more tags")
          .absent("none")
          .check(check_tags)
          .key(&Pool::user_data, "user_data",
               "a `#!` script or `#cloud-config`, run after muster's own part; `file:PATH` reads "
               "it, relative to the file")
          .absent("none")
          .check(check_user_data)
          .object(&Pool::ssh, "ssh", ssh_keys(), "how muster connects")
          .number(&Pool::metadata_hop_limit, "metadata_hop_limit", 1, 64,
                  "2 lets containers reach the instance metadata")
          .key(&Pool::privileged, "privileged",
               "`true`: containers of types `vm` and `aws` are privileged, as in Drone; `false`: "
               "none is, of any type")
          .duration(&Pool::boot_timeout, "boot_timeout", 5s, 1h,
                    "from launch to a usable machine; at most `dead_man`")
          .duration(&Pool::dead_man, "dead_man", 1min, 24h,
                    "without word from muster for this long, the machine ends itself")
          .needs({{"image", "types"}, {"launch_template"}})
          .check_all(check_pool)
          .later({"idle", "labels", "schedule", "reuse", "max_life", "block_devices",
                  "scale_factor", "growth_limit", "host_key"});
  return table;
}

const KeyTable<Config>& config_keys() {
  static const KeyTable<Config> table =
      KeyTable<Config>()
          .key(&Config::cluster, "cluster",
               "tag `muster:cluster` of everything that this installation owns")
          .check([](NodeReader& reader, const Node& node, const std::string& path,
                    const Config& config) { check_name(reader, node.mark, path, config.cluster); })
          .key(&Config::region, "region", "region of all pools")
          .absent("`AWS_REGION`, the profile's, the instance metadata's")
          .key(&Config::aws_profile, "aws_profile",
               "profile of `~/.aws/config`; stands before keys in the environment")
          .absent("AWS's own")
          .objects(&Config::pools, "pools", pool_keys(), "the pools, each by its name")
          .absent("none")
          .later({"github", "gitlab", "drone", "listen", "store", "tenants", "budget",
                  "notifications"});
  return table;
}

}  // namespace muster
