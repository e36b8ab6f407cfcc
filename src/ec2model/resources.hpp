#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ec2model/world.hpp"

namespace ec2model {

using muster::TimePoint;

enum class State { pending, running, shutting_down, terminated, stopping, stopped };

[[nodiscard]] std::string name_of(State state);
[[nodiscard]] int code_of(State state);

/// A block device as a launch asks for it.
struct DeviceMapping {
  std::string device;
  bool is_left_out = false;  ///< `NoDevice`: not even if the image has it.
  std::optional<int> size_gib;
  std::string type = "gp3";
  std::optional<int> iops;
  std::optional<int> throughput;
  std::string snapshot;
  bool is_encrypted = false;
  bool deletes_on_termination = true;
};

struct Volume {
  std::string id;
  std::string instance;  ///< Empty: available.
  std::string device;
  std::string zone;
  int size_gib = 8;
  std::string type = "gp3";
  std::optional<int> iops;
  std::optional<int> throughput;
  std::string snapshot;
  bool is_encrypted = false;
  bool deletes_on_termination = true;
  TimePoint created_at{};
};

struct NetworkInterface {
  std::string id;
  std::string instance;  ///< Empty: available.
  std::string description;
  std::string subnet;
  std::string vpc;
  std::string zone;
  std::vector<std::string> groups;
  std::string private_address;
  std::string public_address;
  std::string mac;
  bool deletes_on_termination = true;
  TimePoint attached_at{};
  bool has_source_check = true;
};

struct MetadataOptions {
  bool needs_token = true;
  int hop_limit = 1;
  bool is_enabled = true;
  bool shows_tags = false;
};

/// EC2's word that it takes a spot machine back.
struct Interruption {
  std::string action = "terminate";  ///< Or `stop`, `hibernate`.
  TimePoint at{};
};

struct Instance {
  std::string id;
  std::string reservation;
  int launch_index = 0;
  std::size_t number = 0;  ///< In order of launch, over all reservations.
  State state = State::pending;
  State state_before = State::pending;  ///< What a stale listing shows.
  TimePoint changed_at{};
  std::string state_reason_code = "pending";
  std::string state_reason = "pending";
  std::string transition_reason;
  std::string image;
  MachineKind kind = MachineKind::namespaces;
  std::string architecture;
  std::string instance_type;
  std::string subnet;
  std::string vpc;
  std::string zone;
  std::string zone_id;
  std::vector<std::string> groups;
  unsigned address = 0;  ///< In the subnet.
  std::string private_address;
  std::string public_address;
  std::string interface_id;
  std::string mac;
  std::string root_device;
  std::vector<std::string> volumes;
  std::string key_name;
  std::string public_key;  ///< Of the key pair, as it was at launch.
  std::string user_data;   ///< Raw.
  std::string client_token;
  std::string spot_request;  ///< Empty: on-demand.
  std::optional<InstanceProfile> profile;
  MetadataOptions metadata;
  bool is_monitored = false;
  bool is_ebs_optimized = false;
  bool is_termination_protected = false;
  bool is_stop_protected = false;
  bool is_hibernation_configured = false;
  bool has_source_check = true;
  bool terminates_on_shutdown = false;
  bool wants_public_address = false;
  bool hangs = false;  ///< Boots never, by a fault.
  std::optional<Interruption> interruption;
  std::optional<TimePoint> rebalance_at;
  TimePoint launched_at{};
  TimePoint visible_at{};
  TimePoint ended_at{};
  Tags tags;
};

struct KeyPair {
  std::string id;
  std::string name;
  std::string type;  ///< `rsa` or `ed25519`
  std::string public_key;
  std::string fingerprint;
  TimePoint created_at{};
};

struct TemplateVersion {
  long number = 1;
  std::string description;
  TimePoint created_at{};
  std::map<std::string, std::string> data;  ///< RunInstances' parameters, as they were sent.
};

struct LaunchTemplate {
  std::string id;
  std::string name;
  long default_version = 1;
  long latest_version = 1;  ///< The newest that there is.
  long last_number = 1;     ///< Numbers do not come again.
  TimePoint created_at{};
  std::vector<TemplateVersion> versions;  ///< In order of their numbers, with gaps.
};

struct Fleet {
  std::string id;
  std::vector<std::string> instances;
  bool is_deleted = false;
};

/// Prices move in steps: what one offering cost from a moment on.
struct SpotPrice {
  std::string instance_type;
  std::string zone;
  std::string zone_id;
  long usd_micros = 0;
  TimePoint at{};
};

}  // namespace ec2model
