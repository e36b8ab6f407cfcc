#include "adapters/aws/ec2_cloud.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/document.hpp"
#include "wire/encoding.hpp"

namespace muster::aws {
namespace {

constexpr auto kReadTimeMax = std::chrono::seconds{15};
constexpr auto kLaunchTimeMax = std::chrono::seconds{60};
constexpr int kPagesMax = 1000;

void put(wire::Parameters& to, std::string name, std::string value) {
  if (!value.empty()) to.emplace_back(std::move(name), std::move(value));
}

void put_list(wire::Parameters& to, const std::string& name,
              const std::vector<std::string>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    to.emplace_back(fmt::format("{}.{}", name, i + 1), values[i]);
  }
}

/// Adds filters one by one with the right indices.
class FilterWriter {
 public:
  explicit FilterWriter(wire::Parameters& to) : to_(to) {}
  void add(const std::string& name, const std::vector<std::string>& values) {
    ++count_;
    to_.emplace_back(fmt::format("Filter.{}.Name", count_), name);
    put_list(to_, fmt::format("Filter.{}.Value", count_), values);
  }

 private:
  wire::Parameters& to_;
  int count_ = 0;
};

std::string text_of(bool value) { return value ? "true" : "false"; }

void put_disk(wire::Parameters& to, const LaunchSpec& spec) {
  const DiskPolicy& disk = spec.disk;
  const bool is_default = !disk.size_gib && disk.type.empty() && !disk.iops &&
                          !disk.throughput_mib && !disk.is_encrypted && disk.device.empty();
  if (is_default) return;
  const std::string at = "BlockDeviceMapping.1.";
  put(to, at + "DeviceName", disk.device.empty() ? spec.root_device : disk.device);
  put(to, at + "Ebs.DeleteOnTermination", "true");
  if (disk.size_gib) put(to, at + "Ebs.VolumeSize", std::to_string(*disk.size_gib));
  put(to, at + "Ebs.VolumeType", disk.type);
  if (disk.iops) put(to, at + "Ebs.Iops", std::to_string(*disk.iops));
  if (disk.throughput_mib) put(to, at + "Ebs.Throughput", std::to_string(*disk.throughput_mib));
  if (disk.is_encrypted) put(to, at + "Ebs.Encrypted", text_of(*disk.is_encrypted));
}

void put_network(wire::Parameters& to, const LaunchSpec& spec) {
  if (!spec.public_ip) {
    put(to, "SubnetId", spec.offering.subnet);
    put_list(to, "SecurityGroupId", spec.security_groups);
    put(to, "PrivateIpAddress", spec.private_ip);
    return;
  }
  // A public address can only be asked for on an interface, and then all else stands there too.
  const std::string at = "NetworkInterface.1.";
  put(to, at + "DeviceIndex", "0");
  put(to, at + "AssociatePublicIpAddress", text_of(*spec.public_ip));
  put(to, at + "DeleteOnTermination", "true");
  put(to, at + "SubnetId", spec.offering.subnet);
  put_list(to, at + "SecurityGroupId", spec.security_groups);
  put(to, at + "PrivateIpAddress", spec.private_ip);
}

void put_tags(wire::Parameters& to, const LaunchSpec& spec) {
  std::vector<std::string> resources{"instance", "volume", "network-interface"};
  if (spec.offering.capacity_type == CapacityType::spot) {
    resources.emplace_back("spot-instances-request");
  }
  for (std::size_t i = 0; i < resources.size() && !spec.tags.empty(); ++i) {
    const std::string at = fmt::format("TagSpecification.{}.", i + 1);
    to.emplace_back(at + "ResourceType", resources[i]);
    int number = 0;
    for (const auto& [key, value] : spec.tags) {
      ++number;
      to.emplace_back(fmt::format("{}Tag.{}.Key", at, number), key);
      to.emplace_back(fmt::format("{}Tag.{}.Value", at, number), value);
    }
  }
}

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

}  // namespace

FrozenCall Ec2Cloud::freeze_launch(const LaunchSpec& spec, const ClientToken& token) const {
  wire::Parameters to;
  put(to, "ClientToken", token.value());
  put(to, "ImageId", spec.image.value());
  put(to, "InstanceType", spec.offering.instance_type);
  put(to, "MinCount", std::to_string(spec.count));
  put(to, "MaxCount", std::to_string(spec.count));
  put(to, "KeyName", spec.key_name);
  put_network(to, spec);
  put_disk(to, spec);
  if (spec.offering.capacity_type == CapacityType::spot) {
    put(to, "InstanceMarketOptions.MarketType", "spot");
    put(to, "InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
    put(to, "InstanceMarketOptions.SpotOptions.MaxPrice", spec.max_price);
  }
  const bool is_arn = spec.iam_profile.starts_with("arn:");
  put(to, is_arn ? "IamInstanceProfile.Arn" : "IamInstanceProfile.Name", spec.iam_profile);
  if (spec.monitoring) put(to, "Monitoring.Enabled", "true");
  put(to, "InstanceInitiatedShutdownBehavior", "terminate");
  put(to, "MetadataOptions.HttpTokens", "required");
  put(to, "MetadataOptions.HttpEndpoint", "enabled");
  put(to, "MetadataOptions.HttpPutResponseHopLimit", std::to_string(spec.metadata_hop_limit));
  put(to, "UserData", wire::base64_encode(spec.user_data));
  put_tags(to, spec);
  return {"RunInstances", form_of("RunInstances", std::move(to)), token};
}

Task<Result<std::vector<CloudInstance>>> Ec2Cloud::launch(FrozenCall call) {
  Task<Result<wire::XmlElement>> calling = client_.call(call.action, call.body, kLaunchTimeMax);
  const Result<wire::XmlElement> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  std::vector<CloudInstance> instances;
  const Status read = read_instances(*answer, instances);
  if (!read) co_return within("ec2:RunInstances", "", read.error());
  if (instances.empty()) {
    co_return fail(ErrorKind::corrupt, "ec2:RunInstances was answered without an instance");
  }
  co_return instances;
}

Task<Result<std::vector<wire::XmlElement>>> Ec2Cloud::describe(std::string action,
                                                               wire::Parameters parameters,
                                                               bool is_paged) {
  std::vector<wire::XmlElement> pages;
  std::string token;
  for (int page = 0; page < kPagesMax; ++page) {
    wire::Parameters asked = parameters;
    if (is_paged) put(asked, "MaxResults", "1000");
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
      describe("DescribeInstances", std::move(parameters), true);
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

Task<Result<std::vector<ImageView>>> Ec2Cloud::find_images(std::string id_or_name,
                                                           std::string owner) {
  wire::Parameters parameters;
  if (id_or_name.starts_with("ami-")) {
    put(parameters, "ImageId.1", id_or_name);
  } else {
    put(parameters, "Owner.1", owner);
    FilterWriter filters(parameters);
    filters.add("name", {id_or_name});
    filters.add("state", {"available"});
  }
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeImages", std::move(parameters), !id_or_name.starts_with("ami-"));
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<ImageView> images;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("imagesSet")) {
      images.push_back({ImageId(item->text_at({"imageId"})), item->text_at({"name"}),
                        item->text_at({"architecture"}), item->text_at({"rootDeviceName"}),
                        item->text_at({"creationDate"})});
    }
  }
  std::sort(images.begin(), images.end(), [](const ImageView& a, const ImageView& b) {
    return std::tie(b.creation_date, b.id) < std::tie(a.creation_date, a.id);
  });
  co_return images;
}

Task<Result<std::vector<SubnetView>>> Ec2Cloud::list_subnets(std::vector<std::string> ids) {
  wire::Parameters parameters;
  put_list(parameters, "SubnetId", ids);
  if (ids.empty()) {
    FilterWriter filters(parameters);
    filters.add("default-for-az", {"true"});
  }
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeSubnets", std::move(parameters), ids.empty());
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<SubnetView> subnets;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("subnetSet")) {
      const auto free = parse_integer(item->text_at({"availableIpAddressCount"}));
      subnets.push_back({item->text_at({"subnetId"}), item->text_at({"availabilityZone"}),
                         item->text_at({"vpcId"}), static_cast<int>(free.value_or(0))});
    }
  }
  co_return subnets;
}

Task<Result<std::vector<GroupView>>> Ec2Cloud::find_groups(std::vector<std::string> ids_or_names,
                                                           std::string vpc) {
  wire::Parameters parameters;
  FilterWriter filters(parameters);
  filters.add("vpc-id", {vpc});
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeSecurityGroups", std::move(parameters), true);
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<GroupView> groups;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("securityGroupInfo")) {
      GroupView group{item->text_at({"groupId"}), item->text_at({"groupName"}),
                      item->text_at({"vpcId"})};
      const bool is_asked =
          std::find(ids_or_names.begin(), ids_or_names.end(), group.id) != ids_or_names.end() ||
          std::find(ids_or_names.begin(), ids_or_names.end(), group.name) != ids_or_names.end();
      if (is_asked) groups.push_back(std::move(group));
    }
  }
  co_return groups;
}

}  // namespace muster::aws
