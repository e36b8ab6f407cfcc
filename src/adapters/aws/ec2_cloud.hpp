#pragma once

#include "adapters/aws/ec2_client.hpp"
#include "ports/cloud.hpp"

namespace muster::aws {

/// The `Cloud` ports on EC2.
class Ec2Cloud : public Cloud, public CloudCatalog {
 public:
  explicit Ec2Cloud(Ec2Client& client) : client_(client) {}

  [[nodiscard]] FrozenCall freeze_launch(const LaunchSpec& spec,
                                         const ClientToken& token) const override;
  Task<Result<std::vector<CloudInstance>>> launch(FrozenCall call) override;
  Task<Result<std::vector<CloudInstance>>> list_instances(InstanceFilter filter) override;
  Task<Status> terminate(std::vector<InstanceId> ids) override;
  Task<Status> tag(std::vector<std::string> resource_ids,
                   std::map<std::string, std::string> tags) override;
  Task<Result<std::string>> console_output(InstanceId id) override;

  Task<Result<std::vector<ImageView>>> find_images(std::string id_or_name,
                                                   std::string owner) override;
  Task<Result<std::vector<SubnetView>>> list_subnets(std::vector<std::string> ids) override;
  Task<Result<std::vector<GroupView>>> find_groups(std::vector<std::string> ids_or_names,
                                                   std::string vpc) override;

 private:
  /// All pages of a describe call; one failed page fails the whole.
  Task<Result<std::vector<wire::XmlElement>>> describe(std::string action,
                                                       wire::Parameters parameters, bool is_paged);

  Ec2Client& client_;
};

}  // namespace muster::aws
