#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "adapters/aws/ec2_cloud.hpp"
#include "adapters/aws/launch_form.hpp"
#include "adapters/aws/query_form.hpp"
#include "base/document.hpp"
#include "wire/encoding.hpp"

namespace muster::aws {
namespace {

constexpr auto kReadTimeMax = std::chrono::seconds{15};
constexpr std::size_t kTypesPerCall = 100;  // API reference, DescribeInstanceTypes.

std::map<std::string, std::string> tags_of(const wire::XmlElement& item) {
  std::map<std::string, std::string> tags;
  for (const wire::XmlElement* tag : item.items("tagSet")) {
    tags[tag->text_at({"key"})] = tag->text_at({"value"});
  }
  return tags;
}

int number_at(const wire::XmlElement& item, std::initializer_list<std::string_view> path) {
  return static_cast<int>(parse_integer(item.text_at(path)).value_or(0));
}

}  // namespace

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
      describe("DescribeImages", std::move(parameters), id_or_name.starts_with("ami-") ? 0 : 1000);
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
      describe("DescribeSubnets", std::move(parameters), ids.empty() ? 1000 : 0);
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
      describe("DescribeSecurityGroups", std::move(parameters), 1000);
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

Task<Result<std::vector<InstanceTypeView>>> Ec2Cloud::list_types(std::vector<std::string> names) {
  std::vector<InstanceTypeView> types;
  for (std::size_t begin = 0; begin == 0 || begin < names.size(); begin += kTypesPerCall) {
    const auto first = names.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last =
        names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), begin + kTypesPerCall));
    wire::Parameters parameters;
    put_list(parameters, "InstanceType", {first, last});
    Task<Result<std::vector<wire::XmlElement>>> asking =
        describe("DescribeInstanceTypes", std::move(parameters), names.empty() ? 100 : 0);
    const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
    if (!pages) co_return tl::unexpected<Error>(pages.error());
    for (const wire::XmlElement& page : *pages) {
      for (const wire::XmlElement* item : page.items("instanceTypeSet")) {
        InstanceTypeView type;
        type.name = item->text_at({"instanceType"});
        const wire::XmlElement* processor = item->find("processorInfo");
        if (processor != nullptr) {
          const auto architectures = processor->items("supportedArchitectures");
          if (!architectures.empty()) type.architecture = architectures.front()->text;
        }
        type.vcpu_count = number_at(*item, {"vCpuInfo", "defaultVCpus"});
        type.memory_mib = number_at(*item, {"memoryInfo", "sizeInMiB"});
        const auto usages = item->items("supportedUsageClasses");
        type.is_spot_sold =
            std::any_of(usages.begin(), usages.end(),
                        [](const wire::XmlElement* one) { return one->text == "spot"; });
        type.can_hibernate = item->text_at({"hibernationSupported"}) == "true";
        types.push_back(std::move(type));
      }
    }
  }
  co_return types;
}

Task<Result<std::vector<OfferingView>>> Ec2Cloud::list_offerings(std::vector<std::string> types) {
  wire::Parameters parameters{{"LocationType", "availability-zone"}};
  FilterWriter filters(parameters);
  if (!types.empty()) filters.add("instance-type", types);
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeInstanceTypeOfferings", std::move(parameters), 1000);
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<OfferingView> offerings;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("instanceTypeOfferingSet")) {
      offerings.push_back({item->text_at({"instanceType"}), item->text_at({"location"})});
    }
  }
  co_return offerings;
}

Task<Result<std::vector<SpotPriceView>>> Ec2Cloud::spot_prices(std::vector<std::string> types) {
  const std::string now = format_iso8601(client_.now());
  wire::Parameters parameters{{"StartTime", now},
                              {"EndTime", now},
                              {"ProductDescription.1", "Linux/UNIX"},
                              {"ProductDescription.2", "Linux/UNIX (Amazon VPC)"}};
  put_list(parameters, "InstanceType", types);
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeSpotPriceHistory", std::move(parameters), 1000);
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::map<std::pair<std::string, std::string>, SpotPriceView> newest;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("spotPriceHistorySet")) {
      SpotPriceView price;
      price.instance_type = item->text_at({"instanceType"});
      price.zone = item->text_at({"availabilityZone"});
      const std::string amount = item->text_at({"spotPrice"});
      std::from_chars(amount.data(), amount.data() + amount.size(), price.usd_per_hour);
      price.at = parse_iso8601(item->text_at({"timestamp"})).value_or(TimePoint{});
      SpotPriceView& kept = newest[{price.instance_type, price.zone}];
      if (kept.instance_type.empty() || kept.at < price.at) kept = std::move(price);
    }
  }
  std::vector<SpotPriceView> prices;
  for (auto& [key, price] : newest) prices.push_back(std::move(price));
  co_return prices;
}

Task<Result<TemplateRef>> Ec2Cloud::save_template(std::string name, LaunchSpec spec,
                                                  ClientToken token) {
  const wire::Parameters data = template_form(std::move(spec));
  wire::Parameters first{{"LaunchTemplateName", name}, {"ClientToken", token.value()}};
  first.insert(first.end(), data.begin(), data.end());
  std::string body = form_of("CreateLaunchTemplate", std::move(first));
  Task<Result<wire::XmlElement>> making =
      client_.call("CreateLaunchTemplate", std::move(body), kReadTimeMax);
  const Result<wire::XmlElement> made = co_await std::move(making);
  if (made) co_return TemplateRef{made->text_at({"launchTemplate", "launchTemplateId"}), name, "1"};
  if (made.error().code != "InvalidLaunchTemplateName.AlreadyExistsException") {
    co_return tl::unexpected<Error>(made.error());
  }
  wire::Parameters next{{"LaunchTemplateName", name}, {"ClientToken", token.value()}};
  next.insert(next.end(), data.begin(), data.end());
  std::string next_body = form_of("CreateLaunchTemplateVersion", std::move(next));
  Task<Result<wire::XmlElement>> adding =
      client_.call("CreateLaunchTemplateVersion", std::move(next_body), kReadTimeMax);
  const Result<wire::XmlElement> added = co_await std::move(adding);
  if (!added) co_return tl::unexpected<Error>(added.error());
  co_return TemplateRef{added->text_at({"launchTemplateVersion", "launchTemplateId"}), name,
                        added->text_at({"launchTemplateVersion", "versionNumber"})};
}

Task<Result<std::vector<TemplateView>>> Ec2Cloud::list_templates(std::vector<std::string> names) {
  wire::Parameters parameters;
  put_list(parameters, "LaunchTemplateName", names);
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeLaunchTemplates", std::move(parameters), names.empty() ? 200 : 0);
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<TemplateView> templates;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("launchTemplates")) {
      templates.push_back(
          {item->text_at({"launchTemplateId"}), item->text_at({"launchTemplateName"}),
           number_at(*item, {"defaultVersionNumber"}), number_at(*item, {"latestVersionNumber"})});
    }
  }
  co_return templates;
}

Task<Status> Ec2Cloud::delete_template(std::string id) {
  wire::Parameters parameters{{"LaunchTemplateId", id}};
  Task<Status> acting = act("DeleteLaunchTemplate", std::move(parameters));
  co_return co_await std::move(acting);
}

Task<Result<KeyPairView>> Ec2Cloud::import_key(std::string name, std::string public_key,
                                               std::map<std::string, std::string> tags) {
  wire::Parameters parameters{{"KeyName", name},
                              {"PublicKeyMaterial", wire::base64_encode(public_key)}};
  put_tag_specifications(parameters, {"key-pair"}, tags);
  std::string body = form_of("ImportKeyPair", std::move(parameters));
  Task<Result<wire::XmlElement>> calling =
      client_.call("ImportKeyPair", std::move(body), kReadTimeMax);
  const Result<wire::XmlElement> answer = co_await std::move(calling);
  if (!answer) {
    Error error = answer.error();
    if (error.code == "InvalidKeyPair.Duplicate") error.kind = ErrorKind::conflict;
    co_return tl::unexpected<Error>(std::move(error));
  }
  co_return KeyPairView{answer->text_at({"keyPairId"}), answer->text_at({"keyName"}),
                        answer->text_at({"keyFingerprint"}), tags_of(*answer)};
}

Task<Status> Ec2Cloud::delete_key(std::string name) {
  wire::Parameters parameters{{"KeyName", name}};
  Task<Status> acting = act("DeleteKeyPair", std::move(parameters));
  co_return co_await std::move(acting);
}

Task<Result<std::vector<VolumeView>>> Ec2Cloud::list_volumes(std::string tag, std::string value) {
  wire::Parameters parameters;
  FilterWriter(parameters).add("tag:" + tag, {value});
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeVolumes", std::move(parameters), 1000);
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<VolumeView> volumes;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("volumeSet")) {
      const auto attachments = item->items("attachmentSet");
      volumes.push_back({item->text_at({"volumeId"}),
                         attachments.empty() ? "" : attachments.front()->text_at({"instanceId"}),
                         number_at(*item, {"size"}), tags_of(*item)});
    }
  }
  co_return volumes;
}

Task<Result<std::vector<InterfaceView>>> Ec2Cloud::list_interfaces(std::string tag,
                                                                   std::string value) {
  wire::Parameters parameters;
  FilterWriter(parameters).add("tag:" + tag, {value});
  Task<Result<std::vector<wire::XmlElement>>> asking =
      describe("DescribeNetworkInterfaces", std::move(parameters), 1000);
  const Result<std::vector<wire::XmlElement>> pages = co_await std::move(asking);
  if (!pages) co_return tl::unexpected<Error>(pages.error());
  std::vector<InterfaceView> interfaces;
  for (const wire::XmlElement& page : *pages) {
    for (const wire::XmlElement* item : page.items("networkInterfaceSet")) {
      interfaces.push_back({item->text_at({"networkInterfaceId"}),
                            item->text_at({"attachment", "instanceId"}),
                            item->text_at({"privateIpAddress"}), tags_of(*item)});
    }
  }
  co_return interfaces;
}

}  // namespace muster::aws
