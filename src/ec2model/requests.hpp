#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ec2model/error.hpp"
#include "ec2model/resources.hpp"

namespace ec2model {

/// RunInstances, read and checked for its form. Empty means not given.
struct LaunchRequest {
  std::string image;
  std::string instance_type;
  int min_count = 0;
  int max_count = 0;
  std::string subnet;
  std::string zone;
  std::string zone_id;
  std::vector<std::string> group_ids;
  std::vector<std::string> group_names;
  std::string private_address;
  std::optional<bool> public_address;
  std::string capacity_reservation;  ///< There is none in this world.
  std::string interface_id;          ///< An interface that exists; none is free in this world.
  std::string interface_description;
  bool interface_deletes_on_termination = true;
  std::string key_name;
  std::string user_data;
  std::string client_token;
  std::string profile_name;
  std::string profile_arn;
  bool is_spot = false;
  bool is_persistent = false;
  std::string interruption_behaviour = "terminate";
  std::optional<long> max_price_usd_micros;
  std::string max_price_text;
  std::vector<DeviceMapping> devices;
  MetadataOptions metadata;
  bool is_monitored = false;
  bool is_ebs_optimized = false;
  bool is_termination_protected = false;
  bool is_stop_protected = false;
  bool is_hibernation_configured = false;
  bool terminates_on_shutdown = false;
  Tags instance_tags;
  Tags system_tags;  ///< `aws:…`, which EC2 itself sets on instances.
  Tags volume_tags;
  Tags interface_tags;
  Tags spot_request_tags;
  std::string fingerprint;  ///< Of all parameters but the token: equal requests have equal ones.
};

struct SpotRequest {
  std::string id;
  std::string state = "open";  ///< open, active, closed, cancelled, failed
  std::string status_code = "pending-evaluation";
  std::string status = "Your Spot request has been submitted for review.";
  TimePoint created_at{};
  TimePoint updated_at{};
  std::string instance;
  std::string zone;
  std::string price;
  std::string behaviour = "terminate";
  bool is_persistent = false;
  LaunchRequest launch;  ///< For the next machine of a persistent request.
};

/// CreateFleet of type instant: machines of one size or another, wherever there is room.
struct FleetRequest {
  struct Candidate {
    LaunchRequest launch;  ///< Without counts.
    double weight = 1;
    std::optional<double> priority;
    std::size_t override_index = 0;  ///< The caller's own mark.
  };
  std::vector<Candidate> candidates;
  int spot_count = 0;
  int on_demand_count = 0;
  std::string spot_strategy = "lowest-price";
  std::string on_demand_strategy = "lowest-price";
  std::string interruption_behaviour;  ///< Of its spot machines; empty: their launch's.
  int min_spot = 0;
  int min_on_demand = 0;
  bool is_single_type = false;
  bool is_single_zone = false;
  Tags fleet_tags;
  std::string client_token;
  std::string fingerprint;
};

struct FleetAnswer {
  struct Group {
    std::size_t candidate = 0;
    bool is_spot = false;
    std::vector<std::string> instances;
  };
  struct Failure {
    std::size_t candidate = 0;
    bool is_spot = false;
    Ec2Error error;
  };
  std::string id;
  std::vector<Group> groups;
  std::vector<Failure> failures;
};

/// What stands before an action is carried out, in EC2's order: permission, DryRun, a replayed
/// token, then the request bucket, from which every call takes one token.
struct Gate {
  Answer<void> permission;
  Answer<void> bucket;
  bool is_dry_run = false;

  /// For an action without a token.
  [[nodiscard]] Answer<void> pass() const;
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
  enum class Kind { start_machine, stop_machine, reboot_machine, kill_machine } kind;
  std::string instance_id;
};

/// A change of one attribute of an instance.
struct AttributeChange {
  std::optional<std::string> instance_type;
  std::optional<std::string> user_data;
  std::optional<bool> terminates_on_shutdown;
  std::optional<bool> is_termination_protected;
  std::optional<bool> is_stop_protected;
  std::optional<bool> is_ebs_optimized;
  std::optional<bool> has_source_check;
  std::optional<std::vector<std::string>> groups;
  std::map<std::string, bool> deletes_on_termination;  ///< By device.
};

}  // namespace ec2model
