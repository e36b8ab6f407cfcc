#include "ec2sim/ssm_api.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/document.hpp"
#include "ec2model/filter.hpp"
#include "ec2sim/parameters.hpp"
#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::refuse;
using muster::Node;

namespace {

using Parameter = ParameterStore::Parameter;

Node number(double value) {
  Node node = Node::string(fmt::format("{:.3f}", value));
  node.is_quoted = false;
  return node;
}

/// Epoch seconds, as JSON protocols have them.
Node time_of(muster::TimePoint at) {
  return number(std::chrono::duration<double>(at.time_since_epoch()).count());
}

bool flag(const Node& body, std::string_view name) { return body.text_at({name}) == "true"; }

Node describe(const Parameter& parameter, const ParameterStore& store, bool decrypts) {
  Node node = Node::mapping();
  node.set("Name", Node::string(parameter.name)).set("Type", Node::string(parameter.type));
  // What the key encrypts is shown encoded unless it is asked for in clear.
  const bool is_hidden = parameter.type == "SecureString" && !decrypts;
  node.set("Value",
           Node::string(is_hidden ? "AQICAHh" + muster::wire::base64_encode(parameter.value)
                                  : parameter.value));
  node.set("Version", Node::number(parameter.version));
  node.set("LastModifiedDate", time_of(parameter.modified_at));
  node.set("ARN", Node::string(store.arn_of(parameter)));
  node.set("DataType", Node::string(parameter.data_type));
  return node;
}

tl::unexpected<Ec2Error> missing(std::string_view name) {
  return refuse("ValidationException",
                fmt::format("1 validation error detected: Value null at '{}' failed to satisfy "
                            "constraint: Member must not be null",
                            name));
}

Answer<Node> get_one(const Node& body, ParameterStore& store) {
  const std::string name = body.text_at({"Name"});
  if (name.empty()) return missing("name");
  const auto found = store.get(name);
  if (!found) return again(found);
  return Node::mapping().set("Parameter", describe(*found, store, flag(body, "WithDecryption")));
}

std::vector<std::string> names_in(const Node& body) {
  std::vector<std::string> names;
  if (const Node* list = body.find("Names")) {
    for (const Node& item : list->items) names.push_back(item.text);
  }
  return names;
}

Answer<Node> get_several(const Node& body, ParameterStore& store) {
  const std::vector<std::string> names = names_in(body);
  if (names.empty() || names.size() > 10) {
    return refuse("ValidationException", "Names must have 1 to 10 members");
  }
  Node found = Node::sequence();
  Node invalid = Node::sequence();
  for (const std::string& name : names) {
    const auto one = store.get(name);
    if (one) found.items.push_back(describe(*one, store, flag(body, "WithDecryption")));
    if (!one) invalid.items.push_back(Node::string(name));
  }
  return Node::mapping().set("Parameters", found).set("InvalidParameters", invalid);
}

/// One page of a listing into `to`.
Answer<Node> page(const Node& body, std::vector<Node> all, const char* name, long smallest,
                  long largest) {
  const std::string asked = body.text_at({"MaxResults"});
  const auto size =
      asked.empty() ? std::optional<long long>(largest) : muster::parse_integer(asked);
  if (!size || *size < smallest || *size > largest) {
    return refuse(
        "ValidationException",
        fmt::format("1 validation error detected: Value '{}' at 'maxResults' failed to satisfy "
                    "constraint: Member must have value between {} and {}",
                    asked, smallest, largest));
  }
  std::size_t begin = 0;
  const std::string token = body.text_at({"NextToken"});
  if (!token.empty()) {
    const auto bytes = muster::wire::base64_decode(token);
    const auto at = bytes ? muster::parse_integer(*bytes) : std::nullopt;
    if (!at || *at < 0) return refuse("InvalidNextToken", "The specified token is not valid.");
    begin = std::min(all.size(), static_cast<std::size_t>(*at));
  }
  const std::size_t end = std::min(all.size(), begin + static_cast<std::size_t>(*size));
  Node out = Node::mapping();
  Node items = Node::sequence();
  for (std::size_t i = begin; i < end; ++i) items.items.push_back(std::move(all[i]));
  out.set(name, std::move(items));
  if (end < all.size())
    out.set("NextToken", Node::string(muster::wire::base64_encode(std::to_string(end))));
  return out;
}

/// Whether the parameter passes all `ParameterFilters`; refuses keys that are not played.
Answer<bool> passes(const Node& body, const Parameter& parameter) {
  const Node* filters = body.find("ParameterFilters");
  if (filters == nullptr) return true;
  for (const Node& filter : filters->items) {
    const std::string key = filter.text_at({"Key"});
    const std::string option = filter.text_at({"Option"});
    const Node* values = filter.find("Values");
    std::string value;
    if (key == "Name") {
      value = parameter.name;
    } else if (key == "Type") {
      value = parameter.type;
    } else if (key == "KeyId") {
      value = parameter.key_id;
    } else if (key == "Tier") {
      value = parameter.tier;
    } else if (key == "DataType") {
      value = parameter.data_type;
    } else if (key.starts_with("tag:")) {
      const auto tag = parameter.tags.find(key.substr(4));
      if (tag == parameter.tags.end()) return false;
      value = tag->second;
    } else {
      return refuse("InvalidFilterKey", fmt::format("The filter key {} is not valid.", key));
    }
    if (values == nullptr || values->items.empty()) continue;
    const bool matches =
        std::any_of(values->items.begin(), values->items.end(), [&](const Node& one) {
          if (option == "BeginsWith") return value.starts_with(one.text);
          if (option == "Contains") return value.find(one.text) != std::string::npos;
          return value == one.text;
        });
    if (!matches) return false;
  }
  return true;
}

Answer<Node> get_by_path(const Node& body, ParameterStore& store) {
  const std::string path = body.text_at({"Path"});
  if (path.empty()) return missing("path");
  if (!path.starts_with('/')) {
    return refuse("ValidationException",
                  "The parameter path must begin with a slash, such as /ci/runners");
  }
  std::vector<Node> found;
  for (const Parameter* one : store.below(path, flag(body, "Recursive"))) {
    const Answer<bool> fits = passes(body, *one);
    if (!fits) return again(fits);
    if (*fits) found.push_back(describe(*one, store, flag(body, "WithDecryption")));
  }
  return page(body, std::move(found), "Parameters", 1, 10);
}

Answer<Node> put(const Node& body, ParameterStore& store, muster::TimePoint now) {
  Parameter parameter;
  parameter.name = body.text_at({"Name"});
  parameter.value = body.text_at({"Value"});
  parameter.type = body.text_at({"Type"});
  parameter.description = body.text_at({"Description"});
  parameter.key_id = body.text_at({"KeyId"});
  if (parameter.name.empty()) return missing("name");
  const std::vector<std::string> types{"", "String", "StringList", "SecureString"};
  if (std::find(types.begin(), types.end(), parameter.type) == types.end()) {
    return refuse("UnsupportedParameterType",
                  fmt::format("The type {} is not supported.", parameter.type));
  }
  if (parameter.type == "SecureString" && parameter.key_id.empty())
    parameter.key_id = "alias/aws/ssm";
  if (const std::string tier = body.text_at({"Tier"}); !tier.empty()) parameter.tier = tier;
  if (const std::string kind = body.text_at({"DataType"}); !kind.empty())
    parameter.data_type = kind;
  if (const Node* tags = body.find("Tags")) {
    for (const Node& tag : tags->items)
      parameter.tags[tag.text_at({"Key"})] = tag.text_at({"Value"});
  }
  const bool has_policies = !body.text_at({"Policies"}).empty();
  if (has_policies && parameter.tier != "Advanced") {
    return refuse("ValidationException",
                  "Policies are only supported for parameters of the Advanced tier");
  }
  const auto made = store.put(std::move(parameter), flag(body, "Overwrite"), now);
  if (!made) return again(made);
  return Node::mapping()
      .set("Version", Node::number((*made)->version))
      .set("Tier", Node::string((*made)->tier));
}

Answer<Node> erase_one(const Node& body, ParameterStore& store) {
  const std::string name = body.text_at({"Name"});
  if (name.empty()) return missing("name");
  if (!store.erase(name)) return refuse("ParameterNotFound", "");
  return Node::mapping();
}

Answer<Node> erase_several(const Node& body, ParameterStore& store) {
  const std::vector<std::string> names = names_in(body);
  if (names.empty() || names.size() > 10) {
    return refuse("ValidationException", "Names must have 1 to 10 members");
  }
  Node gone = Node::sequence();
  Node invalid = Node::sequence();
  for (const std::string& name : names) {
    (store.erase(name) ? gone : invalid).items.push_back(Node::string(name));
  }
  return Node::mapping().set("DeletedParameters", gone).set("InvalidParameters", invalid);
}

Answer<Node> describe_all(const Node& body, ParameterStore& store) {
  if (body.find("Filters") != nullptr) {
    return refuse("InvalidFilterKey", "The simulator plays ParameterFilters, not Filters.");
  }
  std::vector<Node> found;
  for (const Parameter* one : store.all()) {
    const Answer<bool> fits = passes(body, *one);
    if (!fits) return again(fits);
    if (!*fits) continue;
    Node node = Node::mapping();
    node.set("Name", Node::string(one->name)).set("Type", Node::string(one->type));
    node.set("ARN", Node::string(store.arn_of(*one)));
    node.set("LastModifiedDate", time_of(one->modified_at))
        .set("Version", Node::number(one->version));
    node.set("Tier", Node::string(one->tier)).set("DataType", Node::string(one->data_type));
    if (!one->description.empty()) node.set("Description", Node::string(one->description));
    if (!one->key_id.empty()) node.set("KeyId", Node::string(one->key_id));
    found.push_back(std::move(node));
  }
  return page(body, std::move(found), "Parameters", 1, 50);
}

}  // namespace

ServiceAnswer SsmApi::answer(const ServiceCall& call) {
  const std::string target = muster::header_value(call.request.headers, "x-amz-target");
  const std::string action = target.substr(target.find('.') + 1);
  Universe::Region* region = universe_.find(call.caller.account, call.caller.region);
  if (region == nullptr) {
    return {action, refuse("UnrecognizedClientException",
                           fmt::format("The account has no region {}", call.caller.region))};
  }
  const auto body = muster::wire::parse_json(call.request.body.empty() ? "{}" : call.request.body);
  if (!body || !body->is_mapping()) {
    return {action, refuse("SerializationException", "The body is no JSON object")};
  }
  ParameterStore& store = region->parameters;
  Answer<Node> out = refuse("UnknownOperationException", "");
  std::string known = action;
  if (action == "GetParameter") {
    out = get_one(*body, store);
  } else if (action == "GetParameters") {
    out = get_several(*body, store);
  } else if (action == "GetParametersByPath") {
    out = get_by_path(*body, store);
  } else if (action == "PutParameter") {
    out = put(*body, store, call.now);
  } else if (action == "DeleteParameter") {
    out = erase_one(*body, store);
  } else if (action == "DeleteParameters") {
    out = erase_several(*body, store);
  } else if (action == "DescribeParameters") {
    out = describe_all(*body, store);
  } else {
    known = "(unknown)";
  }
  if (!out) return {known, again(out)};
  return {known, muster::wire::to_json(*out)};
}

}  // namespace ec2sim
