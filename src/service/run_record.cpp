#include "service/run_record.hpp"

#include <fmt/format.h>

#include "wire/digest.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"
#include "wire/sealed.hpp"

namespace muster {
namespace {

constexpr std::size_t kPlanBytesMax = 64 << 20;

Secret plan_key(const Secret& cluster_secret) {
  return Secret(wire::hkdf_sha256(cluster_secret.reveal(), "muster run plan 1", 32));
}

Node seconds_of(Duration duration) {
  return Node::number(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

Duration seconds_at(const Node& node, std::initializer_list<std::string_view> path) {
  return std::chrono::seconds{parse_integer(node.text_at(path)).value_or(0)};
}

Node list_of(const std::vector<std::string>& values) {
  Node list = Node::sequence();
  for (const std::string& value : values) list.items.push_back(Node::string(value));
  return list;
}

std::vector<std::string> list_at(const Node& node, std::string_view key) {
  std::vector<std::string> out;
  const Node* list = node.find(key);
  if (list == nullptr) return out;
  for (const Node& item : list->items) out.push_back(item.text);
  return out;
}

int integer_at(const Node& node, std::string_view key) {
  return static_cast<int>(parse_integer(node.text_at({key})).value_or(0));
}

bool boolean_at(const Node& node, std::string_view key) { return node.text_at({key}) == "true"; }

std::optional<int> optional_integer_at(const Node& node, std::string_view key) {
  if (node.find(key) == nullptr) return std::nullopt;
  return integer_at(node, key);
}

std::optional<bool> optional_boolean_at(const Node& node, std::string_view key) {
  if (node.find(key) == nullptr) return std::nullopt;
  return boolean_at(node, key);
}

Node to_document(const DiskPolicy& disk) {
  Node out = Node::mapping();
  out.set("type", Node::string(disk.type)).set("device", Node::string(disk.device));
  if (disk.size_gib) out.set("size_gib", Node::number(*disk.size_gib));
  if (disk.iops) out.set("iops", Node::number(*disk.iops));
  if (disk.throughput_mib) out.set("throughput_mib", Node::number(*disk.throughput_mib));
  if (disk.is_encrypted) out.set("is_encrypted", Node::boolean(*disk.is_encrypted));
  return out;
}

DiskPolicy read_disk(const Node& node) {
  return {optional_integer_at(node, "size_gib"),     node.text_at({"type"}),
          optional_integer_at(node, "iops"),         optional_integer_at(node, "throughput_mib"),
          optional_boolean_at(node, "is_encrypted"), node.text_at({"device"})};
}

Node to_document(const Pool& pool) {
  Node out = Node::mapping();
  out.set("name", Node::string(pool.name.value()));
  out.set("image", Node::string(pool.image)).set("image_owner", Node::string(pool.image_owner));
  out.set("types", list_of(pool.types)).set("region", Node::string(pool.region));
  out.set("subnets", list_of(pool.subnets)).set("security_groups", list_of(pool.security_groups));
  out.set("on_demand", Node::number(static_cast<int>(pool.on_demand)));
  out.set("max_price", Node::string(pool.max_price));
  out.set("max_instances", Node::number(pool.max_instances));
  out.set("disk", to_document(pool.disk));
  out.set("iam_profile", Node::string(pool.iam_profile));
  out.set("key_name", Node::string(pool.key_name));
  if (pool.public_ip) out.set("public_ip", Node::boolean(*pool.public_ip));
  out.set("private_ip", Node::string(pool.private_ip));
  out.set("monitoring", Node::boolean(pool.monitoring));
  out.set("instance_name", Node::string(pool.instance_name));
  Node tags = Node::mapping();
  for (const auto& [key, value] : pool.tags) tags.set(key, Node::string(value));
  out.set("tags", std::move(tags)).set("user_data", Node::string(pool.user_data));
  out.set("user", Node::string(pool.ssh.user)).set("port", Node::number(pool.ssh.port));
  out.set("public_address", Node::boolean(pool.ssh.uses_public_address));
  out.set("metadata_hop_limit", Node::number(pool.metadata_hop_limit));
  out.set("privileged", Node::boolean(pool.privileged));
  out.set("boot_timeout", seconds_of(pool.boot_timeout));
  out.set("dead_man", seconds_of(pool.dead_man));
  return out;
}

Pool read_pool(const Node& node) {
  Pool pool;
  pool.name = PoolName(node.text_at({"name"}));
  pool.image = node.text_at({"image"});
  pool.image_owner = node.text_at({"image_owner"});
  pool.types = list_at(node, "types");
  pool.region = node.text_at({"region"});
  pool.subnets = list_at(node, "subnets");
  pool.security_groups = list_at(node, "security_groups");
  pool.on_demand = static_cast<OnDemandRule>(integer_at(node, "on_demand"));
  pool.max_price = node.text_at({"max_price"});
  pool.max_instances = integer_at(node, "max_instances");
  if (const Node* disk = node.find("disk")) pool.disk = read_disk(*disk);
  pool.iam_profile = node.text_at({"iam_profile"});
  pool.key_name = node.text_at({"key_name"});
  pool.public_ip = optional_boolean_at(node, "public_ip");
  pool.private_ip = node.text_at({"private_ip"});
  pool.monitoring = boolean_at(node, "monitoring");
  pool.instance_name = node.text_at({"instance_name"});
  if (const Node* tags = node.find("tags")) {
    for (const Member& tag : tags->members) pool.tags[tag.key] = tag.value.text;
  }
  pool.user_data = node.text_at({"user_data"});
  pool.ssh.user = node.text_at({"user"});
  pool.ssh.port = integer_at(node, "port");
  pool.ssh.uses_public_address = boolean_at(node, "public_address");
  pool.metadata_hop_limit = integer_at(node, "metadata_hop_limit");
  pool.privileged = boolean_at(node, "privileged");
  pool.boot_timeout = seconds_at(node, {"boot_timeout"});
  pool.dead_man = seconds_at(node, {"dead_man"});
  return pool;
}

}  // namespace

std::string seal_plan(const RunPlan& plan, const Secret& cluster_secret, Random& random) {
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.plan/1"));
  document.set("cluster", Node::string(plan.cluster)).set("region", Node::string(plan.region));
  document.set("aws_profile", Node::string(plan.aws_profile));
  document.set("pool", to_document(plan.pool)).set("time_max", seconds_of(plan.time_max));
  document.set("ref", Node::string(plan.bundle_ref))
      .set("commit", Node::string(plan.bundle_commit));
  document.set("stage", pipeline::to_document(plan.stage, true));
  std::string nonce;
  for (int i = 0; i < 12; ++i) nonce += static_cast<char>(random.next() & 255);
  return wire::base64_encode(wire::seal(plan_key(cluster_secret), nonce, wire::to_json(document)));
}

Result<RunPlan> unseal_plan(const std::string& sealed, const Secret& cluster_secret) {
  const auto bytes = wire::base64_decode(sealed);
  if (!bytes) return fail(ErrorKind::corrupt, "the run's record is damaged");
  const Result<Secret> plain = wire::unseal(plan_key(cluster_secret), *bytes);
  if (!plain) return tl::unexpected<Error>(plain.error());
  wire::JsonLimits limits;
  limits.bytes_max = kPlanBytesMax;
  const Result<Node> document = wire::parse_json(plain->reveal(), limits);
  if (!document) return tl::unexpected<Error>(document.error());
  if (document->text_at({"schema"}) != "muster.plan/1") {
    return fail(ErrorKind::corrupt, fmt::format("a run's record of schema \"{}\" cannot be read",
                                                document->text_at({"schema"})));
  }
  RunPlan plan;
  plan.cluster = document->text_at({"cluster"});
  plan.region = document->text_at({"region"});
  plan.aws_profile = document->text_at({"aws_profile"});
  const Node* pool = document->find("pool");
  if (pool == nullptr) return fail(ErrorKind::corrupt, "the run's record has no pool");
  plan.pool = read_pool(*pool);
  plan.bundle_ref = document->text_at({"ref"});
  plan.bundle_commit = document->text_at({"commit"});
  plan.time_max = seconds_at(*document, {"time_max"});
  const Node* stage = document->find("stage");
  if (stage == nullptr) return fail(ErrorKind::corrupt, "the run's record has no stage");
  Result<pipeline::Stage> read = pipeline::read_stage(*stage);
  if (!read) return tl::unexpected<Error>(read.error());
  plan.stage = std::move(*read);
  return plan;
}

std::string write_host_keys(const std::vector<HostKey>& keys) {
  std::string text;
  for (const HostKey& key : keys) text += key.type + " " + key.base64 + "\n";
  return text;
}

std::vector<HostKey> read_host_keys(const std::string& text) {
  std::vector<HostKey> keys;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    const std::size_t space = line.find(' ');
    if (space != std::string::npos) keys.push_back({line.substr(0, space), line.substr(space + 1)});
    begin = end + 1;
  }
  return keys;
}

}  // namespace muster
