#pragma once

#include "adapters/aws/ec2_client.hpp"
#include "ports/cloud.hpp"

namespace muster::aws {

/// The `Cloud` ports on EC2.
class Ec2Cloud : public Cloud, public CloudControl, public CloudCatalog, public CloudResources {
 public:
  explicit Ec2Cloud(Ec2Client& client) : client_(client) {}

  [[nodiscard]] FrozenCall freeze_launch(const LaunchSpec& spec,
                                         const ClientToken& token) const override;
  [[nodiscard]] FrozenCall freeze_fleet(const FleetSpec& spec,
                                        const ClientToken& token) const override;
  Task<Result<LaunchAnswer>> launch(FrozenCall call) override;
  Task<Result<std::vector<CloudInstance>>> list_instances(InstanceFilter filter) override;
  Task<Status> terminate(std::vector<InstanceId> ids) override;
  Task<Status> stop(std::vector<InstanceId> ids, bool hibernates) override;
  Task<Status> start(std::vector<InstanceId> ids) override;

  Task<Status> tag(std::vector<std::string> resource_ids,
                   std::map<std::string, std::string> tags) override;
  Task<Result<std::string>> console_output(InstanceId id) override;
  Task<Status> modify(InstanceId id, InstanceChange change) override;

  Task<Result<std::vector<ImageView>>> find_images(std::string id_or_name,
                                                   std::string owner) override;
  Task<Result<std::vector<SubnetView>>> list_subnets(std::vector<std::string> ids) override;
  Task<Result<std::vector<GroupView>>> find_groups(std::vector<std::string> ids_or_names,
                                                   std::string vpc) override;
  Task<Result<std::vector<InstanceTypeView>>> list_types(std::vector<std::string> names) override;
  Task<Result<std::vector<OfferingView>>> list_offerings(std::vector<std::string> types) override;
  Task<Result<std::vector<SpotPriceView>>> spot_prices(std::vector<std::string> types) override;

  Task<Result<TemplateRef>> save_template(std::string name, LaunchSpec spec,
                                          ClientToken token) override;
  Task<Result<std::vector<TemplateView>>> list_templates(std::vector<std::string> names) override;
  Task<Status> delete_template(std::string id) override;
  Task<Result<KeyPairView>> import_key(std::string name, std::string public_key,
                                       std::map<std::string, std::string> tags) override;
  Task<Status> delete_key(std::string name) override;
  Task<Result<std::vector<VolumeView>>> list_volumes(std::string tag, std::string value) override;
  Task<Result<std::vector<InterfaceView>>> list_interfaces(std::string tag,
                                                           std::string value) override;

 private:
  /// All pages of a describe call; one failed page fails the whole.
  Task<Result<std::vector<wire::XmlElement>>> describe(std::string action,
                                                       wire::Parameters parameters, int page_size);
  /// A call of which only the success matters.
  Task<Status> act(std::string action, wire::Parameters parameters);

  Ec2Client& client_;
};

}  // namespace muster::aws
