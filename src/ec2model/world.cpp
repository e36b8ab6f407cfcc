#include "ec2model/world.hpp"

#include <fmt/format.h>

#include <charconv>

namespace ec2model {
namespace {

unsigned address(unsigned second, unsigned third, unsigned fourth) {
  return 10U << 24 | second << 16 | third << 8 | fourth;
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

World default_world(unsigned second_octet) {
  World world;
  world.zones = {"us-east-1a", "us-east-1b", "us-east-1c"};
  world.default_vpc = "vpc-0d15ea5e0d15ea5e0";
  for (unsigned i = 0; i < 3; ++i) {
    Subnet subnet;
    subnet.id = fmt::format("subnet-0a1b2c3d4e5f6070{}", i + 1);
    subnet.vpc = world.default_vpc;
    subnet.zone = world.zones[i];
    subnet.zone_id = fmt::format("use1-az{}", i + 1);
    subnet.cidr = fmt::format("10.{}.{}.0/20", second_octet, 16 * (i + 1));
    subnet.first_address = address(second_octet, 16 * (i + 1), 4);
    subnet.address_count = 4091;
    world.subnets.push_back(subnet);
  }
  world.groups.push_back(
      {"sg-0d15ea5e0d15ea5e1", "default", "default VPC security group", world.default_vpc});
  const auto image = [&](std::string id, std::string name, std::string architecture,
                         bool has_docker) {
    Image made;
    made.id = std::move(id);
    made.description = has_docker ? "Debian 12 with a Docker engine" : "Debian 12";
    made.name = std::move(name);
    made.architecture = std::move(architecture);
    made.owner = world.account;
    made.creation_date = "2026-10-01T00:00:00.000Z";
    made.default_user = "admin";
    made.has_docker = has_docker;
    world.images.push_back(std::move(made));
  };
  image("ami-0deb12a64d0000001", "debian-12-amd64", "x86_64", false);
  image("ami-0deb12a64d0c4e001", "debian-12-amd64-docker", "x86_64", true);
  image("ami-0deb12a12640000a1", "debian-12-arm64", "arm64", false);
  world.profiles.push_back(
      {"ci-runner", fmt::format("arn:aws:iam::{}:instance-profile/ci-runner", world.account),
       "AIPA0C1RUNNER0000000"});
  world.public_address_first = address(second_octet, 240, 1);
  world.public_address_count = 4094;
  return world;
}

void add_second_vpc(World& world, unsigned second_octet) {
  Subnet subnet;
  subnet.id = "subnet-0b0b0b0b0b0b0b0b1";
  subnet.vpc = "vpc-0b0b0b0b0b0b0b0b0";
  subnet.zone = world.zones.front();
  subnet.zone_id = "use1-az1";
  subnet.cidr = fmt::format("10.{}.128.0/24", second_octet);
  subnet.first_address = address(second_octet, 128, 4);
  subnet.address_count = 2;
  subnet.is_default = false;
  world.subnets.push_back(subnet);
  world.groups.push_back(
      {"sg-0b0b0b0b0b0b0b0b2", "default", "default VPC security group", subnet.vpc});
}

}  // namespace ec2model
