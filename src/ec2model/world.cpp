#include "ec2model/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ec2model {
namespace {

unsigned address(unsigned second, unsigned third, unsigned fourth) {
  return 10U << 24 | second << 16 | third << 8 | fourth;
}

/// The quantile function of the normal distribution, by bisection of the error function.
double normal_quantile(double p) {
  double low = -8;
  double high = 8;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return low;
}

}  // namespace

std::string format_address(unsigned address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255,
                     address & 255);
}

std::optional<unsigned> parse_address(const std::string& text) {
  unsigned value = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == end || *at != '.')) return std::nullopt;
    if (part > 0) ++at;
    unsigned number = 0;
    const auto [stop, error] = std::from_chars(at, end, number);
    if (error != std::errc{} || number > 255 || stop == at) return std::nullopt;
    value = value << 8 | number;
    at = stop;
  }
  if (at != end) return std::nullopt;
  return value;
}

std::optional<Cidr> parse_cidr(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  const auto first = parse_address(text.substr(0, slash));
  int bits = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, bits);
  if (!first || error != std::errc{} || stop != end || bits < 0 || bits > 32) return std::nullopt;
  const Cidr cidr{*first, bits};
  if ((cidr.first & static_cast<unsigned>(cidr.size() - 1)) != 0) return std::nullopt;
  return cidr;
}

bool Cidr::contains(const Cidr& other) const {
  return other.bits >= bits && other.first >= first && other.first - first < size();
}

bool Cidr::overlaps(const Cidr& other) const { return contains(other) || other.contains(*this); }

std::string Cidr::describe() const { return fmt::format("{}/{}", format_address(first), bits); }

bool GroupRule::admits_same(const GroupRule& other) const {
  return is_egress == other.is_egress && protocol == other.protocol &&
         from_port == other.from_port && to_port == other.to_port && cidr == other.cidr &&
         group == other.group;
}

muster::Duration Distribution::at(double quantile) const {
  if (form == Form::constant) return low;
  const auto start = static_cast<double>(low.count());
  const auto end = static_cast<double>(high.count());
  if (form == Form::uniform) {
    return muster::Duration{std::llround(start + (end - start) * quantile)};
  }
  constexpr double kP99 = 2.3263478740408408;
  const double spread = std::log(end / start) / kP99;
  const double value = start * std::exp(spread * normal_quantile(quantile));
  return muster::Duration{std::llround(std::min(value, 3.6e12 * 24))};
}

std::optional<Distribution> parse_distribution(const std::string& text) {
  const bool is_lognormal = text.starts_with("lognormal:");
  const std::string rest = is_lognormal ? text.substr(10) : text;
  const std::size_t middle = rest.find(is_lognormal ? ',' : '-');
  const auto low = muster::parse_duration(rest.substr(0, middle));
  if (!low) return std::nullopt;
  if (middle == std::string::npos) {
    if (is_lognormal) return std::nullopt;
    return Distribution{Distribution::Form::constant, *low, *low};
  }
  const auto high = muster::parse_duration(rest.substr(middle + 1));
  if (!high || *high < *low || (is_lognormal && low->count() == 0)) return std::nullopt;
  return Distribution{is_lognormal ? Distribution::Form::lognormal : Distribution::Form::uniform,
                      *low, *high};
}

std::string World::zone_id(const std::string& zone) const {
  // `us-east-1` gives `use1`, `ap-northeast-2` gives `apne2`.
  std::string id = region.substr(0, region.find('-'));
  for (std::size_t at = region.find('-'); at != std::string::npos; at = region.find('-', at + 1)) {
    const std::string part = region.substr(at + 1, region.find('-', at + 1) - at - 1);
    id += part.substr(0, 1);
    for (const char* second : {"east", "west"}) {
      if (part.size() > 4 && part.ends_with(second)) id += second[0];
    }
  }
  const auto place = std::find(zones.begin(), zones.end(), zone);
  return fmt::format("{}-az{}", id, place - zones.begin() + 1);
}

Subnet make_subnet(const World& world, std::string id, std::string vpc, std::string zone,
                   const Cidr& cidr) {
  Subnet subnet;
  subnet.id = std::move(id);
  subnet.vpc = std::move(vpc);
  subnet.zone_id = world.zone_id(zone);
  subnet.zone = std::move(zone);
  subnet.cidr = cidr;
  subnet.first_address = cidr.first + 4;
  subnet.address_count = static_cast<unsigned>(cidr.size()) - 5;
  subnet.is_default = false;
  return subnet;
}

SecurityGroup default_group(std::string id, std::string vpc) {
  SecurityGroup group{id, "default", "default VPC security group", std::move(vpc), {}};
  GroupRule from_members;
  from_members.id = "sgr-0" + id.substr(4);
  from_members.group = id;
  GroupRule to_all;
  to_all.id = "sgr-1" + id.substr(4);
  to_all.is_egress = true;
  to_all.cidr = "0.0.0.0/0";
  group.rules = {from_members, to_all};
  return group;
}

World default_world(unsigned second_octet, const std::string& region, const std::string& account,
                    unsigned slice) {
  World world;
  world.region = region;
  world.account = account;
  world.user_arn = fmt::format("arn:aws:iam::{}:user/muster", account);
  world.regions = {region};
  world.machine_network = {address(second_octet, 0, 0), 16};
  for (const char letter : {'a', 'b', 'c'}) world.zones.push_back(region + letter);
  // Ids of the first region are fixed, so that examples can name them.
  const std::string mark = slice == 0 ? "" : fmt::format("{:02x}", slice);
  const auto own = [&](std::string id) {
    return id.replace(id.size() - mark.size(), mark.size(), mark);
  };
  world.default_vpc = own("vpc-0d15ea5e0d15ea5e0");
  world.vpcs.push_back({world.default_vpc, {address(second_octet, 0, 0), 16}, true});
  for (unsigned i = 0; i < 3; ++i) {
    const std::string id = slice == 0 ? fmt::format("subnet-0a1b2c3d4e5f6070{}", i + 1)
                                      : fmt::format("subnet-0a1b2c3d4e5f6{:02x}0{}", slice, i + 1);
    const Cidr cidr{address(second_octet, slice * 48 + 16 * (i + 1), 0), 20};
    Subnet subnet = make_subnet(world, id, world.default_vpc, world.zones[i], cidr);
    subnet.is_default = true;
    world.subnets.push_back(subnet);
  }
  world.groups.push_back(default_group(own("sg-0d15ea5e0d15ea5e1"), world.default_vpc));
  const auto image = [&](std::string id, std::string name, std::string architecture,
                         bool has_docker, MachineKind kind) {
    Image made;
    made.id = std::move(id);
    made.description = has_docker ? "Debian 12 with a Docker engine" : "Debian 12";
    made.name = std::move(name);
    made.architecture = std::move(architecture);
    made.owner = world.account;
    made.creation_date = "2026-10-01T00:00:00.000Z";
    made.default_user = "admin";
    made.has_docker = has_docker;
    made.kind = kind;
    world.images.push_back(std::move(made));
  };
  image("ami-0deb12a64d0000001", "debian-12-amd64", "x86_64", false, MachineKind::standard);
  image("ami-0deb12a64d0c4e001", "debian-12-amd64-docker", "x86_64", true, MachineKind::standard);
  image("ami-0deb12a12640000a1", "debian-12-arm64", "arm64", false, MachineKind::standard);
  image("ami-0deb12a64d0000002", "debian-12-amd64-process", "x86_64", false, MachineKind::process);
  image("ami-0deb12a64d0000003", "debian-12-amd64-record", "x86_64", false, MachineKind::record);
  world.images[0].parameters = {"/aws/service/debian/release/12/latest/amd64"};
  world.images[2].parameters = {"/aws/service/debian/release/12/latest/arm64"};
  world.profiles.push_back(
      {"ci-runner", fmt::format("arn:aws:iam::{}:instance-profile/ci-runner", world.account),
       "AIPA0C1RUNNER0000000"});
  world.public_address_first = address(second_octet, slice * 4 + 240, 1);
  world.public_address_count = 1022;
  return world;
}

void add_second_vpc(World& world, unsigned second_octet) {
  const std::string vpc = "vpc-0b0b0b0b0b0b0b0b0";
  const Cidr cidr{address(second_octet, 15, 0), 29};
  world.vpcs.push_back({vpc, {address(second_octet, 15, 0), 24}, false});
  Subnet subnet = make_subnet(world, "subnet-0b0b0b0b0b0b0b0b1", vpc, world.zones.front(), cidr);
  subnet.address_count = 2;
  world.subnets.push_back(subnet);
  world.groups.push_back(default_group("sg-0b0b0b0b0b0b0b0b2", vpc));
}

}  // namespace ec2model
