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
#include "ec2model/catalog.hpp"
#include "ec2model/error.hpp"
#include "ec2model/filter.hpp"
#include "ec2model/ledger.hpp"
#include "ec2model/requests.hpp"
#include "ec2model/resources.hpp"
#include "ec2model/world.hpp"

namespace ec2model {

/// One region of one account of EC2, without sockets: decides every call, driven by `now` and a
/// seed. Machines themselves are someone else's: `take_effects` says what to do with them,
/// `machine_*` what became of them, and `advance` lets time pass.
class Model {
 public:
  Model(World world, std::uint64_t seed);

  [[nodiscard]] const World& world() const { return world_; }
  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] Ledger& ledger() { return ledger_; }

  // What stands before every call.
  /// Whether the caller may.
  [[nodiscard]] Answer<void> permit(const std::string& action,
                                    const std::string& caller_arn = "") const;
  /// Whether the action's request bucket had a token, which is taken.
  [[nodiscard]] Answer<void> throttle(const std::string& action, bool is_unfiltered, TimePoint now);

  // Machines: model_launch.cpp, model_fleet.cpp, model_lifecycle.cpp.
  Answer<Reservation> run_instances(const LaunchRequest& request, const Gate& gate, TimePoint now);
  /// Answers what could be launched and what could not; refuses only what is wrong as a whole.
  Answer<FleetAnswer> create_fleet(const FleetRequest& request, const Gate& gate, TimePoint now);
  /// The fleets that were deleted; unknown ids are reported in `unknown`.
  Answer<std::vector<std::string>> delete_fleets(const std::vector<std::string>& ids,
                                                 bool terminates_instances,
                                                 std::vector<std::string>& unknown,
                                                 const Gate& gate, TimePoint now);
  Answer<std::vector<StateChange>> terminate_instances(const std::vector<std::string>& ids,
                                                       const Gate& gate, TimePoint now);
  Answer<std::vector<StateChange>> stop_instances(const std::vector<std::string>& ids,
                                                  bool hibernates, bool is_forced, const Gate& gate,
                                                  TimePoint now);
  Answer<std::vector<StateChange>> start_instances(const std::vector<std::string>& ids,
                                                   const Gate& gate, TimePoint now);
  Answer<void> reboot_instances(const std::vector<std::string>& ids, const Gate& gate);
  Answer<void> modify_instance(const std::string& id, const AttributeChange& change,
                               const Gate& gate);
  Answer<const Instance*> modify_metadata(const std::string& id, const MetadataOptions& options,
                                          const Gate& gate);
  /// Announces that EC2 takes a spot machine back at `at`.
  Answer<void> interrupt(const std::string& id, const Interruption& interruption,
                         bool recommends_rebalance, TimePoint now);

  // Tags: model_tags.cpp.
  Answer<void> create_tags(const std::vector<std::string>& resources, const Tags& tags,
                           const Gate& gate);
  /// A tag without a value goes whatever its value.
  Answer<void> delete_tags(const std::vector<std::string>& resources,
                           const std::map<std::string, std::optional<std::string>>& tags,
                           const Gate& gate);
  struct TagEntry {
    std::string resource;
    std::string type;
    std::string key;
    std::string value;
  };
  [[nodiscard]] Answer<std::vector<TagEntry>> describe_tags(
      const std::vector<Filter>& filters) const;

  // Key pairs and launch templates: model_keys.cpp, model_templates.cpp.
  Answer<const KeyPair*> add_key_pair(KeyPair pair, const Tags& tags, const Gate& gate,
                                      TimePoint now);
  /// The id of the pair that was there, or nothing.
  Answer<std::optional<std::string>> delete_key_pair(const std::string& name, const std::string& id,
                                                     const Gate& gate);
  [[nodiscard]] Answer<std::vector<const KeyPair*>> describe_key_pairs(
      const std::vector<std::string>& names, const std::vector<std::string>& ids,
      const std::vector<Filter>& filters) const;

  /// How a call names a template: by id or by name, never both.
  struct TemplateName {
    std::string id;
    std::string name;
  };
  Answer<const LaunchTemplate*> create_template(const std::string& name, TemplateVersion first,
                                                const Tags& tags, const std::string& token,
                                                const std::string& fingerprint, const Gate& gate,
                                                TimePoint now);
  Answer<const TemplateVersion*> add_template_version(
      const TemplateName& name, const std::string& source, TemplateVersion version,
      const std::string& token, const std::string& fingerprint, const Gate& gate, TimePoint now);
  Answer<const LaunchTemplate*> set_default_version(const TemplateName& name,
                                                    const std::string& version, const Gate& gate);
  Answer<LaunchTemplate> delete_template(const TemplateName& name, const Gate& gate);
  /// Deletes one version. Refuses the default one.
  Answer<void> delete_template_version(const TemplateName& name, const std::string& version);
  [[nodiscard]] Answer<const LaunchTemplate*> find_template(const TemplateName& name) const;
  /// A number, `$Latest` or `$Default`; empty means `$Default`.
  [[nodiscard]] Answer<const TemplateVersion*> find_version(const LaunchTemplate& of,
                                                            const std::string& version) const;
  [[nodiscard]] Answer<std::vector<const LaunchTemplate*>> describe_templates(
      const std::vector<std::string>& ids, const std::vector<std::string>& names,
      const std::vector<Filter>& filters) const;
  /// Of the versions given, those that match.
  struct VersionEntry {
    const LaunchTemplate* of;
    const TemplateVersion* version;
  };
  [[nodiscard]] Answer<std::vector<VersionEntry>> filter_versions(
      const std::vector<VersionEntry>& entries, const std::vector<Filter>& filters) const;

  // Networks: model_network.cpp.
  Answer<const Vpc*> create_vpc(const Cidr& cidr, const Tags& tags, const Gate& gate);
  Answer<void> delete_vpc(const std::string& id, const Gate& gate);
  Answer<const Subnet*> create_subnet(const std::string& vpc, const Cidr& cidr,
                                      const std::string& zone, const Tags& tags, const Gate& gate);
  Answer<void> delete_subnet(const std::string& id, const Gate& gate);
  Answer<const SecurityGroup*> create_group(const std::string& name, const std::string& description,
                                            const std::string& vpc, const Tags& tags,
                                            const Gate& gate);
  Answer<void> delete_group(const std::string& id, const std::string& name, const Gate& gate);
  /// Adds rules to the group of that id, or of that name in the default VPC.
  Answer<std::vector<GroupRule>> authorize(const std::string& id, const std::string& name,
                                           std::vector<GroupRule> rules, const Tags& tags,
                                           const Gate& gate);
  /// Removes rules by what they admit or by their ids.
  Answer<void> revoke(const std::string& id, const std::string& name,
                      const std::vector<GroupRule>& rules, const std::vector<std::string>& rule_ids,
                      bool is_egress, const Gate& gate);
  /// The id of the group that has this rule; empty if none has.
  [[nodiscard]] std::string group_of_rule(const std::string& rule_id) const;
  Answer<void> delete_interface(const std::string& id, const Gate& gate);
  Answer<void> delete_volume(const std::string& id, const Gate& gate);

  // Images: model_images.cpp.
  Answer<void> deregister_image(const std::string& id, const Gate& gate);
  Answer<std::string> copy_image(const Image& source, const std::string& name,
                                 const std::string& description, const Tags& tags,
                                 const std::string& token, const Gate& gate, TimePoint now);

  // Spot: model_spot.cpp.
  /// The requests as they were made; a look afterwards may find them fulfilled.
  Answer<std::vector<SpotRequest>> request_spot(const LaunchRequest& request, const Tags& tags,
                                                const Gate& gate, TimePoint now);
  Answer<std::vector<const SpotRequest*>> cancel_spot(const std::vector<std::string>& ids,
                                                      const Gate& gate, TimePoint now);
  [[nodiscard]] long spot_price(const InstanceType& type, const std::string& zone,
                                TimePoint now) const;
  /// Every price between the two moments, newest first, and the one that held at the start.
  [[nodiscard]] std::vector<SpotPrice> spot_prices(TimePoint from, TimePoint to) const;

  // Listings: model_describe.cpp. An unknown id is an error, an unknown filter too.
  /// Instances of those ids (all when empty) that match, oldest first.
  [[nodiscard]] Answer<std::vector<const Instance*>> describe_instances(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters, TimePoint now) const;
  [[nodiscard]] Answer<std::vector<const Image*>> describe_images(
      const std::vector<std::string>& ids, const std::vector<std::string>& owners,
      const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const Vpc*>> describe_vpcs(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const Subnet*>> describe_subnets(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const SecurityGroup*>> describe_groups(
      const std::vector<std::string>& ids, const std::vector<std::string>& names,
      const std::vector<Filter>& filters) const;
  struct RuleEntry {
    const SecurityGroup* group;
    const GroupRule* rule;
  };
  [[nodiscard]] Answer<std::vector<RuleEntry>> describe_rules(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const NetworkInterface*>> describe_interfaces(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const Volume*>> describe_volumes(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const SpotRequest*>> describe_spot_requests(
      const std::vector<std::string>& ids, const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<const InstanceType*>> describe_types(
      const std::vector<std::string>& names, const std::vector<Filter>& filters) const;
  struct Zone {
    std::string name;
    std::string id;
  };
  [[nodiscard]] Answer<std::vector<Zone>> describe_zones(const std::vector<std::string>& names,
                                                         const std::vector<std::string>& ids,
                                                         const std::vector<Filter>& filters) const;
  [[nodiscard]] Answer<std::vector<std::string>> describe_regions(
      const std::vector<std::string>& names, const std::vector<Filter>& filters) const;

  [[nodiscard]] const Instance* find(const std::string& id) const;
  [[nodiscard]] const Instance* find_by_address(const std::string& private_address) const;
  [[nodiscard]] const Image* find_image(const std::string& id) const;
  /// Whether the account may see and use it: its own, or a public one.
  [[nodiscard]] bool is_visible(const Image& image) const {
    return image.is_public || image.owner == world_.account;
  }
  [[nodiscard]] const Vpc* find_vpc(const std::string& id) const;
  [[nodiscard]] const Subnet* find_subnet(const std::string& id) const;
  [[nodiscard]] const SecurityGroup* find_group(const std::string& id) const;
  [[nodiscard]] const Volume* find_volume(const std::string& id) const;
  [[nodiscard]] const NetworkInterface* find_interface(const std::string& id) const;
  [[nodiscard]] const SpotRequest* find_spot_request(const std::string& id) const;
  [[nodiscard]] int free_address_count(const Subnet& subnet) const;
  [[nodiscard]] const Tags& tags_of(const std::string& resource) const;
  /// Whether type and capacity are sold and to be had in that zone.
  [[nodiscard]] bool is_offered(const InstanceType& type, const std::string& zone) const;

  [[nodiscard]] std::vector<Effect> take_effects();
  /// Ids of machines whose ledger entry has changed since the last call.
  [[nodiscard]] std::vector<std::string> take_ledger_changes();
  /// The names of the faults that have struck since the last time.
  [[nodiscard]] std::vector<std::string> take_strikes();
  /// Counts a fault.
  void strike(const std::string& fault) const { strikes_.push_back(fault); }
  void machine_running(const std::string& id, TimePoint now);
  /// The machine is gone: killed as asked, or ended from inside (`is_shutdown`), or lost.
  void machine_gone(const std::string& id, bool is_shutdown, TimePoint now);
  /// Lets pass what has become due: states that take time, interruptions.
  void advance(TimePoint now);
  /// When something becomes due next.
  [[nodiscard]] std::optional<TimePoint> next_due() const;
  /// Every machine ends because the simulator does.
  void simulator_stops(TimePoint now);

  [[nodiscard]] std::string random_id(const std::string& prefix, int digits = 17) const;
  /// From 0 up to, not including, 1.
  [[nodiscard]] double chance() const;

 private:
  struct Replay {
    std::string fingerprint;
    std::string reservation;
    std::vector<std::string> instances;
  };
  struct Place {
    const Subnet* subnet = nullptr;
    std::vector<std::string> groups;
  };
  struct Due {
    enum class Kind { start, running, stopped, terminated, interrupted } kind;
    std::string instance;
  };

  // model_launch.cpp
  [[nodiscard]] Answer<void> check_known(const LaunchRequest& request) const;
  [[nodiscard]] Answer<Place> find_place(const LaunchRequest& request) const;
  [[nodiscard]] Answer<std::optional<InstanceProfile>> find_profile(
      const LaunchRequest& request) const;
  [[nodiscard]] Answer<void> check_tags(const LaunchRequest& request) const;
  /// Checks everything that does not depend on the moment.
  [[nodiscard]] Answer<Place> check_launch(const LaunchRequest& request) const;
  /// How many machines of the request fit, between its two counts; takes their tokens.
  [[nodiscard]] Answer<int> count_with_room(const LaunchRequest& request, const Place& place,
                                            bool takes_tokens, TimePoint now);
  [[nodiscard]] Answer<std::optional<Reservation>> replayed(const LaunchRequest& request,
                                                            const std::string& scope) const;
  [[nodiscard]] Answer<unsigned> pick_address(const Subnet& subnet, const std::string& asked);
  /// Makes `count` machines; what is needed was checked.
  Answer<Reservation> launch(const LaunchRequest& request, const Place& place, int count,
                             TimePoint now);
  Instance make_instance(const LaunchRequest& request, const Place& place,
                         const std::optional<InstanceProfile>& profile,
                         const std::string& reservation, TimePoint now);
  void make_volumes(Instance& instance, const LaunchRequest& request, TimePoint now);
  void enter(Instance& instance, TimePoint now);
  void take_public_address(Instance& instance);
  void plan_faults(Instance& instance, TimePoint now);

  // model_lifecycle.cpp
  [[nodiscard]] std::uint64_t next_random() const;
  void set_state(Instance& instance, State state, TimePoint now);
  void release(Instance& instance, TimePoint now);
  void drop_public_address(Instance& instance);
  void end(Instance& instance, const std::string& code, const std::string& text, TimePoint now);
  void begin_termination(Instance& instance, const std::string& code, const std::string& text,
                         TimePoint now);
  void begin_stop(Instance& instance, const std::string& code, const std::string& text,
                  TimePoint now);
  void begin_start(Instance& instance, TimePoint now);
  void carry_out(const Due& due, TimePoint now);
  void forget_terminated(TimePoint now);
  void schedule(Due::Kind kind, const std::string& id, TimePoint at);
  [[nodiscard]] bool is_full(bool is_spot, const std::string& type, const std::string& zone) const;
  [[nodiscard]] Ec2Error no_capacity(bool is_spot, const std::string& type,
                                     const std::string& zone) const;
  [[nodiscard]] Ec2Error shortage(const LaunchRequest& request, const Place& place) const;
  [[nodiscard]] Answer<void> check_instances(const std::vector<std::string>& ids) const;
  [[nodiscard]] long vcpus_in_use(bool is_spot) const;
  TokenBucket& resource_bucket(const std::string& action);

  // model_spot.cpp
  /// Follows what became of a spot request's machine.
  void close_spot_request(const Instance& instance, const std::string& code, TimePoint now);
  void fulfil(SpotRequest& request, TimePoint now);
  /// Open requests wait for room and for a lower price.
  void retry_spot_requests(TimePoint now);

  [[nodiscard]] Answer<SecurityGroup*> group_named(const std::string& id, const std::string& name);

  World world_;
  mutable std::uint64_t random_;
  Ledger ledger_;
  mutable std::vector<std::string> strikes_;  ///< Listings strike too.
  std::map<std::string, Instance> instances_;
  std::vector<const Instance*> order_;  // In order of launch, without those long terminated.
  TimePoint forgotten_at_{};
  std::size_t launched_count_ = 0;
  std::map<std::string, std::string> by_address_;
  std::set<unsigned> addresses_;
  std::map<std::string, Replay> replays_;  // By scope and token.
  std::map<std::string, FleetAnswer> fleet_replays_;
  std::map<std::string, std::string> fingerprints_;  // By action and token.
  std::map<std::string, std::string> made_;          // What a token made, by action and token.
  std::map<std::string, TokenBucket> buckets_;
  std::map<std::string, Tags> tags_;  // Of everything but instances.
  std::map<std::string, Volume> volumes_;
  std::map<std::string, NetworkInterface> interfaces_;
  std::map<std::string, KeyPair> key_pairs_;  // By name.
  std::map<std::string, LaunchTemplate> templates_;
  std::map<std::string, SpotRequest> spot_requests_;
  bool may_have_open_spot_ = false;
  std::map<std::string, Fleet> fleets_;
  std::deque<Effect> effects_;
  std::vector<std::string> ledger_changes_;
  std::multimap<TimePoint, Due> due_;
  long vcpus_used_[2] = {0, 0};  // On-demand, spot; of machines that are pending or running.
  unsigned next_host_ = 0;
  TimePoint spot_retried_at_{};
  bool is_retrying_ = false;
};

}  // namespace ec2model
