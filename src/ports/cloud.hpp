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
  ImageId image;                ///< Empty: the template's.
  TemplateRef launch_template;  ///< What this spec does not say is the template's.
  std::string root_device;      ///< Of the image; the disk policy applies to it.
  int count = 1;
  bool takes_fewer = false;  ///< Fewer than `count` are welcome where there is no room for all.
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

/// Many machines at once, wherever there is room: one call for one market.
struct FleetSpec {
  std::vector<Offering> offerings;  ///< All of one capacity type; in the order preferred.
  int count = 1;
  TemplateRef launch_template;  ///< With a version.
  ImageId image;                ///< Empty: the template's.
  std::string max_price;
  std::string user_data;                    ///< Raw; empty: the template's.
  std::map<std::string, std::string> tags;  ///< On instances, volumes, interfaces.
};

/// A mutating call as it is sent, without date and signature: what an intent keeps.
struct FrozenCall {
  std::string action;
  std::string body;
  ClientToken token;
  int count = 1;  ///< Of machines; what the budget counts.
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

/// Whether a call that failed so may have changed something all the same.
[[nodiscard]] constexpr bool may_have_acted(ErrorKind kind) {
  return kind == ErrorKind::unavailable || kind == ErrorKind::timeout || kind == ErrorKind::corrupt;
}

/// Who is turned away at the door learns nothing of an earlier attempt.
[[nodiscard]] constexpr bool is_turned_away(ErrorKind kind) {
  return kind == ErrorKind::throttled || kind == ErrorKind::forbidden ||
         kind == ErrorKind::unauthenticated;
}

/// What became of a launch. Of a fleet, some may have been launched and others refused.
struct LaunchAnswer {
  struct Refusal {
    Offering offering;
    Error error;
  };
  std::vector<CloudInstance> instances;  ///< A fleet's lack addresses and tags.
  std::vector<Refusal> refusals;
};

/// All conditions hold; each list is alternatives. Empty lists say nothing.
struct InstanceFilter {
  std::vector<InstanceId> ids;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<InstanceState> states;
  ClientToken client_token;
};

/// The machines of a cloud. Errors: every kind; capacity_unavailable and quota_exceeded only from
/// `launch` and `start`. A call that may have acted although it failed is `unavailable`, `timeout`
/// or `corrupt`: send the same frozen call again.
class Cloud {
 public:
  virtual ~Cloud() = default;
  /// Pure: the same request and token give the same bytes.
  [[nodiscard]] virtual FrozenCall freeze_launch(const LaunchSpec& spec,
                                                 const ClientToken& token) const = 0;
  [[nodiscard]] virtual FrozenCall freeze_fleet(const FleetSpec& spec,
                                                const ClientToken& token) const = 0;
  /// Launches at most once per token, however often it is sent. A fleet that found no room at all
  /// is an answer without instances.
  virtual Task<Result<LaunchAnswer>> launch(FrozenCall call) = 0;
  /// All pages or an error. A fresh instance may be missing for some minutes.
  virtual Task<Result<std::vector<CloudInstance>>> list_instances(InstanceFilter filter) = 0;
  /// Ends instances. `not_found` for one that is long gone, or so fresh that it is not visible yet.
  virtual Task<Status> terminate(std::vector<InstanceId> ids) = 0;
  /// Stops instances, which keep their disks and private addresses. `conflict` from a state in
  /// which they cannot be, and for one-time spot.
  virtual Task<Status> stop(std::vector<InstanceId> ids, bool hibernates) = 0;
  /// Starts stopped instances; all or none of them.
  virtual Task<Status> start(std::vector<InstanceId> ids) = 0;
};

/// A change to one instance; type and user data need it stopped.
struct InstanceChange {
  std::optional<std::string> instance_type;
  std::optional<std::string> user_data;  ///< Raw.
  std::optional<bool> is_termination_protected;
};

/// What one machine says and carries.
class CloudControl {
 public:
  virtual ~CloudControl() = default;
  virtual Task<Status> tag(std::vector<std::string> resource_ids,
                           std::map<std::string, std::string> tags) = 0;
  /// The serial console as it is now, at most its last 64 KiB.
  virtual Task<Result<std::string>> console_output(InstanceId id) = 0;
  /// `conflict` when the instance is not stopped and has to be.
  virtual Task<Status> modify(InstanceId id, InstanceChange change) = 0;
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

struct InstanceTypeView {
  std::string name;
  std::string architecture;
  int vcpu_count = 0;
  int memory_mib = 0;
  bool is_spot_sold = true;
  bool can_hibernate = false;
};

/// Where a type is sold.
struct OfferingView {
  std::string instance_type;
  std::string zone;
};

struct SpotPriceView {
  std::string instance_type;
  std::string zone;
  double usd_per_hour = 0;
  TimePoint at{};
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
  /// Types by name (all when empty).
  virtual Task<Result<std::vector<InstanceTypeView>>> list_types(
      std::vector<std::string> names) = 0;
  /// The zones in which each of the types is sold.
  virtual Task<Result<std::vector<OfferingView>>> list_offerings(
      std::vector<std::string> types) = 0;
  /// What each of the types costs now on the spot market, one row a type and zone.
  virtual Task<Result<std::vector<SpotPriceView>>> spot_prices(std::vector<std::string> types) = 0;
};

struct TemplateView {
  std::string id;
  std::string name;
  long default_version = 1;
  long latest_version = 1;
};

struct KeyPairView {
  std::string id;
  std::string name;
  std::string fingerprint;
  std::map<std::string, std::string> tags;
};

struct VolumeView {
  std::string id;
  std::string instance;  ///< Empty: attached to none.
  int size_gib = 0;
  std::map<std::string, std::string> tags;
};

struct InterfaceView {
  std::string id;
  std::string instance;  ///< Empty: attached to none.
  std::string private_address;
  std::map<std::string, std::string> tags;
};

/// What launches are made of, and what they may leave behind.
class CloudResources {
 public:
  virtual ~CloudResources() = default;
  /// Makes a template, or a further version of the one of that name, of what the spec says but for
  /// its offering and count. Once per token.
  virtual Task<Result<TemplateRef>> save_template(std::string name, LaunchSpec spec,
                                                  ClientToken token) = 0;
  virtual Task<Result<std::vector<TemplateView>>> list_templates(
      std::vector<std::string> names) = 0;
  virtual Task<Status> delete_template(std::string id) = 0;
  /// `conflict` when the name is taken.
  virtual Task<Result<KeyPairView>> import_key(std::string name, std::string public_key,
                                               std::map<std::string, std::string> tags) = 0;
  virtual Task<Status> delete_key(std::string name) = 0;
  /// Volumes and interfaces with that tag.
  virtual Task<Result<std::vector<VolumeView>>> list_volumes(std::string tag,
                                                             std::string value) = 0;
  virtual Task<Result<std::vector<InterfaceView>>> list_interfaces(std::string tag,
                                                                   std::string value) = 0;
};

}  // namespace muster
