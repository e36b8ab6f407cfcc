#include "adapters/aws/ec2_cloud.hpp"

#include <fmt/format.h>

#include "adapters/aws/launch_form.hpp"
#include "adapters/aws/query_form.hpp"
#include "base/document.hpp"
#include "wire/encoding.hpp"

namespace muster::aws {
namespace {

constexpr auto kReadTimeMax = std::chrono::seconds{15};
constexpr auto kLaunchTimeMax = std::chrono::seconds{60};
constexpr int kPagesMax = 1000;

std::optional<InstanceState> state_of(const std::string& code) {
  const auto number = parse_integer(code);
  if (!number) return std::nullopt;
  // The high byte is EC2's own (API reference, InstanceState).
  switch (*number & 0xff) {
    case 0: return InstanceState::pending;
    case 16: return InstanceState::running;
    case 32: return InstanceState::shutting_down;
    case 48: return InstanceState::terminated;
    case 64: return InstanceState::stopping;
    case 80: return InstanceState::stopped;
    default: return std::nullopt;
  }
}

std::string name_of(InstanceState state) {
  switch (state) {
    case InstanceState::pending: return "pending";
    case InstanceState::running: return "running";
    case InstanceState::shutting_down: return "shutting-down";
    case InstanceState::terminated: return "terminated";
    case InstanceState::stopping: return "stopping";
    case InstanceState::stopped: return "stopped";
  }
  return {};
}

Result<CloudInstance> read_instance(const wire::XmlElement& item) {
  CloudInstance instance;
  instance.id = InstanceId(item.text_at({"instanceId"}));
  const auto state = state_of(item.text_at({"instanceState", "code"}));
  if (instance.id.empty() || !state) {
    return fail(ErrorKind::corrupt, "EC2 answered with an instance without id or state");
  }
  instance.state = *state;
  instance.state_reason = item.text_at({"stateReason", "code"});
  const std::string message = item.text_at({"stateReason", "message"});
  if (!message.empty() && message != instance.state_reason) {
    instance.state_reason += instance.state_reason.empty() ? message : " (" + message + ")";
  }
  instance.instance_type = item.text_at({"instanceType"});
  instance.zone = item.text_at({"placement", "availabilityZone"});
  instance.private_address = item.text_at({"privateIpAddress"});
  instance.public_address = item.text_at({"ipAddress"});
  instance.is_spot = item.text_at({"instanceLifecycle"}) == "spot";
  instance.client_token = ClientToken(item.text_at({"clientToken"}));
  for (const wire::XmlElement* tag : item.items("tagSet")) {
    instance.tags[tag->text_at({"key"})] = tag->text_at({"value"});
  }
  return instance;
}

Status read_instances(const wire::XmlElement& reservation, std::vector<CloudInstance>& to) {
  for (const wire::XmlElement* item : reservation.items("instancesSet")) {
    Result<CloudInstance> instance = read_instance(*item);
    if (!instance) return tl::unexpected<Error>(instance.error());
    to.push_back(std::move(*instance));
  }
  return {};
}

/// What stands beside each instance and error of a fleet.
Offering read_override(const wire::XmlElement& item) {
  const auto at = [&](const char* name) {
    return item.text_at({"launchTemplateAndOverrides", "overrides", name});
  };
  Offering offering;
  offering.instance_type = at("instanceType");
  offering.subnet = at("subnetId");
  offering.zone = at("availabilityZone");
  offering.capacity_type =
      item.text_at({"lifecycle"}) == "spot" ? CapacityType::spot : CapacityType::on_demand;
  return offering;
}

LaunchAnswer read_fleet(const wire::XmlElement& answer) {
  LaunchAnswer read;
  for (const wire::XmlElement* item : answer.items("fleetInstanceSet")) {
    const Offering offering = read_override(*item);
    const std::string type = item->text_at({"instanceType"});
    const std::string zone = item->text_at({"availabilityZone"});
    const wire::XmlElement* ids = item->find("instanceIds");
    if (ids == nullptr) continue;
    for (const wire::XmlElement& id : ids->children) {
      CloudInstance instance;
      instance.id = InstanceId(id.text);
      instance.instance_type = type.empty() ? offering.instance_type : type;
      instance.zone = zone.empty() ? offering.zone : zone;
      instance.is_spot = offering.capacity_type == CapacityType::spot;
      read.instances.push_back(std::move(instance));
    }
  }
  for (const wire::XmlElement* item : answer.items("errorSet")) {
    Error error;
    error.code = item->text_at({"errorCode"});
    error.message = item->text_at({"errorMessage"});
    error.kind = classify(error.code, 400);
    read.refusals.push_back({read_override(*item), std::move(error)});
  }
  return read;
}

std::vector<std::string> texts_of(const std::vector<InstanceId>& ids) {
  std::vector<std::string> texts;
  for (const InstanceId& id : ids) texts.push_back(id.value());
  return texts;
}

}  // namespace

FrozenCall Ec2Cloud::freeze_launch(const LaunchSpec& spec, const ClientToken& token) const {
  wire::Parameters to = launch_form(spec);
  put(to, "MinCount", spec.takes_fewer ? "1" : std::to_string(spec.count));
  put(to, "MaxCount", std::to_string(spec.count));
  put(to, "ClientToken", token.value());
  return {"RunInstances", form_of("RunInstances", std::move(to)), token, spec.count};
}

FrozenCall Ec2Cloud::freeze_fleet(const FleetSpec& spec, const ClientToken& token) const {
  wire::Parameters to = fleet_form(spec);
  put(to, "ClientToken", token.value());
  return {"CreateFleet", form_of("CreateFleet", std::move(to)), token, spec.count};
}

Task<Result<LaunchAnswer>> Ec2Cloud::launch(FrozenCall call) {
  Task<Result<wire::XmlElement>> calling = client_.call(call.action, call.body, kLaunchTimeMax);
  const Result<wire::XmlElement> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  if (call.action == "CreateFleet") co_return read_fleet(*answer);
  LaunchAnswer read;
  const Status fine = read_instances(*answer, read.instances);
  if (!fine) co_return within("ec2:RunInstances", "", fine.error());
  if (read.instances.empty()) {
    co_return fail(ErrorKind::corrupt, "ec2:RunInstances was answered without an instance");
  }
  co_return read;
}

Task<Result<std::vector<wire::XmlElement>>> Ec2Cloud::describe(std::string action,
                                                               wire::Parameters parameters,
                                                               int page_size) {
  std::vector<wire::XmlElement> pages;
  std::string token;
  for (int page = 0; page < kPagesMax; ++page) {
    if (page > 0) {
      Task<> waiting = client_.before_repetition(action);
      co_await std::move(waiting);
    }
    wire::Parameters asked = parameters;
    if (page_size > 0) put(asked, "MaxResults", std::to_string(page_size));
    put(asked, "NextToken", token);
    std::string body = form_of(action, std::move(asked));
    Task<Result<wire::XmlElement>> calling = client_.call(action, std::move(body), kReadTimeMax);
    Result<wire::XmlElement> answer = co_await std::move(calling);
    if (!answer) co_return tl::unexpected<Error>(answer.error());
    token = answer->text_at({"nextToken"});
    pages.push_back(std::move(*answer));
    if (token.empty()) co_return pages;
  }
  co_return fail(ErrorKind::corrupt, fmt::format("ec2:{} has over {} pages", action, kPagesMax));
}

Task<Status> Ec2Cloud::act(std::string action, wire::Parameters parameters) {
  std::string body = form_of(action, std::move(parameters));
  Task<Result<wire::XmlElement>> calling = client_.call(action, std::move(body), kReadTimeMax);
  const Result<wire::XmlElement> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  co_return Status();
}

Task<Result<std::vector<CloudInstance>>> Ec2Cloud::list_instances(InstanceFilter filter) {
  wire::Parameters parameters;
  FilterWriter filters(parameters);
  std::vector<std::string> ids;
  for (const InstanceId& id : filter.ids) ids.push_back(id.value());
  // The filter, not `InstanceId.N`: one unknown id would fail the whole call.
  if (!ids.empty()) filters.add("instance-id", ids);
  for (const auto& [key, value] : filter.tags) filters.add("tag:" + key, {value});
  std::vector<std::string> states;
  for (const InstanceState state : filter.states) states.push_back(name_of(state));
  if (!states.empty()) filters.add("instance-state-name", states);
  if (!filter.client_token.empty()) filters.add("client-token", {filter.client_token.value()});
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeInstances", std::move(parameters), 1000);
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<CloudInstance> instances;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* reservation : page.items("reservationSet")) {
      const Status read = read_instances(*reservation, instances);
      if (!read) co_return within("ec2:DescribeInstances", "", read.error());
    }
  }
  co_return instances;
}

Task<Status> Ec2Cloud::stop(std::vector<InstanceId> ids, bool hibernates) {
  wire::Parameters parameters;
  put_list(parameters, "InstanceId", texts_of(ids));
  if (hibernates) put(parameters, "Hibernate", "true");
  Task<Status> acting = act("StopInstances", std::move(parameters));
  co_return co_await std::move(acting);
}

Task<Status> Ec2Cloud::start(std::vector<InstanceId> ids) {
  wire::Parameters parameters;
  put_list(parameters, "InstanceId", texts_of(ids));
  Task<Status> acting = act("StartInstances", std::move(parameters));
  co_return co_await std::move(acting);
}

Task<Status> Ec2Cloud::modify(InstanceId id, InstanceChange change) {
  // One attribute a call (API reference, ModifyInstanceAttribute).
  wire::Parameters values;
  if (change.instance_type) values.emplace_back("InstanceType.Value", *change.instance_type);
  if (change.user_data)
    values.emplace_back("UserData.Value", wire::base64_encode(*change.user_data));
  if (change.is_termination_protected) {
    values.emplace_back("DisableApiTermination.Value",
                        *change.is_termination_protected ? "true" : "false");
  }
  for (const auto& [name, value] : values) {
    wire::Parameters parameters{{"InstanceId", id.value()}, {name, value}};
    Task<Status> acting = act("ModifyInstanceAttribute", std::move(parameters));
    const Status changed = co_await std::move(acting);
    if (!changed) co_return changed;
  }
  co_return Status();
}

Task<Status> Ec2Cloud::terminate(std::vector<InstanceId> ids) {
  std::vector<std::string> values;
  for (const InstanceId& id : ids) values.push_back(id.value());
  wire::Parameters parameters;
  put_list(parameters, "InstanceId", values);
  std::string body = form_of("TerminateInstances", std::move(parameters));
  Task<Result<wire::XmlElement>> calling =
      client_.call("TerminateInstances", std::move(body), kReadTimeMax);
  const Result<wire::XmlElement> answer = co_await std::move(calling);
  if (answer) co_return Status();
  const bool is_unknown = answer.error().code == "InvalidInstanceID.NotFound";
  if (!is_unknown || ids.size() == 1) co_return tl::unexpected<Error>(answer.error());
  // One unknown id fails the call for all of them.
  Status first_failure;
  for (const InstanceId& id : ids) {
    Task<Status> ending = terminate({id});
    const Status ended = co_await std::move(ending);
    if (!ended && first_failure) first_failure = ended;
  }
  co_return first_failure;
}

Task<Status> Ec2Cloud::tag(std::vector<std::string> resource_ids,
                           std::map<std::string, std::string> tags) {
  wire::Parameters parameters;
  put_list(parameters, "ResourceId", resource_ids);
  int number = 0;
  for (const auto& [key, value] : tags) {
    ++number;
    parameters.emplace_back(fmt::format("Tag.{}.Key", number), key);
    parameters.emplace_back(fmt::format("Tag.{}.Value", number), value);
  }
  std::string body = form_of("CreateTags", std::move(parameters));
  Task<Result<wire::XmlElement>> calling =
      client_.call("CreateTags", std::move(body), kReadTimeMax);
  const Result<wire::XmlElement> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  co_return Status();
}

Task<Result<std::string>> Ec2Cloud::console_output(InstanceId id) {
  std::string body = form_of("GetConsoleOutput", {{"InstanceId", id.value()}, {"Latest", "true"}});
  Task<Result<wire::XmlElement>> calling =
      client_.call("GetConsoleOutput", std::move(body), kReadTimeMax);
  const Result<wire::XmlElement> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  std::string encoded = answer->text_at({"output"});
  std::erase_if(encoded, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  std::optional<std::string> text = wire::base64_decode(encoded);
  if (!text) co_return fail(ErrorKind::corrupt, "ec2:GetConsoleOutput answered no base64");
  co_return std::move(*text);
}

}  // namespace muster::aws
