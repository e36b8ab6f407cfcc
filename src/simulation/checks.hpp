#pragma once

#include <map>
#include <optional>
#include <string>

#include "service/control_loop.hpp"
#include "simulation/sim_world.hpp"

namespace muster::simulation {

/// The invariants of the design, looked at after each event of the world, and what they need to
/// remember. None of them asks the code under test whether it is right: they compare what it knows
/// with what is.
class Checks {
 public:
  Checks(SimWorld& world, const Config& config);

  /// Whose knowledge counts from now on; null: nobody runs.
  void watch(const ControlLoop* loop);
  /// What only the store knew is gone.
  void store_was_lost() { store_lost_at_ = world_.now(); }
  void look();
  void at_end();

  [[nodiscard]] int launch_count() const { return launches_; }
  [[nodiscard]] Duration last_launch() const { return last_launch_; }

 private:
  void launched(const std::string& id);
  void terminating(const std::vector<std::string>& ids);
  void look_for_leaks();
  void look_for_lost_jobs();
  void look_for_excess();
  [[nodiscard]] bool has_been_quiet(Duration time) const;
  [[nodiscard]] std::string describe(const std::string& id) const;

  SimWorld& world_;
  const Config& config_;
  const ControlLoop* loop_ = nullptr;
  Duration watched_since_{};
  Duration disturbed_at_{};
  std::optional<Duration> store_lost_at_;
  std::map<std::string, Duration> unreferenced_since_;
  std::map<std::string, Duration> unknown_since_;
  std::map<InstanceId, std::set<std::string>> used_;
  std::map<std::string, std::string> reservations_;  // By intent.
  int launches_ = 0;
  int looked_at_launches_ = 0;
  Duration looked_at_{};
  std::string last_reasons_;
  Duration last_launch_{};
};

}  // namespace muster::simulation
