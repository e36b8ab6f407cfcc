#include "ec2sim/metadata_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/document.hpp"
#include "wire/json.hpp"

namespace ec2sim {
namespace {

using muster::HttpServerResponse;
using muster::Node;

constexpr int kSessionSecondsMax = 21600;
constexpr int kSessionsMax = 1000;  // Of one machine at a time.

HttpServerResponse plain(int status, std::string body, std::string type = "text/plain") {
  HttpServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", std::move(type)}, {"Server", "EC2ws"}};
  response.body = std::move(body);
  return response;
}

bool is_version(const std::string& text) {
  if (text == "latest" || text == "1.0") return true;
  const bool has_form = text.size() == 10 && text[4] == '-' && text[7] == '-';
  return has_form && text.find_first_not_of("0123456789-") == std::string::npos;
}

}  // namespace

HttpServerResponse MetadataService::open_session(const muster::HttpServerRequest& request,
                                                 ec2model::Model& model,
                                                 const ec2model::Instance& instance) {
  if (!muster::header_value(request.headers, "x-forwarded-for").empty()) return plain(403, "");
  const auto seconds = muster::parse_integer(
      muster::header_value(request.headers, "x-aws-ec2-metadata-token-ttl-seconds"));
  if (!seconds || *seconds < 1 || *seconds > kSessionSecondsMax) return plain(400, "");
  std::erase_if(sessions_, [&](const auto& one) { return one.second.expires_at < clock_.now(); });
  const auto own_count = std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& one) {
    return one.second.instance == instance.id;
  });
  if (own_count >= kSessionsMax) return plain(503, "");
  const std::string token = model.random_id("AQAEA", 51);
  sessions_[token] = {instance.id, clock_.now() + std::chrono::seconds{*seconds}};
  HttpServerResponse response = plain(200, token);
  response.headers.emplace_back("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", std::to_string(*seconds));
  response.ip_ttl = instance.metadata.hop_limit;
  return response;
}

muster::wire::AwsCredentials MetadataService::role_keys(const ec2model::Model& model,
                                                        const ec2model::Instance& instance) {
  muster::wire::AwsCredentials& keys = role_keys_[instance.id];
  if (!keys.expiration || *keys.expiration - clock_.now() < std::chrono::hours{1}) {
    keys = sts_.open_session(model.world().account, instance.profile->name, instance.id,
                             clock_.now() + std::chrono::hours{6});
  }
  return keys;
}

std::map<std::string, std::string> MetadataService::tree_of(const ec2model::Model& model,
                                                            const ec2model::Instance& at) {
  const ec2model::World& world = model.world();
  std::string hostname = "ip-" + at.private_address;
  std::replace(hostname.begin(), hostname.end(), '.', '-');
  hostname += ".ec2.internal";
  std::string groups;
  std::string group_ids;
  for (const std::string& id : at.groups) {
    const ec2model::SecurityGroup* group = model.find_group(id);
    if (group != nullptr) groups += (groups.empty() ? "" : "\n") + group->name;
    group_ids += (group_ids.empty() ? "" : "\n") + id;
  }
  std::map<std::string, std::string> tree{
      {"meta-data/instance-id", at.id},
      {"meta-data/instance-type", at.instance_type},
      {"meta-data/ami-id", at.image},
      {"meta-data/ami-launch-index", std::to_string(at.launch_index)},
      {"meta-data/reservation-id", at.reservation},
      {"meta-data/mac", at.mac},
      {"meta-data/local-ipv4", at.private_address},
      {"meta-data/local-hostname", hostname},
      {"meta-data/hostname", hostname},
      {"meta-data/security-groups", groups},
      {"meta-data/instance-life-cycle", at.spot_request.empty() ? "on-demand" : "spot"},
      {"meta-data/placement/region", world.region},
      {"meta-data/placement/availability-zone", at.zone},
      {"meta-data/placement/availability-zone-id", at.zone_id},
      {"meta-data/services/domain", "amazonaws.com"},
      {"meta-data/services/partition", "aws"},
      {"meta-data/block-device-mapping/ami", at.root_device},
      {"meta-data/block-device-mapping/root", at.root_device},
      {"meta-data/events/maintenance/scheduled", "[]"},
  };
  if (!at.public_address.empty()) tree["meta-data/public-ipv4"] = at.public_address;
  if (!at.public_key.empty()) tree["meta-data/public-keys/0/openssh-key"] = at.public_key + "\n";
  if (at.interruption) {
    Node action = Node::mapping();
    action.set("action", Node::string(at.interruption->action));
    action.set("time", Node::string(muster::format_iso8601(at.interruption->at)));
    // About two minutes before, whenever EC2 decided.
    if (at.interruption->at - clock_.now() <= std::chrono::seconds{120}) {
      tree["meta-data/spot/instance-action"] = muster::wire::to_json(action);
      tree["meta-data/spot/termination-time"] = muster::format_iso8601(at.interruption->at);
    }
  }
  if (at.rebalance_at) {
    tree["meta-data/events/recommendations/rebalance"] = muster::wire::to_json(
        Node::mapping().set("noticeTime", Node::string(muster::format_iso8601(*at.rebalance_at))));
  }
  const std::string interface = "meta-data/network/interfaces/macs/" + at.mac + "/";
  tree[interface + "subnet-id"] = at.subnet;
  tree[interface + "vpc-id"] = at.vpc;
  tree[interface + "interface-id"] = at.interface_id;
  tree[interface + "local-ipv4s"] = at.private_address;
  tree[interface + "security-group-ids"] = group_ids;
  tree[interface + "device-number"] = "0";
  tree[interface + "mac"] = at.mac;
  if (at.metadata.shows_tags) {
    for (const auto& [key, value] : at.tags) tree["meta-data/tags/instance/" + key] = value;
  }
  const std::string now = muster::format_iso8601(clock_.now());
  if (at.profile) {
    Node info = Node::mapping();
    info.set("Code", Node::string("Success")).set("LastUpdated", Node::string(now));
    info.set("InstanceProfileArn", Node::string(at.profile->arn));
    info.set("InstanceProfileId", Node::string(at.profile->id));
    tree["meta-data/iam/info"] = muster::wire::to_json(info, 2);
    Node keys = Node::mapping();
    keys.set("Code", Node::string("Success")).set("LastUpdated", Node::string(now));
    keys.set("Type", Node::string("AWS-HMAC"));
    const muster::wire::AwsCredentials role = role_keys(model, at);
    keys.set("AccessKeyId", Node::string(role.access_key_id));
    keys.set("SecretAccessKey", Node::string(role.secret_access_key.reveal()));
    keys.set("Token", Node::string(role.session_token.reveal()));
    keys.set("Expiration", Node::string(muster::format_iso8601(*role.expiration)));
    tree["meta-data/iam/security-credentials/" + at.profile->name] = muster::wire::to_json(keys, 2);
  }
  if (!at.user_data.empty()) tree["user-data"] = at.user_data;
  Node document = Node::mapping();
  document.set("accountId", Node::string(world.account));
  document.set("architecture", Node::string(at.architecture));
  document.set("availabilityZone", Node::string(at.zone));
  document.set("imageId", Node::string(at.image));
  document.set("instanceId", Node::string(at.id));
  document.set("instanceType", Node::string(at.instance_type));
  document.set("pendingTime", Node::string(muster::format_iso8601(at.launched_at)));
  document.set("privateIp", Node::string(at.private_address));
  document.set("region", Node::string(world.region));
  document.set("version", Node::string("2017-09-30"));
  tree["dynamic/instance-identity/document"] = muster::wire::to_json(document, 2);
  return tree;
}

muster::Task<HttpServerResponse> MetadataService::handle(muster::HttpServerRequest request) {
  // Machines of kind process share one network: the address asked tells which it is.
  const std::string& address =
      request.peer_address.starts_with("127.") ? request.local_address : request.peer_address;
  ec2model::Model* model = universe_.of_address(address);
  if (model == nullptr) co_return plain(404, "");
  const ec2model::Instance* instance = model->find_by_address(address);
  if (!instance->metadata.is_enabled) co_return plain(403, "");
  if (request.method == "PUT") {
    if (request.target != "/latest/api/token") co_return plain(404, "");
    co_return open_session(request, *model, *instance);
  }
  if (request.method != "GET" && request.method != "HEAD") co_return plain(405, "");
  const std::string token = muster::header_value(request.headers, "x-aws-ec2-metadata-token");
  const auto session = sessions_.find(token);
  const bool is_known = session != sessions_.end() && session->second.instance == instance->id &&
                        session->second.expires_at > clock_.now();
  if (!is_known && (instance->metadata.needs_token || !token.empty())) co_return plain(401, "");

  std::string path = request.target.substr(1, request.target.find('?') - 1);
  if (path.empty()) co_return plain(200, "1.0\n2009-04-04\n2021-03-23\nlatest");
  const std::size_t slash = path.find('/');
  if (!is_version(path.substr(0, slash))) co_return plain(404, "");
  path = slash == std::string::npos ? "" : path.substr(slash + 1);
  const std::map<std::string, std::string> tree = tree_of(*model, *instance);
  const auto leaf = tree.find(path);
  if (leaf != tree.end()) {
    co_return plain(200, leaf->second,
                    path == "user-data" ? "application/octet-stream" : "text/plain");
  }
  if (!path.empty() && !path.ends_with('/')) path += '/';
  std::set<std::string> names;
  for (const auto& [name, value] : tree) {
    if (!name.starts_with(path)) continue;
    const std::string rest = name.substr(path.size());
    const std::size_t end = rest.find('/');
    // A role stands without a slash behind it, and has nothing below.
    names.insert(end == std::string::npos ? rest : rest.substr(0, end + 1));
  }
  if (names.empty()) co_return plain(404, "");
  std::string listing;
  for (const std::string& name : names) listing += (listing.empty() ? "" : "\n") + name;
  co_return plain(200, listing);
}

}  // namespace ec2sim
