#include "service/catalog_cache.hpp"

namespace muster {

namespace {

/// The answer that is kept under `key`; without one `asking` gets it.
template <class Key, class T>
Task<Result<T>> answer(std::map<Key, T>* answers, Key key, Task<Result<T>> asking) {
  const auto found = answers->find(key);
  if (found != answers->end()) co_return found->second;
  Result<T> answered = co_await std::move(asking);
  if (answered) answers->insert_or_assign(std::move(key), *answered);
  co_return answered;
}

}  // namespace

void CatalogCache::clear() {
  images_.clear();
  subnets_.clear();
  groups_.clear();
  types_.clear();
  offerings_.clear();
  prices_.clear();
}

Task<Result<std::vector<ImageView>>> CatalogCache::find_images(std::string id_or_name,
                                                               std::string owner) {
  return answer(&images_, std::pair(id_or_name, owner), catalog_.find_images(id_or_name, owner));
}

Task<Result<std::vector<SubnetView>>> CatalogCache::list_subnets(std::vector<std::string> ids) {
  return answer(&subnets_, ids, catalog_.list_subnets(ids));
}

Task<Result<std::vector<GroupView>>> CatalogCache::find_groups(
    std::vector<std::string> ids_or_names, std::string vpc) {
  return answer(&groups_, std::pair(ids_or_names, vpc), catalog_.find_groups(ids_or_names, vpc));
}

Task<Result<std::vector<InstanceTypeView>>> CatalogCache::list_types(
    std::vector<std::string> names) {
  return answer(&types_, names, catalog_.list_types(names));
}

Task<Result<std::vector<OfferingView>>> CatalogCache::list_offerings(
    std::vector<std::string> types) {
  return answer(&offerings_, types, catalog_.list_offerings(types));
}

Task<Result<std::vector<SpotPriceView>>> CatalogCache::spot_prices(std::vector<std::string> types) {
  return answer(&prices_, types, catalog_.spot_prices(types));
}

}  // namespace muster
