#include "ec2sim/world_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/node_reader.hpp"
#include "ec2sim/faults.hpp"
#include "wire/yaml.hpp"

namespace ec2sim {

using ec2model::World;
using muster::ErrorKind;
using muster::fail;
using muster::Finding;
using muster::Node;

namespace {

constexpr std::size_t kDefaultNetworksMax = 4;

/// What the file says of a region, before it is applied to each account.
struct RegionSetting {
  std::string name;
  std::vector<std::string> zones;
  bool has_default_vpc = true;
  struct SubnetSetting {
    std::string zone;
    ec2model::Cidr cidr;
    bool is_public = false;
  };
  std::vector<SubnetSetting> subnets;
};

class WorldReader : public muster::NodeReader {
 public:
  explicit WorldReader(std::vector<Finding>& findings) : NodeReader(findings, true) {}

  void read(const Node& document) {
    members(
        document, "",
        {{"accounts", each("accounts", [&](const Node& at,
                                           const std::string& path) { read_account(at, path); })},
         {"regions",
          each("regions", [&](const Node& at, const std::string& path) { read_region(at, path); })},
         {"images",
          each("images", [&](const Node& at, const std::string& path) { read_image(at, path); })},
         {"durations", [&](const Node& at) { read_durations(at); }},
         {"quotas",
          [&](const Node& at) {
            members(at, "quotas",
                    {{"vcpu", [&](const Node& one) { vcpu_quota = integer(one, "quotas.vcpu"); }},
                     {"spot_vcpu",
                      [&](const Node& one) { spot_quota = integer(one, "quotas.spot_vcpu"); }}});
          }},
         {"deny", [&](const Node& at) { denied = patterns(at, "deny", check_action); }},
         {"no_capacity",
          [&](const Node& at) { full = patterns(at, "no_capacity", check_offering); }}});
  }

  std::vector<Account> accounts;
  std::map<std::string, std::vector<std::string>> profiles;  // By account.
  std::vector<RegionSetting> regions;
  std::vector<ec2model::Image> images;
  ec2model::Durations durations;
  std::optional<int> vcpu_quota;
  std::optional<int> spot_quota;
  std::vector<std::string> denied;
  std::vector<std::string> full;

 private:
  using ReadItem = std::function<void(const Node&, const std::string&)>;
  std::function<void(const Node&)> each(std::string name, ReadItem read) {
    return [this, name = std::move(name), read = std::move(read)](const Node& node) {
      if (!is_list(node, name)) return;
      for (std::size_t i = 0; i < node.items.size(); ++i) {
        read(node.items[i], fmt::format("{}[{}]", name, i));
      }
    };
  }

  void read_account(const Node& node, const std::string& path) {
    std::optional<std::vector<std::string>> own_profiles;
    Account account;
    members(
        node, path,
        {{"id", [&](const Node& at) { account.id = text(at, path + ".id"); }},
         {"user", [&](const Node& at) { account.user = text(at, path + ".user"); }},
         {"access_keys",
          each(path + ".access_keys",
               [&](const Node& at, const std::string& own) {
                 AccessKey key;
                 members(at, own,
                         {{"id", [&](const Node& one) { key.id = text(one, own + ".id"); }},
                          {"secret", [&](const Node& one) {
                             key.secret = muster::Secret(text(one, own + ".secret"));
                           }}});
                 if (key.id.empty() || key.secret.empty()) {
                   error(at.mark, own, "lacks its id or secret.", "Write {id: AKIA…, secret: …}.");
                 }
                 account.access_keys.push_back(key);
               })},
         {"roles", each(path + ".roles",
                        [&](const Node& at, const std::string& own) {
                          Role role;
                          members(at, own,
                                  {{"name",
                                    [&](const Node& one) { role.name = text(one, own + ".name"); }},
                                   {"external_id",
                                    [&](const Node& one) {
                                      role.external_id = text(one, own + ".external_id");
                                    }},
                                   {"session_max", [&](const Node& one) {
                                      role.session_max = duration(one, own + ".session_max");
                                    }}});
                          account.roles.push_back(role);
                        })},
         {"instance_profiles",
          [&](const Node& at) { own_profiles = texts(at, path + ".instance_profiles"); }}});
    if (own_profiles) profiles[account.id] = *own_profiles;
    const bool is_id =
        account.id.size() == 12 && account.id.find_first_not_of("0123456789") == std::string::npos;
    if (!is_id) {
      error(node.mark, path + ".id", fmt::format("\"{}\" is no account.", account.id),
            "Write twelve digits, in quotes.");
    }
    accounts.push_back(std::move(account));
  }

  std::vector<std::string> patterns(const Node& node, const std::string& path,
                                    muster::Status (*check)(const std::string&)) {
    std::vector<std::string> found = texts(node, path);
    for (const std::string& pattern : found) {
      const muster::Status fine = check(pattern);
      if (!fine) error(node.mark, path, fine.error().message + ".", fine.error().remedy);
    }
    return found;
  }

  muster::Duration duration(const Node& node, const std::string& path) {
    const auto value = muster::parse_duration(node.text);
    if (value) return *value;
    error(node.mark, path, fmt::format("\"{}\" is no duration.", node.text),
          "Write a number with s, m or h.");
    return {};
  }

  ec2model::Cidr cidr(const Node& node, const std::string& path) {
    const auto value = ec2model::parse_cidr(node.text);
    if (value && value->bits >= 16 && value->bits <= 28) return *value;
    error(node.mark, path, fmt::format("\"{}\" is no network.", node.text),
          "Write one such as 10.0.16.0/20, from /16 to /28.");
    return {};
  }

  void read_region(const Node& node, const std::string& path) {
    RegionSetting region;
    members(node, path,
            {{"name", [&](const Node& at) { region.name = text(at, path + ".name"); }},
             {"zones", [&](const Node& at) { region.zones = texts(at, path + ".zones"); }},
             {"default_vpc",
              [&](const Node& at) { region.has_default_vpc = boolean(at, path + ".default_vpc"); }},
             {"subnets", each(path + ".subnets", [&](const Node& at, const std::string& own) {
                RegionSetting::SubnetSetting subnet;
                members(at, own,
                        {{"zone", [&](const Node& one) { subnet.zone = text(one, own + ".zone"); }},
                         {"cidr", [&](const Node& one) { subnet.cidr = cidr(one, own + ".cidr"); }},
                         {"public", [&](const Node& one) {
                            subnet.is_public = boolean(one, own + ".public");
                          }}});
                region.subnets.push_back(subnet);
              })}});
    if (region.name.empty())
      error(node.mark, path + ".name", "is missing.", "Name a region such as eu-central-1.");
    if (region.zones.empty()) region.zones = {"a", "b", "c"};
    for (const auto& subnet : region.subnets) {
      const bool is_there =
          std::find(region.zones.begin(), region.zones.end(), subnet.zone) != region.zones.end();
      if (is_there) continue;
      error(node.mark, path + ".subnets", fmt::format("\"{}\" is no zone here.", subnet.zone),
            fmt::format("Use one of {}.", fmt::join(region.zones, ", ")));
    }
    regions.push_back(std::move(region));
  }

  void read_image(const Node& node, const std::string& path) {
    ec2model::Image image;
    image.architecture = "x86_64";
    image.default_user = "admin";
    image.creation_date = "2026-10-01T00:00:00.000Z";
    const auto word = [&](std::string& to, const char* key) {
      return [this, &to, at_key = path + "." + key](const Node& at) { to = text(at, at_key); };
    };
    members(
        node, path,
        {{"id", word(image.id, "id")},
         {"name", word(image.name, "name")},
         {"description", word(image.description, "description")},
         {"architecture", word(image.architecture, "architecture")},
         {"owner", word(image.owner, "owner")},
         {"user", word(image.default_user, "user")},
         {"root_device", word(image.root_device, "root_device")},
         {"aliases", [&](const Node& at) { image.parameters = texts(at, path + ".aliases"); }},
         {"docker", [&](const Node& at) { image.has_docker = boolean(at, path + ".docker"); }},
         {"public", [&](const Node& at) { image.is_public = boolean(at, path + ".public"); }},
         {"disk", [&](const Node& at) { image.disk_gib = integer(at, path + ".disk", 1, 16384); }},
         {"kind", [&](const Node& at) { image.kind = kind(at, path + ".kind"); }}});
    if (!image.id.starts_with("ami-")) {
      error(node.mark, path + ".id", fmt::format("\"{}\" is no image id.", image.id),
            "Write ami- and 17 hexadecimal digits.");
    }
    if (image.architecture != "x86_64" && image.architecture != "arm64") {
      error(node.mark, path + ".architecture",
            fmt::format("\"{}\" is not known.", image.architecture), "Use x86_64 or arm64.");
    }
    if (image.owner == "amazon") {
      image.owner = "137112412989";
      image.owner_alias = "amazon";
      image.is_public = true;
    }
    images.push_back(std::move(image));
  }

  ec2model::MachineKind kind(const Node& node, const std::string& path) {
    if (node.text == "namespace") return ec2model::MachineKind::namespaces;
    if (node.text == "process") return ec2model::MachineKind::process;
    if (node.text == "record") return ec2model::MachineKind::record;
    error(node.mark, path, fmt::format("\"{}\" is no kind of machine.", node.text),
          "Use namespace, process or record.");
    return ec2model::MachineKind::standard;
  }

  void read_durations(const Node& node) {
    const auto into = [&](ec2model::Distribution& to, const char* key) {
      return [this, &to, path = std::string("durations.") + key](const Node& at) {
        const auto value = ec2model::parse_distribution(at.text);
        if (!value) {
          return error(at.mark, path, fmt::format("\"{}\" is no distribution.", at.text),
                       "Write 2s, 1s-5s or lognormal:MEDIAN,P99.");
        }
        to = *value;
      };
    };
    members(node, "durations",
            {{"pending", into(durations.pending, "pending")},
             {"stopping", into(durations.stopping, "stopping")},
             {"shutting_down", into(durations.shutting_down, "shutting_down")}});
  }
};

/// Subnets of the file, with the simulator's own second octet in networks of 10.0.0.0/8: real
/// machines live there.
void apply_subnets(World& world, const RegionSetting& region, unsigned second_octet) {
  if (region.subnets.empty()) return;
  world.subnets.clear();
  int number = 0;
  for (const auto& setting : region.subnets) {
    ec2model::Cidr cidr = setting.cidr;
    if (cidr.first >> 24 == 10) cidr.first = (cidr.first & 0xff00ffffU) | second_octet << 16;
    ec2model::Subnet subnet =
        make_subnet(world,
                    fmt::format("subnet-0{:016x}",
                                std::hash<std::string>{}(world.account + world.region) >> 8 << 4 |
                                    static_cast<unsigned>(++number)),
                    world.vpcs.front().id, world.region + setting.zone, cidr);
    subnet.is_default = region.has_default_vpc;
    subnet.maps_public_address = setting.is_public;
    world.subnets.push_back(subnet);
  }
}

}  // namespace

Settings default_settings(unsigned second_octet) {
  Settings settings;
  Account account;
  account.roles = {{"ci-runner", "", std::chrono::hours{1}},
                   {"muster", "", std::chrono::hours{12}}};
  settings.accounts.push_back(account);
  settings.worlds.push_back(ec2model::default_world(second_octet));
  return settings;
}

muster::Result<Settings> read_world(std::string_view content, const std::string& file,
                                    unsigned second_octet) {
  muster::wire::YamlOptions options;
  options.file = file;
  const muster::Result<Node> document = muster::wire::parse_yaml(content, options);
  if (!document) return tl::unexpected<muster::Error>(document.error());
  std::vector<Finding> findings;
  WorldReader reader(findings);
  reader.read(*document);
  Settings settings;
  settings.accounts =
      reader.accounts.empty() ? default_settings(second_octet).accounts : reader.accounts;
  if (reader.regions.empty()) reader.regions.push_back({"us-east-1", {"a", "b", "c"}, true, {}});
  std::vector<std::string> names;
  for (const RegionSetting& region : reader.regions) names.push_back(region.name);
  unsigned slice = 0;
  for (const Account& account : settings.accounts) {
    for (const RegionSetting& region : reader.regions) {
      if (region.subnets.empty() && slice >= kDefaultNetworksMax) {
        reader.error(document->mark, "regions",
                     fmt::format("have room for {} default networks.", kDefaultNetworksMax),
                     "Give the others subnets of their own.");
      }
      World world = ec2model::default_world(second_octet, region.name, account.id,
                                            slice % kDefaultNetworksMax);
      ++slice;
      world.user_arn = account.user_arn();
      world.regions = names;
      world.zones.clear();
      for (const std::string& letter : region.zones) world.zones.push_back(region.name + letter);
      std::erase_if(world.subnets, [&](const ec2model::Subnet& subnet) {
        return std::find(world.zones.begin(), world.zones.end(), subnet.zone) == world.zones.end();
      });
      apply_subnets(world, region, second_octet);
      if (!region.has_default_vpc) {
        world.default_vpc.clear();
        world.vpcs.front().is_default = false;
        for (ec2model::Subnet& subnet : world.subnets) subnet.is_default = false;
      }
      if (!reader.images.empty()) world.images = reader.images;
      for (ec2model::Image& image : world.images) {
        if (image.owner.empty()) image.owner = account.id;
      }
      const auto profiles = reader.profiles.find(account.id);
      if (profiles != reader.profiles.end()) {
        world.profiles.clear();
        for (const std::string& name : profiles->second) {
          world.profiles.push_back(
              {name, fmt::format("arn:aws:iam::{}:instance-profile/{}", account.id, name),
               fmt::format("AIPA{:X}", std::hash<std::string>{}(name))});
        }
      }
      world.durations = reader.durations;
      if (reader.vcpu_quota) world.vcpu_quota = *reader.vcpu_quota;
      if (reader.spot_quota) world.spot_vcpu_quota = *reader.spot_quota;
      world.denied_actions = reader.denied;
      world.faults.full_offerings = reader.full;
      settings.worlds.push_back(std::move(world));
    }
  }
  std::string problems;
  for (const Finding& finding : findings) {
    if (finding.is_error) problems += (problems.empty() ? "" : "\n") + finding.problem.describe();
  }
  if (!problems.empty()) return fail(ErrorKind::invalid_input, problems);
  return settings;
}

}  // namespace ec2sim
