#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ports/cloud.hpp"

namespace muster {

/// Asks a catalog each question once: pools of one image, network and list of types cost the calls
/// of one pool. Errors are not kept.
class CatalogCache : public CloudCatalog {
 public:
  explicit CatalogCache(CloudCatalog& catalog) : catalog_(catalog) {}

  /// Forgets the answers, so that what has changed is seen.
  void clear();

  Task<Result<std::vector<ImageView>>> find_images(std::string id_or_name,
                                                   std::string owner) override;
  Task<Result<std::vector<SubnetView>>> list_subnets(std::vector<std::string> ids) override;
  Task<Result<std::vector<GroupView>>> find_groups(std::vector<std::string> ids_or_names,
                                                   std::string vpc) override;
  Task<Result<std::vector<InstanceTypeView>>> list_types(std::vector<std::string> names) override;
  Task<Result<std::vector<OfferingView>>> list_offerings(std::vector<std::string> types) override;
  Task<Result<std::vector<SpotPriceView>>> spot_prices(std::vector<std::string> types) override;

 private:
  using Names = std::vector<std::string>;

  CloudCatalog& catalog_;
  std::map<std::pair<std::string, std::string>, std::vector<ImageView>> images_;
  std::map<Names, std::vector<SubnetView>> subnets_;
  std::map<std::pair<Names, std::string>, std::vector<GroupView>> groups_;
  std::map<Names, std::vector<InstanceTypeView>> types_;
  std::map<Names, std::vector<OfferingView>> offerings_;
  std::map<Names, std::vector<SpotPriceView>> prices_;
};

}  // namespace muster
