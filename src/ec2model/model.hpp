#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ec2model/bucket.hpp"
#include "ec2model/error.hpp"
#include "ec2model/filter.hpp"
#include "ec2model/ledger.hpp"
#include "ec2model/world.hpp"

namespace ec2model {

using muster::TimePoint;

enum class State { pending, running, shutting_down, terminated, stopping, stopped };

[[nodiscard]] std::string name_of(State state);
[[nodiscard]] int code_of(State state);

struct Volume {
  std::string id;
  std::string device;
  int size_gib = 8;
  std::string type = "gp3";
  bool deletes_on_termination = true;
  Tags tags;
};

struct MetadataOptions {
  bool needs_token = true;
  int hop_limit = 1;
  bool is_enabled = true;
  bool shows_tags = false;
};

struct Instance {
  std::string id;
  std::string reservation;
  int launch_index = 0;
  State state = State::pending;
  std::string state_reason_code = "pending";
  std::string state_reason = "pending";
  std::string transition_reason;
  std::string image;
  std::string architecture;
  std::string instance_type;
  std::string subnet;
  std::string vpc;
  std::string zone;
  std::string zone_id;
  std::vector<SecurityGroup> groups;
  std::string private_address;
  std::string public_address;
  std::string interface_id;
  std::string mac;
  std::string interface_description;
  std::string root_device;
  std::vector<Volume> volumes;
  std::string key_name;
  std::string user_data;  ///< Raw.
  std::string client_token;
  std::string spot_request;  ///< Empty: on-demand.
  std::optional<InstanceProfile> profile;
  MetadataOptions metadata;
  bool is_monitored = false;
  bool is_ebs_optimized = false;
  bool is_termination_protected = false;
  bool terminates_on_shutdown = false;
  TimePoint launched_at{};
  TimePoint ended_at{};
  Tags tags;
};

/// RunInstances, read and checked for its form. Empty means not given.
struct LaunchRequest {
  std::string image;
  std::string instance_type;
  int min_count = 0;
  int max_count = 0;
  std::string subnet;
  std::string zone;
  std::vector<std::string> group_ids;
  std::vector<std::string> group_names;
  std::string private_address;
  std::optional<bool> public_address;
  bool has_interface = false;
  std::string interface_description;
  std::string key_name;
  std::string user_data;
  std::string client_token;
  std::string profile_name;
  std::string profile_arn;
  bool is_spot = false;
  std::optional<long> max_price_usd_micros;
  std::string max_price_text;
  std::vector<Volume> volumes;
  MetadataOptions metadata;
  bool is_monitored = false;
  bool is_ebs_optimized = false;
  bool is_termination_protected = false;
  bool terminates_on_shutdown = false;
  Tags instance_tags;
  Tags volume_tags;
  Tags other_tags;          ///< Of interfaces and spot requests.
  std::string fingerprint;  ///< Of all parameters but the token: equal requests have equal ones.
};

/// What stands before an action is carried out, in EC2's order: permission, DryRun, a replayed
/// token, then the request bucket, from which every call takes one token.
struct Gate {
  Answer<void> permission;
  Answer<void> bucket;
  bool is_dry_run = false;
};

struct Reservation {
  std::string id;
  std::vector<const Instance*> instances;
};

struct StateChange {
  std::string id;
  State previous;
  State current;
};

/// What the world must do because of a decision of the model.
struct Effect {
  enum class Kind { start_machine, kill_machine } kind;
  std::string instance_id;
};

/// A page of a listing: the items from `begin` on, and where the next page begins, 0 at the end.
struct PageRequest {
  std::optional<int> max_results;
  std::size_t begin = 0;
};

/// EC2 without sockets: decides every call, driven by `now` and a seed. Machines themselves are
/// someone else's: `take_effects` says what to do with them, `machine_*` what became of them.
class Model {
 public:
  Model(World world, std::uint64_t seed);

  [[nodiscard]] const World& world() const { return world_; }
  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] Ledger& ledger() { return ledger_; }

  /// Whether the caller may, and whether the action's request bucket had a token, which is taken.
  [[nodiscard]] Answer<void> permit(const std::string& action) const;
  [[nodiscard]] Answer<void> throttle(const std::string& action, bool is_unfiltered, TimePoint now);

  Answer<Reservation> run_instances(const LaunchRequest& request, const Gate& gate, TimePoint now);
  Answer<std::vector<StateChange>> terminate_instances(const std::vector<std::string>& ids,
                                                       const Gate& gate, TimePoint now);
  Answer<void> create_tags(const std::vector<std::string>& resources, const Tags& tags,
                           const Gate& gate);

  /// Instances of those ids (all when empty) that match, oldest first. An unknown id is an error.
  [[nodiscard]] Answer<std::vector<const Instance*>> describe_instances(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters, TimePoint now) const;
  [[nodiscard]] Answer<std::vector<const Image*>> describe_images(
      const std::vector<std::string>& ids, const std::vector<std::string>& owners,
      const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const Subnet*>> describe_subnets(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const SecurityGroup*>> describe_groups(
      const std::vector<std::string>& ids, const std::vector<std::string>& names,
      const std::vector<Filter>& filters) const;

  [[nodiscard]] const Instance* find(const std::string& id) const;
  [[nodiscard]] const Instance* find_by_address(const std::string& private_address) const;
  [[nodiscard]] const Image* find_image(const std::string& id) const;
  [[nodiscard]] int free_address_count(const Subnet& subnet) const;
  [[nodiscard]] const Tags& tags_of(const std::string& resource) const;

  [[nodiscard]] std::vector<Effect> take_effects();
  void machine_running(const std::string& id);
  /// The machine is gone: killed as asked, or ended from inside (`is_shutdown`), or lost.
  void machine_gone(const std::string& id, bool is_shutdown, TimePoint now);
  /// Every machine ends because the simulator does.
  void simulator_stops(TimePoint now);

  [[nodiscard]] std::string random_id(const std::string& prefix, int digits = 17);

 private:
  struct Replay {
    std::string fingerprint;
    std::string reservation;
    std::vector<std::string> instances;
  };
  struct Place {
    const Subnet* subnet = nullptr;
    std::vector<SecurityGroup> groups;
  };

  [[nodiscard]] Answer<void> check_known(const LaunchRequest& request) const;
  [[nodiscard]] Answer<Place> find_place(const LaunchRequest& request) const;
  [[nodiscard]] Answer<std::optional<InstanceProfile>> find_profile(
      const LaunchRequest& request) const;
  [[nodiscard]] Answer<void> check_tags(const LaunchRequest& request) const;
  /// How many machines of the request fit, between its two counts; takes their tokens.
  [[nodiscard]] Answer<int> count_with_room(const LaunchRequest& request, const Place& place,
                                            TimePoint now);
  [[nodiscard]] Answer<std::optional<Reservation>> replayed(const LaunchRequest& request,
                                                            const std::string& scope) const;
  [[nodiscard]] Answer<unsigned> pick_address(const Subnet& subnet, const std::string& asked);
  Instance make_instance(const LaunchRequest& request, const Place& place,
                         const std::optional<InstanceProfile>& profile,
                         const std::string& reservation, TimePoint now);
  void enter(Instance& instance, TimePoint now);
  void release(Instance& instance, TimePoint now);
  void end(Instance& instance, const std::string& code, const std::string& text, TimePoint now);
  [[nodiscard]] bool is_full(bool is_spot, const std::string& type, const std::string& zone) const;

  World world_;
  std::uint64_t random_;
  Ledger ledger_;
  std::map<std::string, Instance> instances_;
  std::vector<std::string> order_;  // Ids in order of launch.
  std::map<std::string, std::string> by_address_;
  std::set<unsigned> addresses_;
  std::map<std::string, Replay> replays_;  // By scope and token.
  std::map<std::string, TokenBucket> buckets_;
  std::map<std::string, Tags> tags_;  // Of everything but instances.
  std::deque<Effect> effects_;
  int next_host_ = 0;
};

}  // namespace ec2model
