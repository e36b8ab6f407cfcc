#include <algorithm>

#include "ec2model/catalog.hpp"
#include "simulation/sim_ports.hpp"

// What the simulated cloud sells. Asked rarely: it has no faults of its own but those of its link.

namespace muster::simulation {

using namespace std::chrono_literals;

namespace {

/// There and back, with nothing done in between.
Task<Status> ask(Link& link, const char* what) {
  Task<std::optional<Error>> sending = link.send(what, 20ms);
  const std::optional<Error> unsent = co_await std::move(sending);
  if (unsent) co_return tl::unexpected<Error>(*unsent);
  Task<std::optional<Error>> receiving = link.receive(what, 20ms);
  const std::optional<Error> lost = co_await std::move(receiving);
  if (lost) co_return tl::unexpected<Error>(*lost);
  co_return Status();
}

}  // namespace

Task<Result<std::vector<ImageView>>> SimCloud::find_images(std::string id_or_name,
                                                           std::string owner) {
  static_cast<void>(owner);
  Task<Status> asking = ask(link_, "DescribeImages");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<ImageView> views;
  if (world_.strikes(26)) co_return views;
  for (const ec2model::Image& image : world_.model.world().images) {
    const bool is_it = image.id == id_or_name || image.name == id_or_name;
    if (is_it) {
      views.push_back({ImageId(image.id), image.name, image.architecture, image.root_device,
                       image.creation_date});
    }
  }
  co_return views;
}

Task<Result<std::vector<SubnetView>>> SimCloud::list_subnets(std::vector<std::string> ids) {
  Task<Status> asking = ask(link_, "DescribeSubnets");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<SubnetView> views;
  for (const ec2model::Subnet& subnet : world_.model.world().subnets) {
    const bool is_named = std::find(ids.begin(), ids.end(), subnet.id) != ids.end();
    if (!ids.empty() && !is_named) continue;
    views.push_back({subnet.id, subnet.zone, subnet.vpc, world_.model.free_address_count(subnet)});
  }
  co_return views;
}

Task<Result<std::vector<GroupView>>> SimCloud::find_groups(std::vector<std::string> ids_or_names,
                                                           std::string vpc) {
  Task<Status> asking = ask(link_, "DescribeSecurityGroups");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<GroupView> views;
  for (const ec2model::SecurityGroup& group : world_.model.world().groups) {
    const bool is_named =
        std::any_of(ids_or_names.begin(), ids_or_names.end(),
                    [&](const std::string& one) { return one == group.id || one == group.name; });
    if (is_named && group.vpc == vpc) views.push_back({group.id, group.name, group.vpc});
  }
  co_return views;
}

Task<Result<std::vector<InstanceTypeView>>> SimCloud::list_types(std::vector<std::string> names) {
  Task<Status> asking = ask(link_, "DescribeInstanceTypes");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<InstanceTypeView> views;
  for (const std::string& name : names) {
    const ec2model::InstanceType* type = ec2model::find_type(name);
    if (type == nullptr) {
      co_return fail(ErrorKind::invalid_input, "no such type", "", "InvalidInstanceType");
    }
    views.push_back({name, std::string(type->architecture), type->vcpu_count, type->memory_mib,
                     true, type->can_hibernate()});
  }
  co_return views;
}

Task<Result<std::vector<OfferingView>>> SimCloud::list_offerings(std::vector<std::string> types) {
  Task<Status> asking = ask(link_, "DescribeInstanceTypeOfferings");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<OfferingView> views;
  for (const std::string& name : types) {
    for (const std::string& zone : world_.model.world().zones) views.push_back({name, zone});
  }
  co_return views;
}

Task<Result<std::vector<SpotPriceView>>> SimCloud::spot_prices(std::vector<std::string> types) {
  Task<Status> asking = ask(link_, "DescribeSpotPriceHistory");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<SpotPriceView> views;
  for (const std::string& name : types) {
    const ec2model::InstanceType* type = ec2model::find_type(name);
    if (type == nullptr) continue;
    for (const std::string& zone : world_.model.world().zones) {
      const long micros = world_.model.spot_price(*type, zone, world_.clock.now());
      views.push_back({name, zone, static_cast<double>(micros) / 1e6, world_.clock.now()});
    }
  }
  co_return views;
}

Task<Result<TemplateRef>> SimCloud::save_template(std::string name, LaunchSpec spec,
                                                  ClientToken token) {
  static_cast<void>(spec);
  static_cast<void>(token);
  Task<Status> asking = ask(link_, "CreateLaunchTemplate");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  co_return TemplateRef{"lt-0", name, "1"};
}

Task<Result<std::vector<TemplateView>>> SimCloud::list_templates(std::vector<std::string> names) {
  std::vector<TemplateView> views;
  for (const std::string& name : names) views.push_back({"lt-0", name, 1, 1});
  co_return views;
}

Task<Status> SimCloud::delete_template(std::string) { co_return Status(); }

Task<Result<KeyPairView>> SimCloud::import_key(std::string, std::string,
                                               std::map<std::string, std::string>) {
  co_return fail(ErrorKind::invalid_input, "no key pairs here");
}

Task<Status> SimCloud::delete_key(std::string) { co_return Status(); }

Task<Result<std::vector<VolumeView>>> SimCloud::list_volumes(std::string tag, std::string value) {
  Task<Status> asking = ask(link_, "DescribeVolumes");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<VolumeView> views;
  const auto found = world_.model.describe_volumes({}, {{"tag:" + tag, {value}}});
  for (const ec2model::Volume* volume : *found) {
    const auto& tags = world_.model.tags_of(volume->id);
    views.push_back({volume->id, volume->instance, volume->size_gib, {tags.begin(), tags.end()}});
  }
  co_return views;
}

Task<Result<std::vector<InterfaceView>>> SimCloud::list_interfaces(std::string tag,
                                                                   std::string value) {
  Task<Status> asking = ask(link_, "DescribeNetworkInterfaces");
  const Status asked = co_await std::move(asking);
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  std::vector<InterfaceView> views;
  const auto found = world_.model.describe_interfaces({}, {{"tag:" + tag, {value}}});
  for (const ec2model::NetworkInterface* one : *found) {
    const auto& tags = world_.model.tags_of(one->id);
    views.push_back({one->id, one->instance, one->private_address, {tags.begin(), tags.end()}});
  }
  co_return views;
}

}  // namespace muster::simulation
