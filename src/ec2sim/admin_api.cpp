#include "ec2sim/admin_api.hpp"

#include "base/document.hpp"
#include "ec2sim/faults.hpp"
#include "wire/json.hpp"

namespace ec2sim {

using muster::HttpServerResponse;
using muster::Node;

namespace {

HttpServerResponse reply(int status, const Node& body) {
  HttpServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.body = muster::wire::to_json(body, 2) + "\n";
  return response;
}

HttpServerResponse complaint(int status, const std::string& what) {
  return reply(status, Node::mapping().set("error", Node::string(what)));
}

/// A JSON value as a flag would have it: lists with commas between.
std::string text_of(const Node& value) {
  if (!value.is_sequence()) return value.text;
  std::string text;
  for (const Node& item : value.items) text += (text.empty() ? "" : ",") + item.text;
  return text;
}

}  // namespace

HttpServerResponse AdminApi::set_faults(const Node& body) {
  ec2model::Faults faults = universe_.regions().front()->model.world().faults;
  for (const muster::Member& member : body.members) {
    const muster::Status set = set_fault(faults, member.key, text_of(member.value));
    if (!set) return complaint(400, set.error().describe() + ". " + set.error().remedy);
  }
  for (const auto& region : universe_.regions()) region->model.world().faults = faults;
  return reply(200, describe(faults));
}

HttpServerResponse AdminApi::interrupt(const Node& body) {
  const std::string id = body.text_at({"instance_id"});
  Universe::Region* region = universe_.of_instance(id);
  if (region == nullptr) return complaint(404, "there is no machine " + id);
  ec2model::Interruption interruption;
  const std::string action = body.text_at({"action"});
  if (!action.empty()) interruption.action = action;
  if (interruption.action != "terminate" && interruption.action != "stop" &&
      interruption.action != "hibernate") {
    return complaint(400, "action is terminate, stop or hibernate");
  }
  const std::string notice = body.text_at({"notice"});
  const muster::Duration usual = region->model.world().faults.notice;
  const auto duration = notice.empty() ? std::optional(usual) : muster::parse_duration(notice);
  if (!duration) return complaint(400, "notice \"" + notice + "\" is no duration, such as 2m");
  interruption.at = clock_.now() + *duration;
  const auto done = region->model.interrupt(id, interruption, body.text_at({"rebalance"}) == "true",
                                            clock_.now());
  if (!done) return complaint(409, done.error().message);
  events_.changed();
  Node out = Node::mapping();
  out.set("instance_id", Node::string(id)).set("action", Node::string(interruption.action));
  return reply(200, out.set("time", Node::string(muster::format_iso8601(interruption.at))));
}

HttpServerResponse AdminApi::list_machines() const {
  Node machines = Node::sequence();
  for (const auto& region : universe_.regions()) {
    for (const auto& [id, entry] : region->model.ledger().machines()) {
      const ec2model::Instance* instance = region->model.find(id);
      if (instance == nullptr) continue;
      Node one = Node::mapping();
      one.set("instance_id", Node::string(id)).set("state", Node::string(name_of(instance->state)));
      one.set("account", Node::string(region->model.world().account));
      one.set("region", Node::string(region->model.world().region));
      one.set("type", Node::string(instance->instance_type));
      one.set("address", Node::string(instance->private_address));
      machines.items.push_back(std::move(one));
    }
  }
  return reply(200, Node::mapping().set("machines", machines));
}

muster::Task<HttpServerResponse> AdminApi::handle(muster::HttpServerRequest request) {
  const bool is_local = request.peer_address.starts_with("127.") || request.peer_address == "::1";
  if (!is_local) co_return complaint(403, "the admin API answers this host only");
  const std::string what = request.target.substr(sizeof("/_ec2sim/") - 1);
  const bool is_get = request.method == "GET";
  if (what == "machines" && is_get) co_return list_machines();
  if (what == "faults" && is_get) {
    co_return reply(200, describe(universe_.regions().front()->model.world().faults));
  }
  const auto body = muster::wire::parse_json(request.body.empty() ? "{}" : request.body);
  if (!body || !body->is_mapping()) co_return complaint(400, "the body is no JSON object");
  if (what == "faults") co_return set_faults(*body);
  if (what == "interrupt" && !is_get) co_return interrupt(*body);
  if (what == "reset" && !is_get) {
    events_.reset();
    co_return reply(200, Node::mapping().set("reset", Node::boolean(true)));
  }
  co_return complaint(404, "known are faults, machines, interrupt and reset");
}

}  // namespace ec2sim
