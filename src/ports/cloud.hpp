#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/strong.hpp"
#include "base/task.hpp"
#include "fleet/pool.hpp"

namespace muster {

/// What to launch, in the domain's words.
struct LaunchSpec {
  Offering offering;
  ImageId image;
  std::string root_device;  ///< Of the image; the disk policy applies to it.
  int count = 1;
  std::vector<std::string> security_groups;  ///< Ids.
  DiskPolicy disk;
  std::string iam_profile;
  std::string key_name;
  std::optional<bool> public_ip;
  std::string private_ip;
  std::string max_price;
  bool monitoring = false;
  int metadata_hop_limit = 1;
  std::string user_data;                    ///< Raw, at most 16 KiB; holds no secret.
  std::map<std::string, std::string> tags;  ///< On instances, volumes, interfaces, spot requests.
};

/// A mutating call as it is sent, without date and signature: what an intent keeps.
struct FrozenCall {
  std::string action;
  std::string body;
  ClientToken token;
};

enum class InstanceState { pending, running, shutting_down, terminated, stopping, stopped };

/// An instance as the cloud shows it.
struct CloudInstance {
  InstanceId id;
  InstanceState state = InstanceState::pending;
  std::string state_reason;  ///< The cloud's code and text for the last change.
  std::string instance_type;
  std::string zone;
  std::string private_address;
  std::string public_address;
  bool is_spot = false;
  ClientToken client_token;
  std::map<std::string, std::string> tags;
};

/// All conditions hold; each list is alternatives. Empty lists say nothing.
struct InstanceFilter {
  std::vector<InstanceId> ids;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<InstanceState> states;
  ClientToken client_token;
};

/// The machines of a cloud. Errors: every kind; capacity_unavailable and quota_exceeded only from
/// `launch`. A call that may have acted although it failed is `unavailable`, `timeout` or
/// `corrupt`: send the same frozen call again.
class Cloud {
 public:
  virtual ~Cloud() = default;
  /// Pure: the same request and token give the same bytes.
  [[nodiscard]] virtual FrozenCall freeze_launch(const LaunchSpec& spec,
                                                 const ClientToken& token) const = 0;
  /// Launches at most once per token, however often it is sent.
  virtual Task<Result<std::vector<CloudInstance>>> launch(FrozenCall call) = 0;
  /// All pages or an error. A fresh instance may be missing for some minutes.
  virtual Task<Result<std::vector<CloudInstance>>> list_instances(InstanceFilter filter) = 0;
  /// Ends instances. `not_found` for one that is long gone, or so fresh that it is not visible yet.
  virtual Task<Status> terminate(std::vector<InstanceId> ids) = 0;
  virtual Task<Status> tag(std::vector<std::string> resource_ids,
                           std::map<std::string, std::string> tags) = 0;
  /// The serial console as it is now, at most its last 64 KiB.
  virtual Task<Result<std::string>> console_output(InstanceId id) = 0;
};

struct ImageView {
  ImageId id;
  std::string name;
  std::string architecture;  ///< `x86_64`, `arm64`
  std::string root_device;
  std::string creation_date;
};

struct GroupView {
  std::string id;
  std::string name;
  std::string vpc;
};

/// What a cloud offers.
class CloudCatalog {
 public:
  virtual ~CloudCatalog() = default;
  /// Images by id or by name pattern and owner, newest first.
  virtual Task<Result<std::vector<ImageView>>> find_images(std::string id_or_name,
                                                           std::string owner) = 0;
  /// The named subnets, or with none named the default subnets of the default VPC.
  virtual Task<Result<std::vector<SubnetView>>> list_subnets(std::vector<std::string> ids) = 0;
  /// The groups of that VPC whose id or name is among those given.
  virtual Task<Result<std::vector<GroupView>>> find_groups(std::vector<std::string> ids_or_names,
                                                           std::string vpc) = 0;
};

}  // namespace muster
