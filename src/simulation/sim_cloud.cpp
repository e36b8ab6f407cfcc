#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/document.hpp"
#include "simulation/sim_ports.hpp"

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

constexpr char kEnd = '\x1e';
constexpr Duration kReadTimeMax = 20s;  // No reader waits longer for one answer.

ErrorKind kind_of(const std::string& code) {
  static const std::map<std::string_view, ErrorKind> kinds{
      {"InsufficientInstanceCapacity", ErrorKind::capacity_unavailable},
      {"SpotMaxPriceTooLow", ErrorKind::capacity_unavailable},
      {"Unsupported", ErrorKind::capacity_unavailable},
      {"MaxSpotInstanceCountExceeded", ErrorKind::quota_exceeded},
      {"VcpuLimitExceeded", ErrorKind::quota_exceeded},
      {"InsufficientFreeAddressesInSubnet", ErrorKind::quota_exceeded},
      {"RequestLimitExceeded", ErrorKind::throttled},
      {"UnauthorizedOperation", ErrorKind::forbidden},
      {"IncorrectInstanceState", ErrorKind::conflict},
      {"UnsupportedOperation", ErrorKind::conflict},
      {"OperationNotPermitted", ErrorKind::conflict},
      {"IdempotentParameterMismatch", ErrorKind::conflict},
      {"IdempotentInstanceTerminated", ErrorKind::conflict},
  };
  const auto found = kinds.find(code);
  if (found != kinds.end()) return found->second;
  return code.find("NotFound") != std::string::npos ? ErrorKind::not_found
                                                    : ErrorKind::invalid_input;
}

Error error_of(const ec2model::Ec2Error& refused) {
  return {kind_of(refused.code), refused.code, refused.message, ""};
}

void put(std::string& to, std::string_view name, std::string_view value) {
  to.append(name).append("=").append(value) += kEnd;
}

std::multimap<std::string, std::string> read(const std::string& body) {
  std::multimap<std::string, std::string> values;
  for (std::size_t begin = 0; begin < body.size();) {
    const std::size_t end = body.find(kEnd, begin);
    const std::size_t equals = body.find('=', begin);
    values.emplace(body.substr(begin, equals - begin), body.substr(equals + 1, end - equals - 1));
    begin = end + 1;
  }
  return values;
}

void put_offering(std::string& to, const Offering& offering) {
  put(to, "offering",
      fmt::format("{}|{}|{}|{}", offering.instance_type,
                  offering.capacity_type == CapacityType::spot ? "spot" : "on-demand",
                  offering.subnet, offering.zone));
}

Offering offering_of(const std::string& text) {
  Offering offering;
  const std::size_t one = text.find('|');
  const std::size_t two = text.find('|', one + 1);
  const std::size_t three = text.find('|', two + 1);
  offering.instance_type = text.substr(0, one);
  offering.capacity_type =
      text.substr(one + 1, two - one - 1) == "spot" ? CapacityType::spot : CapacityType::on_demand;
  offering.subnet = text.substr(two + 1, three - two - 1);
  offering.zone = text.substr(three + 1);
  return offering;
}

ec2model::LaunchRequest request_of(const std::multimap<std::string, std::string>& values) {
  const auto text = [&](const char* name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string() : found->second;
  };
  ec2model::LaunchRequest request;
  const Offering offering = offering_of(text("offering"));
  request.image = text("image");
  request.instance_type = offering.instance_type;
  request.subnet = offering.subnet;
  request.is_spot = offering.capacity_type == CapacityType::spot;
  request.min_count = static_cast<int>(parse_integer(text("min")).value_or(1));
  request.max_count = static_cast<int>(parse_integer(text("max")).value_or(1));
  request.user_data = text("user_data");
  request.client_token = text("token");
  request.terminates_on_shutdown = true;
  for (auto [at, end] = values.equal_range("tag"); at != end; ++at) {
    const std::size_t split = at->second.find('|');
    request.instance_tags[at->second.substr(0, split)] = at->second.substr(split + 1);
  }
  request.volume_tags = request.instance_tags;
  request.interface_tags = request.instance_tags;
  return request;
}

}  // namespace

FrozenCall SimCloud::freeze_launch(const LaunchSpec& spec, const ClientToken& token) const {
  std::string body;
  // Each version of the program writes it a little differently (X12).
  put(body, "version", std::to_string(serialization_));
  put_offering(body, spec.offering);
  put(body, "image", spec.image.value());
  put(body, "min", spec.takes_fewer ? "1" : std::to_string(spec.count));
  put(body, "max", std::to_string(spec.count));
  put(body, "token", token.value());
  for (const auto& [name, value] : spec.tags) put(body, "tag", name + "|" + value);
  put(body, "user_data", spec.user_data);
  return {"RunInstances", std::move(body), token, spec.count};
}

FrozenCall SimCloud::freeze_fleet(const FleetSpec& spec, const ClientToken& token) const {
  std::string body;
  put(body, "version", std::to_string(serialization_));
  for (const Offering& offering : spec.offerings) put_offering(body, offering);
  put(body, "image", spec.image.value());
  put(body, "max", std::to_string(spec.count));
  put(body, "token", token.value());
  for (const auto& [name, value] : spec.tags) put(body, "tag", name + "|" + value);
  put(body, "user_data", spec.user_data);
  return {"CreateFleet", std::move(body), token, spec.count};
}

std::optional<Error> SimCloud::refusal(const std::string& action) {
  const auto refuse = [](ErrorKind kind, const char* code, const char* text) {
    return Error{kind, code, text, ""};
  };
  const bool is_throttled =
      world_.strikes(19, 0.3) || !world_.model.throttle(action, false, world_.clock.now());
  if (is_throttled) {
    return refuse(ErrorKind::throttled, "RequestLimitExceeded", "Request limit exceeded.");
  }
  if (world_.strikes(27)) {
    return refuse(ErrorKind::unauthenticated, "RequestExpired", "Request has expired.");
  }
  const bool is_launch = action == "RunInstances" || action == "CreateFleet";
  if (is_launch && world_.strikes(15)) {
    return refuse(ErrorKind::forbidden, "UnauthorizedOperation", "ec2:CreateTags is not allowed");
  }
  if (is_launch && world_.strikes(26)) {
    return refuse(ErrorKind::not_found, "InvalidAMIID.NotFound", "The image id does not exist");
  }
  if (action == "DescribeInstances" && world_.strikes(18, 0.3)) {
    return refuse(ErrorKind::unavailable, "InternalError", "the second page failed");
  }
  return std::nullopt;
}

template <class T, class Act>
Task<Result<T>> SimCloud::call(std::string action, Act act) {
  const Duration latency = world_.dice().between(20ms, 120ms);
  Task<std::optional<Error>> sending = link_.send(action.c_str(), latency);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  world_.settle();
  std::optional<Error> refused = refusal(action);
  Result<T> result = fail(ErrorKind::unavailable, "");
  if (refused) {
    result = tl::unexpected<Error>(*refused);
  } else {
    const bool changes_nothing = action.starts_with("Describe") || action.starts_with("Get");
    if (world_.watcher != nullptr && !changes_nothing) {
      world_.watcher->called(action, link_.incarnation());
    }
    result = act();
    world_.settle();
  }
  world_.trace(action, result ? "ok" : result.error().code);
  Task<std::optional<Error>> receiving = link_.receive(action.c_str(), latency);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  co_return result;
}

CloudInstance SimCloud::view_of(const ec2model::Instance& instance, bool is_stale) const {
  CloudInstance view;
  view.id = InstanceId(instance.id);
  const ec2model::State state = is_stale ? instance.state_before : instance.state;
  static constexpr InstanceState kStates[] = {
      InstanceState::pending,    InstanceState::running,  InstanceState::shutting_down,
      InstanceState::terminated, InstanceState::stopping, InstanceState::stopped};
  view.state = kStates[static_cast<std::size_t>(state)];
  view.state_reason = instance.state_reason;
  view.instance_type = instance.instance_type;
  view.zone = instance.zone;
  view.private_address = instance.private_address;
  view.is_spot = !instance.spot_request.empty();
  view.client_token = ClientToken(instance.client_token);
  view.tags = instance.tags;
  return view;
}

Result<LaunchAnswer> SimCloud::answer_of(const std::vector<std::string>& ids) {
  LaunchAnswer answer;
  for (const std::string& id : ids) {
    answer.instances.push_back(view_of(*world_.model.find(id), false));
    if (world_.watcher != nullptr) world_.watcher->launched(id);
  }
  return answer;
}

Result<LaunchAnswer> SimCloud::run(const FrozenCall& call) {
  const auto values = read(call.body);
  ec2model::LaunchRequest request = request_of(values);
  request.fingerprint = call.body;
  const bool is_older = parse_integer(values.find("version")->second) != serialization_;
  if (is_older) world_.faults.strike(12);
  const auto made = world_.model.run_instances(request, ec2model::Gate{}, world_.clock.now());
  if (!made) {
    const Error error = error_of(made.error());
    if (error.kind == ErrorKind::quota_exceeded) world_.faults.strike(21);
    return tl::unexpected<Error>(error);
  }
  std::vector<std::string> ids;
  for (const ec2model::Instance* one : made->instances) ids.push_back(one->id);
  if (static_cast<int>(ids.size()) < request.max_count) world_.faults.strike(14);
  return answer_of(ids);
}

Result<LaunchAnswer> SimCloud::run_fleet(const FrozenCall& call) {
  const auto values = read(call.body);
  ec2model::FleetRequest request;
  request.client_token = call.token.value();
  request.fingerprint = call.body;
  request.spot_strategy = "price-capacity-optimized";
  std::vector<Offering> offerings;
  for (auto [at, end] = values.equal_range("offering"); at != end; ++at) {
    offerings.push_back(offering_of(at->second));
    auto own = values;
    own.erase("offering");
    own.emplace("offering", at->second);
    ec2model::FleetRequest::Candidate candidate;
    candidate.launch = request_of(own);
    candidate.launch.is_spot = false;
    candidate.override_index = offerings.size() - 1;
    request.candidates.push_back(std::move(candidate));
  }
  if (offerings.empty()) return fail(ErrorKind::invalid_input, "a fleet of nothing");
  const bool is_spot = offerings.front().capacity_type == CapacityType::spot;
  (is_spot ? request.spot_count : request.on_demand_count) = call.count;
  const auto made = world_.model.create_fleet(request, ec2model::Gate{}, world_.clock.now());
  if (!made) return tl::unexpected<Error>(error_of(made.error()));
  std::vector<std::string> ids;
  for (const auto& group : made->groups) {
    ids.insert(ids.end(), group.instances.begin(), group.instances.end());
  }
  Result<LaunchAnswer> answer = answer_of(ids);
  for (const auto& failure : made->failures) {
    answer->refusals.push_back({offerings.at(failure.candidate), error_of(failure.error)});
  }
  if (!ids.empty() && static_cast<int>(ids.size()) < call.count) world_.faults.strike(14);
  return answer;
}

Task<Result<LaunchAnswer>> SimCloud::launch(FrozenCall frozen) {
  const std::string action = frozen.action;
  Task<Result<LaunchAnswer>> calling = call<LaunchAnswer>(action, [this, frozen] {
    return frozen.action == "CreateFleet" ? run_fleet(frozen) : run(frozen);
  });
  co_return co_await std::move(calling);
}

Task<Result<std::vector<CloudInstance>>> SimCloud::list_instances(InstanceFilter filter) {
  Task<Result<std::vector<CloudInstance>>> calling =
      call<std::vector<CloudInstance>>("DescribeInstances", [this, filter] {
        Result<std::vector<CloudInstance>> out = std::vector<CloudInstance>{};
        std::vector<ec2model::Filter> filters;
        static constexpr std::array<const char*, 6> kStates{
            "pending", "running", "shutting-down", "terminated", "stopping", "stopped"};
        std::vector<std::string> states;
        for (const InstanceState state : filter.states) {
          states.emplace_back(kStates.at(static_cast<std::size_t>(state)));
        }
        if (!states.empty()) filters.push_back({"instance-state-name", states});
        for (const auto& [key, value] : filter.tags) filters.push_back({"tag:" + key, {value}});
        std::vector<std::string> ids;
        for (const InstanceId& id : filter.ids) ids.push_back(id.value());
        if (!ids.empty()) filters.push_back({"instance-id", ids});
        if (!filter.client_token.empty()) {
          filters.push_back({"client-token", {filter.client_token.value()}});
        }
        const auto found = world_.model.describe_instances({}, filters, world_.clock.now());
        if (!found) {
          out = tl::unexpected<Error>(error_of(found.error()));
          return out;
        }
        for (const ec2model::Instance* one : *found) {
          const bool is_recent = world_.clock.now() - one->changed_at < 60s;
          const bool is_stale = is_recent && world_.strikes(17, 0.3);
          if (is_stale && world_.dice().hits(0.3)) continue;
          out->push_back(view_of(*one, is_stale));
        }
        return out;
      });
  co_return co_await std::move(calling);
}

Task<Status> SimCloud::terminate(std::vector<InstanceId> ids) {
  Task<Status> calling = call<void>("TerminateInstances", [this, ids]() -> Status {
    std::vector<std::string> names;
    for (const InstanceId& id : ids) names.push_back(id.value());
    for (const std::string& one : names) {
      const ec2model::Instance* instance = world_.model.find(one);
      const bool is_known = instance != nullptr && instance->visible_at <= world_.clock.now();
      if (!is_known)
        return fail(ErrorKind::not_found, one + " is not known", "", "InvalidInstanceID.NotFound");
    }
    if (world_.strikes(24, 0.5)) return {};  // Said to be done.
    if (world_.watcher != nullptr) world_.watcher->terminating(names);
    const auto done = world_.model.terminate_instances(names, ec2model::Gate{}, world_.clock.now());
    if (!done) return tl::unexpected<Error>(error_of(done.error()));
    return {};
  });
  co_return co_await std::move(calling);
}

Task<Status> SimCloud::stop(std::vector<InstanceId> ids, bool hibernates) {
  Task<Status> calling = call<void>("StopInstances", [this, ids, hibernates]() -> Status {
    if (world_.strikes(25, 0.5)) return fail(ErrorKind::conflict, "not in a state to be stopped");
    std::vector<std::string> names;
    for (const InstanceId& id : ids) names.push_back(id.value());
    if (world_.watcher != nullptr) world_.watcher->terminating(names);
    const auto done =
        world_.model.stop_instances(names, hibernates, false, ec2model::Gate{}, world_.clock.now());
    if (!done) return tl::unexpected<Error>(error_of(done.error()));
    return {};
  });
  co_return co_await std::move(calling);
}

Task<Status> SimCloud::start(std::vector<InstanceId> ids) {
  Task<Status> calling = call<void>("StartInstances", [this, ids]() -> Status {
    if (world_.strikes(25, 0.5)) {
      return fail(ErrorKind::capacity_unavailable, "no room to start it", "",
                  "InsufficientInstanceCapacity");
    }
    std::vector<std::string> names;
    for (const InstanceId& id : ids) names.push_back(id.value());
    const auto done = world_.model.start_instances(names, ec2model::Gate{}, world_.clock.now());
    if (!done) return tl::unexpected<Error>(error_of(done.error()));
    return {};
  });
  co_return co_await std::move(calling);
}

Task<Status> SimCloud::tag(std::vector<std::string> resource_ids,
                           std::map<std::string, std::string> tags) {
  Task<Status> calling = call<void>("CreateTags", [this, resource_ids, tags]() -> Status {
    const auto done = world_.model.create_tags(resource_ids, tags, ec2model::Gate{});
    if (!done) return tl::unexpected<Error>(error_of(done.error()));
    return {};
  });
  co_return co_await std::move(calling);
}

Task<Result<std::string>> SimCloud::console_output(InstanceId id) {
  Task<Result<std::string>> calling =
      call<std::string>("GetConsoleOutput", [this, id]() -> Result<std::string> {
        const ec2model::Instance* instance = world_.model.find(id.value());
        if (instance == nullptr || instance->visible_at > world_.clock.now()) {
          return fail(ErrorKind::not_found, "not known", "", "InvalidInstanceID.NotFound");
        }
        const auto host = world_.hosts.find(id);
        if (host == world_.hosts.end() || !host->second.is_up) return std::string();
        return std::string(
            "-----BEGIN SSH HOST KEY KEYS-----\n"
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDNlZWRzZWVkc2VlZHNlZWRzZWVkc2VlZHNlZWRzZWVk\n"
            "-----END SSH HOST KEY KEYS-----\n");
      });
  Task<Result<std::string>> bounded = with_deadline(world_.clock, kReadTimeMax, std::move(calling));
  co_return co_await std::move(bounded);
}

Task<Status> SimCloud::modify(InstanceId id, InstanceChange change) {
  Task<Status> calling = call<void>("ModifyInstanceAttribute", [this, id, change]() -> Status {
    ec2model::AttributeChange asked;
    asked.instance_type = change.instance_type;
    asked.user_data = change.user_data;
    asked.is_termination_protected = change.is_termination_protected;
    const auto done = world_.model.modify_instance(id.value(), asked, ec2model::Gate{});
    if (!done) return tl::unexpected<Error>(error_of(done.error()));
    return {};
  });
  co_return co_await std::move(calling);
}

}  // namespace muster::simulation
