#include "service/run_record.hpp"

#include <fmt/format.h>

#include "fleet/config_keys.hpp"
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

/// Errors: corrupt.
Result<Pool> read_pool(const Node& node) {
  std::vector<Finding> findings;
  NodeReader reader(findings, true);
  Pool pool;
  pool_keys().restore(reader, node, pool);
  if (!findings.empty()) {
    return fail(ErrorKind::corrupt,
                "the pool of a run's record: " + findings.front().problem.describe());
  }
  return pool;
}

}  // namespace

std::string seal_plan(const RunPlan& plan, const Secret& cluster_secret, Random& random) {
  Node document = Node::mapping();
  document.set("schema", Node::string("muster.plan/2"));
  document.set("cluster", Node::string(plan.cluster)).set("region", Node::string(plan.region));
  document.set("aws_profile", Node::string(plan.aws_profile));
  document.set("pool_name", Node::string(plan.pool.name.value()));
  document.set("pool", pool_keys().write(plan.pool)).set("time_max", seconds_of(plan.time_max));
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
  if (document->text_at({"schema"}) != "muster.plan/2") {
    return fail(ErrorKind::corrupt, fmt::format("a run's record of schema \"{}\" cannot be read",
                                                document->text_at({"schema"})));
  }
  RunPlan plan;
  plan.cluster = document->text_at({"cluster"});
  plan.region = document->text_at({"region"});
  plan.aws_profile = document->text_at({"aws_profile"});
  const Node* pool = document->find("pool");
  if (pool == nullptr) return fail(ErrorKind::corrupt, "the run's record has no pool");
  Result<Pool> read_back = read_pool(*pool);
  if (!read_back) return tl::unexpected<Error>(read_back.error());
  plan.pool = std::move(*read_back);
  plan.pool.name = PoolName(document->text_at({"pool_name"}));
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
