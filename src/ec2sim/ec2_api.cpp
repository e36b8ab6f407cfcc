#include "ec2sim/ec2_api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/document.hpp"
#include "wire/encoding.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::refuse;
using muster::wire::XmlWriter;

const ActionTable& all_actions() {
  static const ActionTable table = [] {
    ActionTable joined;
    for (ActionTable part :
         {instance_actions(), fleet_actions(), lifecycle_actions(), tag_actions(), key_actions(),
          template_actions(), image_actions(), network_actions(), group_actions(),
          storage_actions(), catalog_actions(), spot_actions()}) {
      joined.merge(part);
    }
    return joined;
  }();
  return table;
}

std::vector<std::string_view> paged(std::vector<std::string_view> more) {
  for (const std::string_view name :
       {"Filter.N.Name", "Filter.N.Value.N", "MaxResults", "NextToken"}) {
    more.push_back(name);
  }
  return more;
}

std::vector<std::string_view> tagged(std::vector<std::string_view> more) {
  for (const std::string_view name :
       {"TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key",
        "TagSpecification.N.Tag.N.Value"}) {
    more.push_back(name);
  }
  return more;
}

Answer<std::string> done(const Answer<void>& answer) {
  if (!answer) return again(answer);
  return XmlWriter().text("return", "true").take();
}

Answer<void> check_page(const Call& call, const PageRule& rule) {
  const auto size = call.given.integer("MaxResults");
  if (!size) return again(size);
  if (*size && rule.has_ids) {
    const bool is_new = rule.ids_name.ends_with("Ids") || rule.ids_name.ends_with("Types");
    return refuse("InvalidParameterCombination",
                  fmt::format("The parameter {} cannot be used with the parameter {}",
                              rule.ids_name, is_new ? "MaxResults" : "maxResults"));
  }
  if (*size && (**size < rule.smallest || **size > rule.largest)) {
    const bool is_small = **size < rule.smallest;
    return refuse("InvalidParameterValue",
                  fmt::format("Value ( {} ) for parameter maxResults is invalid. Expecting a value "
                              "{} than or equal to {}.",
                              **size, is_small ? "greater" : "less",
                              is_small ? rule.smallest : rule.largest));
  }
  return {};
}

Answer<Page> page_of(const Call& call, const std::vector<std::string>& keys) {
  const auto size = call.given.integer("MaxResults");
  if (!size) return again(size);
  Page page;
  const std::string prefix = call.action + " ";
  const std::string token = call.given.text("NextToken");
  if (!token.empty()) {
    const auto bytes = muster::wire::base64_decode(token);
    if (!bytes || !bytes->starts_with(prefix)) {
      return refuse("InvalidNextToken", fmt::format("The token '{}' is invalid", token));
    }
    const std::string last = bytes->substr(prefix.size());
    page.begin =
        static_cast<std::size_t>(std::upper_bound(keys.begin(), keys.end(), last) - keys.begin());
  }
  page.end =
      *size ? std::min(keys.size(), page.begin + static_cast<std::size_t>(**size)) : keys.size();
  if (page.end < keys.size() && page.end > 0) {
    page.next_token = muster::wire::base64_encode(prefix + keys[page.end - 1]);
  }
  return page;
}

muster::HttpServerResponse xml_response(int status, const std::string& request_id,
                                        std::string body) {
  muster::HttpServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "text/xml;charset=UTF-8"},
                      {"x-amzn-requestid", request_id},
                      {"Server", "AmazonEC2"}};
  response.body = R"(<?xml version="1.0" encoding="UTF-8"?>)" + std::move(body);
  return response;
}

Ec2Api::Ec2Api(Universe& universe, ConsoleReader console) : universe_(universe) {
  around_.console = std::move(console);
  around_.parameter = [this](ec2model::Model& model,
                             const std::string& name) -> Answer<std::string> {
    Universe::Region* region = universe_.find(model.world().account, model.world().region);
    const auto found = region->parameters.get(name);
    if (!found) {
      return refuse(
          "InvalidParameterValue",
          fmt::format("Could not resolve the SSM parameter {}: {}", name, found.error().code));
    }
    return found->value;
  };
  around_.region = [this](const ec2model::Model& model,
                          const std::string& name) -> ec2model::Model* {
    Universe::Region* region = universe_.find(model.world().account, name);
    return region == nullptr ? nullptr : &region->model;
  };
}

ServiceAnswer Ec2Api::answer(const ServiceCall& call) {
  std::string action;
  for (const auto& [name, value] : call.parameters) {
    if (name == "Action") action = value;
  }
  const auto entry = all_actions().find(action);
  if (entry == all_actions().end()) {
    return {"(unknown)",
            refuse("InvalidAction",
                   fmt::format("The action {} is not valid for this web service.", action))};
  }
  Universe::Region* region = universe_.find(call.caller.account, call.caller.region);
  if (region == nullptr) {
    return {action, refuse("AuthFailure",
                           fmt::format("The account has no region {}", call.caller.region), 401)};
  }
  const Answer<Parameters> given =
      Parameters::check(call.parameters, entry->second.known, entry->second.required);
  if (!given) return {action, again(given)};
  const bool is_unfiltered =
      entry->second.has_unfiltered_bucket && !given->has_prefix("Filter.") &&
      !given->has("MaxResults") &&
      std::none_of(given->values().begin(), given->values().end(), [](const auto& one) {
        return one.first.find("Id.") != std::string::npos ||
               one.first.find("Name.") != std::string::npos;
      });
  const auto is_dry_run = given->boolean("DryRun");
  if (!is_dry_run) return {action, again(is_dry_run)};
  ec2model::Model& model = region->model;
  model.advance(call.now);
  const ec2model::Gate gate{model.permit(action, call.caller.arn),
                            model.throttle(action, is_unfiltered, call.now),
                            is_dry_run->value_or(false)};
  return {action, entry->second.run({action, *given, gate, model, around_, call.now})};
}

muster::HttpServerResponse Ec2Api::success(const std::string& action, const std::string& body,
                                           const std::string& request_id) const {
  XmlWriter out;
  out.open(action + "Response", R"(xmlns="http://ec2.amazonaws.com/doc/2016-11-15/")");
  out.text("requestId", request_id).raw(body).close();
  return xml_response(200, request_id, out.take());
}

muster::HttpServerResponse Ec2Api::refusal(const Ec2Error& error,
                                           const std::string& request_id) const {
  XmlWriter out;
  out.open("Response").open("Errors").open("Error");
  out.text("Code", error.code).text("Message", error.message);
  out.close().close().text("RequestID", request_id).close();
  return xml_response(error.status, request_id, out.take());
}

Ec2Error Ec2Api::translate(Ec2Error error) const { return error; }

Ec2Error Ec2Api::throttled() const {
  return {"RequestLimitExceeded", 503, "Request limit exceeded."};
}

Ec2Error Ec2Api::internal_failure() const {
  return {"InternalError", 500, "An internal error has occurred"};
}

}  // namespace ec2sim
