#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/task.hpp"
#include "ports/clock.hpp"
#include "ports/cloud.hpp"

namespace muster {

/// What goes first when calls have to wait; lower is earlier.
enum class CallPriority { terminate, launch, start, describe, tag, housekeeping };

/// How urgent an action of EC2 is.
[[nodiscard]] CallPriority priority_of(const std::string& action);

/// Keeps the calls of one account and region within what EC2 grants (EC2 developer guide, "Request
/// throttling"): a token bucket an action, refilled at four fifths of the published rate (those of
/// machines: at all of it). When EC2 throttles all the same, the bucket goes down to 70 % of the
/// rate at which calls were sent, and grows back by 5 % a second.
class CallBudget {
 public:
  CallBudget(Clock& clock, const Log& log) : clock_(clock), log_(log) {}

  /// Ends when the call may be made: `resources` is how many machines it concerns.
  Task<> acquire(std::string action, CallPriority priority, int resources = 0);

  /// The same for a further request of a call that has begun, a repetition or a next page: it goes
  /// before the calls of its action that have not begun, so that its time is not spent on them.
  Task<> acquire_again(std::string action);

  /// How many machines a call of that action may concern right now, and when there is more.
  struct Room {
    int machines = 0;
    Duration more_in{};
  };
  [[nodiscard]] Room room(const std::string& action);

  /// Tells that a call took so many machines fewer than it had acquired: EC2 counts what it gave.
  void give_back(const std::string& action, int resources);

  /// Tells of an answer that said "too fast".
  void throttled(const std::string& action);

  struct Rate {
    double size;
    double refill;  ///< Tokens a second.
  };
  /// What EC2 publishes for an action; for one without an entry, the general buckets.
  [[nodiscard]] static Rate published_rate(const std::string& action);
  [[nodiscard]] static Rate published_resource_rate(const std::string& action);

 private:
  struct Bucket {
    double size = 0;
    double refill_max = 0;
    double refill = 0;
    double level = 0;
    Duration filled_at{};
    std::deque<Duration> sent;  // The last ten seconds' calls.
  };
  struct Waiter {
    CallPriority priority;
    bool has_begun;
    std::uint64_t number;
    std::string action;
  };

  Bucket& bucket_of(const std::string& name, Rate rate, double share);
  Bucket& requests_of(const std::string& action);
  /// None where EC2 counts no machines.
  Bucket* machines_of(const std::string& action);
  void fill(Bucket& bucket);
  /// How long until all that is needed is there; nothing if it is.
  [[nodiscard]] Duration missing_time(const std::string& action, int resources);
  [[nodiscard]] std::size_t waiting_before(const Waiter& waiter) const;
  Task<> take_turn(Waiter waiter, int resources);

  Clock& clock_;
  const Log& log_;
  std::map<std::string, Bucket> buckets_;
  std::vector<Waiter> waiters_;
  std::uint64_t next_number_ = 0;
};

/// The ports of a cloud behind a budget.
class BudgetedCloud : public Cloud, public CloudControl, public CloudCatalog {
 public:
  BudgetedCloud(Cloud& cloud, CloudControl& control, CloudCatalog& catalog, CallBudget& budget)
      : cloud_(cloud), control_(control), catalog_(catalog), budget_(budget) {}

  [[nodiscard]] FrozenCall freeze_launch(const LaunchSpec& spec,
                                         const ClientToken& token) const override {
    return cloud_.freeze_launch(spec, token);
  }
  [[nodiscard]] FrozenCall freeze_fleet(const FleetSpec& spec,
                                        const ClientToken& token) const override {
    return cloud_.freeze_fleet(spec, token);
  }
  Task<Result<LaunchAnswer>> launch(FrozenCall call) override;
  Task<Result<std::vector<CloudInstance>>> list_instances(InstanceFilter filter) override;
  Task<Status> terminate(std::vector<InstanceId> ids) override;
  Task<Status> stop(std::vector<InstanceId> ids, bool hibernates) override;
  Task<Status> start(std::vector<InstanceId> ids) override;
  Task<Status> tag(std::vector<std::string> resource_ids,
                   std::map<std::string, std::string> tags) override;
  Task<Result<std::string>> console_output(InstanceId id) override;
  Task<Status> modify(InstanceId id, InstanceChange change) override;
  Task<Result<std::vector<ImageView>>> find_images(std::string id_or_name,
                                                   std::string owner) override;
  Task<Result<std::vector<SubnetView>>> list_subnets(std::vector<std::string> ids) override;
  Task<Result<std::vector<GroupView>>> find_groups(std::vector<std::string> ids_or_names,
                                                   std::string vpc) override;
  Task<Result<std::vector<InstanceTypeView>>> list_types(std::vector<std::string> names) override;
  Task<Result<std::vector<OfferingView>>> list_offerings(std::vector<std::string> types) override;
  Task<Result<std::vector<SpotPriceView>>> spot_prices(std::vector<std::string> types) override;

 private:
  template <class T>
  Task<T> within_budget(std::string action, int resources, Task<T> call) {
    Task<> waiting = budget_.acquire(action, priority_of(action), resources);
    co_await std::move(waiting);
    T answer = co_await std::move(call);
    if (!answer && answer.error().kind == ErrorKind::throttled) budget_.throttled(action);
    co_return answer;
  }

  Cloud& cloud_;
  CloudControl& control_;
  CloudCatalog& catalog_;
  CallBudget& budget_;
};

}  // namespace muster
