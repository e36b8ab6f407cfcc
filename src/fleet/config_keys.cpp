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
  const auto is_wrong = [&](const char* key) { return reader.is_wrong(path + "." + key); };
  if (pool.boot_timeout > pool.dead_man && !is_wrong("boot_timeout") && !is_wrong("dead_man")) {
    reader.error(mark_of("boot_timeout"), path + ".boot_timeout",
                 fmt::format("is {}, above dead_man ({}): a slow machine would end before it is "
                             "up.",
                             duration_text(pool.boot_timeout), duration_text(pool.dead_man)),
                 "Lower it, or raise dead_man.");
  }
  const bool is_room_known = !is_wrong("max_instances");
  if (is_room_known && pool.idle.count > pool.max_instances) {
    reader.error(
        mark_of("idle"), path + ".idle.count",
        fmt::format("is {}, above max_instances ({}).", pool.idle.count, pool.max_instances),
        "Lower it, or raise max_instances.");
  }
  for (const auto& [name, schedule] : pool.schedule) {
    if (!is_room_known || schedule.idle_count <= pool.max_instances) continue;
    reader.error(
        mark_of("schedule"), fmt::format("{}.schedule.{}.idle", path, name),
        fmt::format("is {}, above max_instances ({}).", schedule.idle_count, pool.max_instances),
        "Lower it, or raise max_instances.");
  }
  if (pool.stopped_count > 0 && pool.on_demand != OnDemandRule::only && !is_wrong("on_demand")) {
    reader.error(mark_of("stopped"), path + ".stopped",
                 "needs on-demand: EC2 stops no spot machine.",
                 fmt::format("Set {}.on_demand: only, or remove it.", path));
  }
  if (is_room_known && !pool.private_ip.empty() && pool.max_instances > 1) {
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

void check_decimal(NodeReader& reader, const Node& node, const std::string& path,
                   const std::string& text, const char* remedy) {
  if (parse_decimal(text)) return;
  reader.error(node.mark, path, fmt::format("\"{}\" is no number.", text), remedy);
}

void check_labels(NodeReader& reader, const Node& node, const std::string& path, const Pool& pool) {
  for (const std::string& label : pool.labels) {
    const bool is_plain = !label.empty() && label.find_first_of(" ,\t\n") == std::string::npos;
    const bool is_ours = label.starts_with("size:") || label.starts_with("pool:");
    if (is_plain && !is_ours) continue;
    reader.error(node.mark, path, fmt::format("\"{}\" is no label.", label),
                 is_ours ? "size: and pool: are understood of every pool; see sizes."
                         : "A label has no spaces and no commas.");
  }
}

const KeyTable<IdlePolicy>& idle_keys() {
  static const KeyTable<IdlePolicy> table =
      KeyTable<IdlePolicy>()
          .number(&IdlePolicy::count, "count", 0, 100'000, "instances that wait for jobs")
          .key(
              &IdlePolicy::scale_factor, "scale_factor",
              "idle instances for each busy one, such as `0.5`; the higher of it and `count` holds")
          .absent("none")
          .may_be_number()
          .check([](NodeReader& reader, const Node& node, const std::string& path,
                    const IdlePolicy& idle) {
            check_decimal(reader, node, path, idle.scale_factor, "Write one such as 0.5.");
          })
          .number(&IdlePolicy::count_max, "max", 0, 100'000,
                  "the most that `scale_factor` asks for; 0: `max_instances`")
          .duration(&IdlePolicy::time, "time", 0s, 24h * 30,
                    "an idle instance beyond the count ends after this");
  return table;
}

const KeyTable<ReusePolicy>& reuse_keys() {
  static const KeyTable<ReusePolicy> table =
      KeyTable<ReusePolicy>()
          .number(&ReusePolicy::jobs, "jobs", 1, 1'000'000,
                  "jobs on one instance, one after the other; 1: each job gets a fresh one")
          .duration(&ReusePolicy::time_max, "time", 0s, 24h * 365,
                    "no further job on an instance that is older; `0s`: whatever its age");
  return table;
}

void check_schedule(NodeReader& reader, const Node& node, const std::string& path,
                    const Schedule& schedule) {
  const Node* when = node.find("when");
  if (when != nullptr && !CronPeriod::parse(schedule.when)) {
    reader.error(when->mark, path + ".when",
                 fmt::format("\"{}\" is no pattern of cron.", schedule.when),
                 "Write minute, hour, day, month and weekday, such as \"* 8-17 * * mon-fri\".");
  }
  const Node* zone = node.find("timezone");
  if (zone != nullptr && !is_time_zone(schedule.timezone)) {
    reader.error(zone->mark, path + ".timezone",
                 fmt::format("\"{}\" is no time zone.", schedule.timezone),
                 "Write one such as Europe/Berlin or UTC.");
  }
}

const KeyTable<Schedule>& schedule_keys() {
  static const KeyTable<Schedule> table =
      KeyTable<Schedule>()
          .key(
              &Schedule::when, "when",
              "the minutes in which it holds, as five fields of cron: `* 8-17 * * mon-fri` is 8:00 "
              "to 17:59 on weekdays")
          .remedy("Write a pattern, such as \"* 8-17 * * mon-fri\".")
          .key(&Schedule::timezone, "timezone", "whose wall clock; daylight saving time is heeded")
          .number(&Schedule::idle_count, "idle", 0, 100'000,
                  "idle instances while it holds; the highest of all that hold counts")
          .number(&Schedule::max_instances, "max_instances", 0, 100'000,
                  "instances of the pool while it holds, `0`: it is closed; the lowest of all that "
                  "hold counts. Jobs that run go on")
          .absent("the pool's")
          .needs({{"when"}})
          .check_all(check_schedule);
  return table;
}

const KeyTable<Limits>& limit_keys() {
  static const KeyTable<Limits> table =
      KeyTable<Limits>()
          .number(&Limits::instances, "instances", 0, 1'000'000, "of all pools; 0: no limit")
          .number(&Limits::vcpus, "vcpus", 0, 10'000'000, "of all pools; 0: no limit")
          .number(&Limits::launches_per_minute, "launches_per_minute", 0, 1'000'000,
                  "instances launched in any minute; 0: no limit")
          .key(&Limits::usd_per_day, "usd_per_day",
               "nothing is launched that could take the day (UTC) above it: what was spent, and an "
               "hour more of every instance; running jobs go on. Needs `prices` for what is not "
               "spot")
          .absent("no limit")
          .may_be_number()
          .check([](NodeReader& reader, const Node& node, const std::string& path,
                    const Limits& limits) {
            check_decimal(reader, node, path, limits.usd_per_day, "Write US dollars, such as 50.");
          })
          .number(&Limits::repository_jobs, "repository_jobs", 0, 1'000'000,
                  "jobs of one repository at a time; 0: no limit")
          .key(&Limits::labels, "labels", "jobs with a label at a time, by label")
          .absent("none")
          .check([](NodeReader& reader, const Node& node, const std::string& path,
                    const Limits& limits) {
            for (const auto& [label, count] : limits.labels) {
              check_decimal(reader, node, path + "." + label, count, "Write a whole number.");
            }
          });
  return table;
}

const KeyTable<Tenant>& tenant_keys() {
  static const KeyTable<Tenant> table =
      KeyTable<Tenant>()
          .number(&Tenant::weight, "weight", 1, 1000,
                  "its share while machines are scarce, against the other tenants'")
          .key(&Tenant::repositories, "repositories", "`owner/name`, or `owner/*`")
          .absent("none");
  return table;
}

void check_listen(NodeReader& reader, const Node& node, const std::string& path,
                  const ApiPolicy& api) {
  const auto endpoint = parse_endpoint(api.listen);
  const Node* listen = node.find("listen");
  const SourceMark& mark = listen == nullptr ? node.mark : listen->mark;
  if (!endpoint) {
    reader.error(mark, path + ".listen", fmt::format("\"{}\" is no address.", api.listen),
                 "Write an IP address and a port, such as 127.0.0.1:7878.");
    return;
  }
  const bool is_local = endpoint->first.starts_with("127.") || endpoint->first == "::1";
  if (is_local || api.plain_http) return;
  reader.error(
      mark, path + ".listen", fmt::format("\"{}\" would send tokens in the clear.", api.listen),
      fmt::format("Listen on 127.0.0.1 behind a proxy that speaks TLS, or say {}.plain_http: "
                  "true where the network is trusted.",
                  path));
}

const KeyTable<ApiPolicy>& api_keys() {
  static const KeyTable<ApiPolicy> table =
      KeyTable<ApiPolicy>()
          .key(&ApiPolicy::listen, "listen",
               "address and port for the API over TCP, such as `127.0.0.1:7878`; who asks there "
               "needs a token (`muster token create`). Changed by a restart")
          .absent("the local socket alone")
          .key(&ApiPolicy::plain_http, "plain_http",
               "allow another address than this machine's own: tokens cross the network in the "
               "clear unless something before it speaks TLS")
          .needs({{"listen"}})
          .check_all(check_listen);
  return table;
}

/// A budget that does not know what machines cost would let none be launched.
void check_budget(NodeReader& reader, const Node& node, const std::string& path,
                  const Config& config) {
  static_cast<void>(path);
  const Node* limits = node.find("limits");
  if (limits == nullptr || config.limits.usd_per_day.empty()) return;
  for (const auto& [name, pool] : config.pools) {
    const bool may_launch = pool.on_demand != OnDemandRule::never;
    if (!may_launch || reader.is_wrong(fmt::format("pools.{}.on_demand", name))) continue;
    for (const std::string& type : pool.types) {
      if (config.prices.contains(type)) continue;
      reader.error(
          limits->mark, "limits.usd_per_day",
          fmt::format("needs the price of {}, which pools.{} may launch on demand.", type, name),
          fmt::format("Set prices.{}, USD an hour.", type));
    }
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
          .choice(
              &Pool::order, "order",
              {{"listed", OfferingOrder::listed},
               {"price", OfferingOrder::price},
               {"fleet", OfferingOrder::fleet}},
              "which offering is tried first: `listed`: as listed; `price`: the cheapest, with "
              "refusals and interruptions counted against it; `fleet`: EC2 chooses by price and "
              "capacity (CreateFleet, with a launch template that muster makes)",
              "Use listed, price or fleet.")
          .number(&Pool::max_instances, "max_instances", 0, 100'000,
                  "machines of the pool at a time; 0: none is launched")
          .key(&Pool::labels, "labels", "what its machines offer to jobs; compared without case")
          .absent("none")
          .check(check_labels)
          .choice(&Pool::match, "match",
                  {{"subset", LabelMatch::subset}, {"exact", LabelMatch::exact}},
                  "`subset`: a job's labels are all among the pool's; `exact`: and the pool has no "
                  "others (a job that names the pool by `pool:NAME` needs none of them)",
                  "Use subset or exact.")
          .number(&Pool::priority, "priority", -1000, 1000,
                  "among pools that fit a job, the highest is asked first")
          .key(&Pool::sizes, "sizes",
               "instance types that a job may ask for with the label `size:NAME`, by name")
          .absent("none")
          .object(&Pool::idle, "idle", idle_keys(), "instances kept ready without a job")
          .objects(&Pool::schedule, "schedule", schedule_keys(),
                   "idle counts and limits by time, by name")
          .absent("none")
          .number(&Pool::growth_limit, "growth_limit", 0, 100'000,
                  "instances on their way at a time, of each size; 0: no limit")
          .object(&Pool::reuse, "reuse", reuse_keys(), "how often an instance is used")
          .number(&Pool::stopped_count, "stopped", 0, 100'000,
                  "instances kept stopped, to be started when jobs come; with `on_demand: only`")
          .duration(&Pool::min_life, "min_life", 0s, 24h,
                    "no instance is ended for want of jobs before it is this old")
          .duration(&Pool::max_life, "max_life", 0s, 24h * 365,
                    "a running instance ends at this age, with its job if need be; `0s`: never")
          .duration(&Pool::max_age, "max_age", 0s, 24h * 365,
                    "an idle instance that is older is replaced; `0s`: never")
          .duration(&Pool::hedge_after, "hedge_after", 0s, 1h,
                    "an instance that is not usable by then is counted on no more, and another is "
                    "launched, a few at a time; `0s`: never")
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
          .later({"block_devices", "host_key"});
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
          .object(&Config::limits, "limits", limit_keys(), "what the whole cluster keeps to")
          .object(&Config::api, "api", api_keys(), "the API beyond the local socket")
          .objects(&Config::tenants, "tenants", tenant_keys(),
                   "who shares machines fairly, by name; a repository that none names belongs to "
                   "its owner")
          .absent("each owner of a repository")
          .key(&Config::prices, "prices", "USD an hour on demand, by instance type")
          .absent("none; `limits.usd_per_day` needs them")
          .check([](NodeReader& reader, const Node& node, const std::string& path,
                    const Config& config) {
            for (const auto& [type, price] : config.prices) {
              check_decimal(reader, node, path + "." + type, price, "Write one such as 0.0832.");
            }
          })
          .check_all(check_budget)
          .later({"github", "gitlab", "drone", "store", "notifications"});
  return table;
}

}  // namespace muster
