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

}  // namespace

std::string seal_plan(const RunPlan& plan, const Secret& cluster_secret, Random& random) {
  Node pool = Node::mapping();
  pool.set("name", Node::string(plan.pool.name.value()));
  pool.set("user", Node::string(plan.pool.ssh.user));
  pool.set("port", Node::number(plan.pool.ssh.port));
  pool.set("public_address", Node::boolean(plan.pool.ssh.uses_public_address));
  pool.set("boot_timeout", seconds_of(plan.pool.boot_timeout));
  pool.set("dead_man", seconds_of(plan.pool.dead_man));
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.plan/1"));
  document.set("cluster", Node::string(plan.cluster)).set("region", Node::string(plan.region));
  document.set("pool", std::move(pool)).set("time_max", seconds_of(plan.time_max));
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
  plan.pool.name = PoolName(document->text_at({"pool", "name"}));
  plan.pool.ssh.user = document->text_at({"pool", "user"});
  plan.pool.ssh.port =
      static_cast<int>(parse_integer(document->text_at({"pool", "port"})).value_or(22));
  plan.pool.ssh.uses_public_address = document->text_at({"pool", "public_address"}) == "true";
  plan.pool.boot_timeout = seconds_at(*document, {"pool", "boot_timeout"});
  plan.pool.dead_man = seconds_at(*document, {"pool", "dead_man"});
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
