#include "ec2sim/instance_connect_api.hpp"

#include <fmt/format.h>

#include "base/document.hpp"
#include "ec2sim/key_material.hpp"
#include "wire/json.hpp"

namespace ec2sim {

using ec2model::refuse;
using muster::Node;

ServiceAnswer InstanceConnectApi::answer(const ServiceCall& call) {
  const std::string target = muster::header_value(call.request.headers, "x-amz-target");
  const std::string action = target.substr(target.find('.') + 1);
  if (action != "SendSSHPublicKey") return {"(unknown)", refuse("UnknownOperationException", "")};
  Universe::Region* region = universe_.find(call.caller.account, call.caller.region);
  if (region == nullptr) {
    return {action, refuse("AuthException",
                           fmt::format("The account has no region {}", call.caller.region), 403)};
  }
  const auto body = muster::wire::parse_json(call.request.body.empty() ? "{}" : call.request.body);
  if (!body || !body->is_mapping()) {
    return {action, refuse("SerializationException", "The body is no JSON object")};
  }
  for (const char* name : {"InstanceId", "InstanceOSUser", "SSHPublicKey"}) {
    if (!body->text_at({name}).empty()) continue;
    return {action, refuse("InvalidArgsException", fmt::format("{} is missing", name))};
  }
  if (const auto allowed = region->model.permit(action, call.caller.arn); !allowed) {
    return {action, refuse("AuthException", allowed.error().message, 403)};
  }
  region->model.advance(call.now);
  const std::string id = body->text_at({"InstanceId"});
  const ec2model::Instance* instance = region->model.find(id);
  const std::string zone = body->text_at({"AvailabilityZone"});
  if (instance == nullptr || (!zone.empty() && zone != instance->zone)) {
    return {action, refuse("EC2InstanceNotFoundException",
                           fmt::format("The instance {} was not found", id))};
  }
  if (instance->state != ec2model::State::running) {
    return {action, refuse("EC2InstanceStateInvalidException",
                           fmt::format("The instance {} is not running", id))};
  }
  const std::string key = body->text_at({"SSHPublicKey"});
  const auto read = read_public_key(key.substr(0, key.find('\n')));
  if (!read) {
    return {action, refuse("InvalidArgsException", "The SSHPublicKey is no OpenSSH public key")};
  }
  admit_(*instance, body->text_at({"InstanceOSUser"}), read->public_line);
  const Node out = Node::mapping()
                       .set("RequestId", Node::string(region->model.random_id("", 32)))
                       .set("Success", Node::boolean(true));
  return {action, muster::wire::to_json(out)};
}

ec2model::Ec2Error InstanceConnectApi::internal_failure() const {
  return {"ServiceException", 500, "An error occurred on the server side."};
}

}  // namespace ec2sim
