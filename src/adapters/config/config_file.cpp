#include "adapters/config/config_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/nearest.hpp"
#include "wire/yaml.hpp"

namespace muster::config {
namespace {

constexpr std::array<std::string_view, 8> kSizes{"nano",  "micro",  "small", "medium",
                                                 "large", "xlarge", "metal", "flex"};

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// `large`, `2xlarge`, `metal-24xl`
bool is_size(const std::string& size) {
  if (std::find(kSizes.begin(), kSizes.end(), size) != kSizes.end()) return true;
  if (size.ends_with("xlarge") && is_digits(size.substr(0, size.size() - 6))) return true;
  return size.starts_with("metal-") && size.ends_with("xl");
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 60 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string_view::npos;
}

/// Reads `muster.yml` key by key. Defaults stand in the structs.
class ConfigReader : public NodeReader {
 public:
  ConfigReader(std::vector<Finding>& findings, std::string file)
      : NodeReader(findings, true), folder_(std::filesystem::path(file).parent_path()) {}

  void read(const Node& document, Config& to) {
    members(document, "",
            {{"cluster", [&](const Node& at) { to.cluster = name(at, "cluster"); }},
             {"region", [&](const Node& at) { to.region = text(at, "region"); }},
             {"aws_profile", [&](const Node& at) { to.aws_profile = text(at, "aws_profile"); }},
             {"pools", [&](const Node& at) { read_pools(at, to); }}},
            {"github", "gitlab", "drone", "listen", "store", "tenants", "budget", "notifications"});
    for (auto& [pool_name, pool] : to.pools) {
      if (pool.region.empty()) pool.region = to.region;
    }
  }

 private:
  std::string name(const Node& node, const std::string& path) {
    const std::string value = text(node, path);
    if (!is_name(value)) {
      error(node.mark, path, fmt::format("\"{}\" is no name.", value),
            "Use letters, digits, - _ and ., at most 60 of them.");
    }
    return value;
  }

  void read_pools(const Node& node, Config& to) {
    if (!is_mapping(node, "pools")) return;
    for (const Member& member : node.members) {
      const std::string path = "pools." + member.key;
      if (!is_name(member.key)) {
        error(member.key_mark, path, "is no name for a pool.",
              "Use letters, digits, - _ and ., at most 60 of them.");
      }
      Pool pool;
      pool.name = PoolName(member.key);
      read_pool(member.value, path, member.key_mark, pool);
      to.pools[member.key] = std::move(pool);
    }
  }

  auto word(std::string& to, const std::string& path) {
    return [this, &to, path](const Node& at) { to = text(at, path); };
  }
  auto number(int& to, const std::string& path, int smallest, int largest) {
    return [this, &to, path, smallest, largest](const Node& at) {
      to = integer(at, path, smallest, largest);
    };
  }
  auto number(std::optional<int>& to, const std::string& path, int smallest, int largest) {
    return [this, &to, path, smallest, largest](const Node& at) {
      to = integer(at, path, smallest, largest);
    };
  }
  auto flag(std::optional<bool>& to, const std::string& path) {
    return [this, &to, path](const Node& at) { to = boolean(at, path); };
  }
  auto flag(bool& to, const std::string& path) {
    return [this, &to, path](const Node& at) { to = boolean(at, path); };
  }
  auto duration(Duration& to, const std::string& path, Duration smallest, Duration largest) {
    return [this, &to, path, smallest, largest](const Node& at) {
      const auto value = parse_duration(at.text);
      if (!at.is_scalar() || !value) {
        return error(at.mark, path, fmt::format("\"{}\" is no duration.", at.text),
                     "Write a number with s, m, h or d, such as 10m.");
      }
      if (*value < smallest || *value > largest) {
        return error(at.mark, path,
                     fmt::format("{} is not between {} and {}.", at.text, format_duration(smallest),
                                 format_duration(largest)));
      }
      to = *value;
    };
  }

  void read_pool(const Node& node, const std::string& path, const SourceMark& mark, Pool& to) {
    using namespace std::chrono_literals;
    const auto at_key = [&](const char* key) { return path + "." + key; };
    members(
        node, path,
        {{"image", word(to.image, at_key("image"))},
         {"image_owner", word(to.image_owner, at_key("image_owner"))},
         {"types", [&](const Node& at) { read_types(at, at_key("types"), to); }},
         {"region", word(to.region, at_key("region"))},
         {"subnets", [&](const Node& at) { to.subnets = texts(at, at_key("subnets")); }},
         {"security_groups",
          [&](const Node& at) { to.security_groups = texts(at, at_key("security_groups")); }},
         {"on_demand", [&](const Node& at) { read_on_demand(at, at_key("on_demand"), to); }},
         {"max_price", [&](const Node& at) { read_price(at, at_key("max_price"), to); }},
         {"max_instances", number(to.max_instances, at_key("max_instances"), 1, 100'000)},
         {"disk", [&](const Node& at) { read_disk(at, at_key("disk"), to.disk); }},
         {"iam_profile", word(to.iam_profile, at_key("iam_profile"))},
         {"key_name", word(to.key_name, at_key("key_name"))},
         {"public_ip", flag(to.public_ip, at_key("public_ip"))},
         {"private_ip", word(to.private_ip, at_key("private_ip"))},
         {"monitoring", flag(to.monitoring, at_key("monitoring"))},
         {"privileged", flag(to.privileged, at_key("privileged"))},
         {"name", word(to.instance_name, at_key("name"))},
         {"tags", [&](const Node& at) { read_tags(at, at_key("tags"), to.tags); }},
         {"user_data", [&](const Node& at) { read_user_data(at, at_key("user_data"), to); }},
         {"ssh", [&](const Node& at) { read_ssh(at, at_key("ssh"), to.ssh); }},
         {"metadata_hop_limit", number(to.metadata_hop_limit, at_key("metadata_hop_limit"), 1, 64)},
         {"boot_timeout", duration(to.boot_timeout, at_key("boot_timeout"), 5s, 1h)},
         {"dead_man", duration(to.dead_man, at_key("dead_man"), 1min, 24h)}},
        {"idle", "labels", "schedule", "reuse", "max_life", "launch_template", "block_devices",
         "scale_factor", "growth_limit", "host_key"});
    if (to.image.empty()) {
      error(mark, at_key("image"), "is missing.", "Name an AMI id or an image's name.");
    }
    if (to.types.empty()) {
      error(mark, at_key("types"), "is missing.", "List instance types, such as [t3.large].");
    }
    if (to.boot_timeout > to.dead_man) {
      const Node* given = node.find("boot_timeout");
      error(given != nullptr ? given->mark : mark, at_key("boot_timeout"),
            fmt::format("is {}, above dead_man ({}): a slow machine would end before it is up.",
                        format_duration(to.boot_timeout), format_duration(to.dead_man)),
            "Lower it, or raise dead_man.");
    }
    if (!to.private_ip.empty() && to.max_instances > 1) {
      error(mark, at_key("private_ip"), "fits one machine only.",
            fmt::format("Set {} to 1, or remove it.", at_key("max_instances")));
    }
  }

  void read_types(const Node& node, const std::string& path, Pool& to) {
    to.types = texts(node, path);
    for (std::size_t i = 0; i < to.types.size(); ++i) {
      const std::string& type = to.types[i];
      const SourceMark& mark = node.is_sequence() ? node.items[i].mark : node.mark;
      const std::string at = node.is_sequence() ? fmt::format("{}[{}]", path, i) : path;
      const std::size_t dot = type.find('.');
      const std::string size = dot == std::string::npos ? "" : type.substr(dot + 1);
      if (dot != std::string::npos && dot > 0 && is_size(size)) continue;
      const auto near = nearest_name(size, {kSizes.begin(), kSizes.end()});
      error(mark, at, fmt::format("\"{}\": no such instance type.", type),
            near && dot != std::string::npos
                ? fmt::format("Did you mean {}.{}?", type.substr(0, dot), *near)
                : "Write family and size, such as m7i.large.");
    }
  }

  void read_on_demand(const Node& node, const std::string& path, Pool& to) {
    const std::string value = text(node, path);
    if (value == "fallback") {
      to.on_demand = OnDemandRule::fallback;
    } else if (value == "only") {
      to.on_demand = OnDemandRule::only;
    } else if (value == "never") {
      to.on_demand = OnDemandRule::never;
    } else {
      error(node.mark, path, fmt::format("\"{}\" is no rule.", value),
            "Use fallback (spot first), only (never spot) or never.");
    }
  }

  void read_price(const Node& node, const std::string& path, Pool& to) {
    to.max_price = text(node, path);
    double price = 0;
    const char* end = to.max_price.data() + to.max_price.size();
    const auto [stop, failure] = std::from_chars(to.max_price.data(), end, price);
    if (failure == std::errc{} && stop == end && price > 0) return;
    error(node.mark, path, fmt::format("\"{}\" is no price.", to.max_price),
          "Write US dollars an hour, such as 0.05.");
  }

  void read_disk(const Node& node, const std::string& path, DiskPolicy& to) {
    members(node, path,
            {{"size", number(to.size_gib, path + ".size", 1, 65536)},
             {"type", word(to.type, path + ".type")},
             {"iops", number(to.iops, path + ".iops", 100, 256'000)},
             {"throughput", number(to.throughput_mib, path + ".throughput", 125, 2000)},
             {"encrypted", flag(to.is_encrypted, path + ".encrypted")},
             {"device", word(to.device, path + ".device")}});
    static const std::vector<std::string> kTypes{"standard", "io1", "io2", "gp2",
                                                 "sc1",      "st1", "gp3"};
    if (!to.type.empty() && std::find(kTypes.begin(), kTypes.end(), to.type) == kTypes.end()) {
      const auto near = nearest_name(to.type, kTypes);
      error(node.find("type")->mark, path + ".type",
            fmt::format("\"{}\" is no volume type.", to.type),
            near ? fmt::format("Did you mean {}?", *near) : "Use gp3.");
    }
  }

  void read_tags(const Node& node, const std::string& path,
                 std::map<std::string, std::string>& to) {
    if (!is_mapping(node, path)) return;
    for (const Member& member : node.members) {
      const bool is_reserved = member.key.starts_with("aws:") || member.key.starts_with("muster:");
      if (is_reserved) {
        error(member.key_mark, path, fmt::format("\"{}\" is a reserved tag.", member.key),
              "Tags of aws: and muster: are not yours to set.");
      }
      to[member.key] = text(member.value, path + "." + member.key);
    }
    if (to.size() > 40)
      error(node.mark, path, "has over 40 tags.", "EC2 allows 50, muster sets some.");
  }

  void read_user_data(const Node& node, const std::string& path, Pool& to) {
    to.user_data = text(node, path);
    if (to.user_data.starts_with("file:")) {
      const auto file = std::filesystem::path(folder_) / to.user_data.substr(5);
      std::ifstream in(file);
      if (!in) {
        return error(node.mark, path, fmt::format("{} cannot be read.", file.string()),
                     "Correct the path; it is relative to muster.yml.");
      }
      std::ostringstream bytes;
      bytes << in.rdbuf();
      to.user_data = bytes.str();
    }
    const bool is_known = to.user_data.empty() || to.user_data.starts_with("#!") ||
                          to.user_data.starts_with("#cloud-config");
    if (!is_known) {
      error(node.mark, path, "starts with neither #! nor #cloud-config.",
            "Make it a script or a cloud-config.");
    }
    if (to.user_data.size() > 12'000) {
      error(node.mark, path, fmt::format("has {} bytes, over 12000.", to.user_data.size()),
            "EC2 allows 16 KiB with muster's own part; fetch the rest from the machine.");
    }
  }

  void read_ssh(const Node& node, const std::string& path, SshPolicy& to) {
    members(node, path,
            {{"user", [&](const Node& at) { to.user = name(at, path + ".user"); }},
             {"port", number(to.port, path + ".port", 1, 65535)},
             {"public_address", flag(to.uses_public_address, path + ".public_address")}},
            {"private_key"});
  }

  std::string folder_;
};

}  // namespace

Config read_config(std::string_view text, const std::string& file, std::vector<Finding>& findings) {
  Config config;
  config.file = file;
  wire::YamlOptions options;
  options.file = file;
  const Result<Node> document = wire::parse_yaml(text, options);
  if (!document) {
    // The text has the place in it.
    const std::string& message = document.error().message;
    const std::size_t space = message.find(": ");
    Problem problem;
    problem.mark.file = std::make_shared<std::string>(message.substr(0, space));
    problem.what = message.substr(space == std::string::npos ? 0 : space + 2);
    findings.push_back({problem, true});
    return config;
  }
  ConfigReader(findings, file).read(*document, config);
  return config;
}

}  // namespace muster::config
