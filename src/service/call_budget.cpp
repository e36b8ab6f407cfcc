#include "service/call_budget.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace muster {
namespace {

using namespace std::chrono_literals;

constexpr double kShare = 0.8;      // Of what EC2 grants: others call too.
constexpr double kCutTo = 0.7;      // Of the rate at which it was too fast.
constexpr double kGrowth = 0.05;    // A second.
constexpr double kRefillMin = 0.5;  // Tokens a second.
constexpr auto kMeasured = 10s;
constexpr Duration kLookAgain = 5ms;  // Behind others that wait.

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

CallBudget::Rate CallBudget::published_rate(const std::string& action) {
  static const std::map<std::string_view, Rate> rates{
      {"RunInstances", {5, 2}},
      {"StartInstances", {5, 2}},
      {"TerminateInstances", {100, 5}},
      {"CreateTags", {100, 10}},
      {"DeleteTags", {100, 10}},
      {"CreateLaunchTemplateVersion", {100, 5}},
      {"ModifyLaunchTemplate", {100, 5}},
      {"DeleteVolume", {100, 5}},
      {"DeleteNetworkInterface", {100, 5}},
  };
  const auto found = rates.find(action);
  if (found != rates.end()) return found->second;
  if (action.starts_with("Describe") || action.starts_with("Get")) return {100, 20};
  return {50, 5};
}

CallBudget::Rate CallBudget::published_resource_rate(const std::string& action) {
  if (action == "RunInstances" || action == "StartInstances") return {1000, 2};
  if (action == "StopInstances" || action == "TerminateInstances") return {1000, 20};
  return {0, 0};  // None.
}

CallBudget::Bucket& CallBudget::bucket_of(const std::string& name, Rate rate, double share) {
  const auto [place, is_new] = buckets_.try_emplace(name);
  Bucket& bucket = place->second;
  if (is_new) {
    bucket.size = std::max(1.0, rate.size);  // Bursts are what a bucket is for.
    bucket.refill_max = rate.refill * share;
    bucket.refill = bucket.refill_max;
    bucket.level = bucket.size;
    bucket.filled_at = clock_.monotonic();
  }
  return bucket;
}

CallBudget::Bucket& CallBudget::requests_of(const std::string& action) {
  Bucket& bucket = bucket_of(action, published_rate(action), kShare);
  fill(bucket);
  return bucket;
}

CallBudget::Bucket* CallBudget::machines_of(const std::string& action) {
  const Rate rate = published_resource_rate(action);
  if (rate.size <= 0) return nullptr;
  // Nobody else launches machines at the rate at which others ask questions: all of it is ours.
  Bucket& bucket = bucket_of(action + " machines", rate, 1);
  fill(bucket);
  return &bucket;
}

CallBudget::Room CallBudget::room(const std::string& action) {
  constexpr int kMany = 1 << 20;
  const auto time_for = [](const Bucket& bucket, double level) {
    const double seconds = std::max(0.0, level - bucket.level) / bucket.refill;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)) + 1ms;
  };
  const Bucket& requests = requests_of(action);
  Room room{kMany, time_for(requests, 1)};
  if (const Bucket* machines = machines_of(action)) {
    room.machines = static_cast<int>(std::max(0.0, std::floor(machines->level + 1e-9)));
    room.more_in = std::max(room.more_in, time_for(*machines, std::floor(machines->level) + 1));
  }
  if (requests.level + 1e-9 < 1) room.machines = 0;
  return room;
}

void CallBudget::fill(Bucket& bucket) {
  const Duration now = clock_.monotonic();
  const double elapsed = seconds_of(now - bucket.filled_at);
  bucket.filled_at = now;
  bucket.level = std::min(bucket.size, bucket.level + elapsed * bucket.refill);
  bucket.refill = std::min(bucket.refill_max, bucket.refill * (1 + kGrowth * elapsed));
  while (!bucket.sent.empty() && now - bucket.sent.front() > kMeasured) bucket.sent.pop_front();
}

Duration CallBudget::missing_time(const std::string& action, int resources) {
  const auto wait_for = [](const Bucket& bucket, double wanted) {
    // More than a bucket holds can only be had by letting it run dry.
    const double needed = std::min(wanted, bucket.size);
    if (bucket.level + 1e-9 >= needed) return Duration{0};
    const double seconds = (needed - bucket.level) / bucket.refill;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)) + 1us;
  };
  Duration wait = wait_for(requests_of(action), 1);
  const Bucket* machines = resources > 0 ? machines_of(action) : nullptr;
  if (machines != nullptr) wait = std::max(wait, wait_for(*machines, resources));
  return wait;
}

std::size_t CallBudget::waiting_before(const Waiter& waiter) const {
  const auto count = std::count_if(waiters_.begin(), waiters_.end(), [&](const Waiter& other) {
    if (other.action != waiter.action || other.number == waiter.number) return false;
    if (other.priority != waiter.priority) return other.priority < waiter.priority;
    if (other.has_begun != waiter.has_begun) return other.has_begun;
    return other.number < waiter.number;
  });
  return static_cast<std::size_t>(count);
}

CallPriority priority_of(const std::string& action) {
  static const std::map<std::string, CallPriority> table{
      {"TerminateInstances", CallPriority::terminate}, {"StopInstances", CallPriority::terminate},
      {"RunInstances", CallPriority::launch},          {"CreateFleet", CallPriority::launch},
      {"StartInstances", CallPriority::start},         {"CreateTags", CallPriority::tag}};
  const auto found = table.find(action);
  if (found != table.end()) return found->second;
  const bool is_question = action.starts_with("Describe") || action.starts_with("Get");
  return is_question ? CallPriority::describe : CallPriority::housekeeping;
}

Task<> CallBudget::acquire(std::string action, CallPriority priority, int resources) {
  return take_turn({priority, false, next_number_++, std::move(action)}, resources);
}

Task<> CallBudget::acquire_again(std::string action) {
  const CallPriority priority = priority_of(action);
  return take_turn({priority, true, next_number_++, std::move(action)}, 0);
}

Task<> CallBudget::take_turn(Waiter waiter, int resources) {
  const std::string& action = waiter.action;
  /// Takes the waiter out again, also when it is cancelled.
  struct Place {
    Place(std::vector<Waiter>& in, const Waiter& who) : waiters(in), number(who.number) {
      waiters.push_back(who);
    }
    ~Place() {
      std::erase_if(waiters, [&](const Waiter& one) { return one.number == number; });
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    std::vector<Waiter>& waiters;
    std::uint64_t number;
  };
  const Place place(waiters_, waiter);
  while (true) {
    if (const std::size_t before = waiting_before(waiter); before > 0) {
      // Far behind there is no need to look often.
      const double turn = static_cast<double>(before) / requests_of(action).refill_max;
      const auto nap =
          std::chrono::duration_cast<Duration>(std::chrono::duration<double>(turn / 4));
      co_await clock_.sleep(std::clamp<Duration>(nap, kLookAgain, 1s));
      continue;
    }
    const Duration wait = missing_time(action, resources);
    if (wait.count() == 0) break;
    // In short naps: someone more urgent may come.
    co_await clock_.sleep(std::min<Duration>(wait, 50ms));
  }
  Bucket& requests = requests_of(action);
  requests.level -= 1;
  requests.sent.push_back(clock_.monotonic());
  Bucket* machines = resources > 0 ? machines_of(action) : nullptr;
  if (machines != nullptr) machines->level -= resources;
}

void CallBudget::give_back(const std::string& action, int resources) {
  Bucket* machines = resources > 0 ? machines_of(action) : nullptr;
  if (machines != nullptr) machines->level = std::min(machines->size, machines->level + resources);
}

void CallBudget::throttled(const std::string& action) {
  Bucket& bucket = requests_of(action);
  const double sent_rate = static_cast<double>(bucket.sent.size()) / seconds_of(kMeasured);
  bucket.refill = std::clamp(sent_rate * kCutTo, kRefillMin, bucket.refill_max);
  bucket.level = std::min(bucket.level, 0.0);
  log_.warn("call_budget_cut", {{"action", action}, {"calls", bucket.sent.size()}});
}

Task<Result<LaunchAnswer>> BudgetedCloud::launch(FrozenCall call) {
  const int count = call.count;
  const std::string action = call.action;
  Task<Result<LaunchAnswer>> launching = cloud_.launch(std::move(call));
  Task<Result<LaunchAnswer>> within = within_budget(action, count, std::move(launching));
  Result<LaunchAnswer> answer = co_await std::move(within);
  if (answer) {
    // Too few for want of room, or because its own count is behind ours: half of the rest finds
    // out.
    budget_.give_back(action, (count - static_cast<int>(answer->instances.size())) / 2);
  } else if (!may_have_acted(answer.error().kind) && answer.error().kind != ErrorKind::throttled) {
    budget_.give_back(action, count);
  }
  co_return answer;
}

Task<Result<std::vector<CloudInstance>>> BudgetedCloud::list_instances(InstanceFilter filter) {
  Task<Result<std::vector<CloudInstance>>> listing = cloud_.list_instances(std::move(filter));
  Task<Result<std::vector<CloudInstance>>> within =
      within_budget("DescribeInstances", 0, std::move(listing));
  co_return co_await std::move(within);
}

Task<Status> BudgetedCloud::terminate(std::vector<InstanceId> ids) {
  const int count = static_cast<int>(ids.size());
  Task<Status> ending = cloud_.terminate(std::move(ids));
  Task<Status> within = within_budget("TerminateInstances", count, std::move(ending));
  co_return co_await std::move(within);
}

Task<Status> BudgetedCloud::stop(std::vector<InstanceId> ids, bool hibernates) {
  const int count = static_cast<int>(ids.size());
  Task<Status> stopping = cloud_.stop(std::move(ids), hibernates);
  Task<Status> within = within_budget("StopInstances", count, std::move(stopping));
  co_return co_await std::move(within);
}

Task<Status> BudgetedCloud::start(std::vector<InstanceId> ids) {
  const int count = static_cast<int>(ids.size());
  Task<Status> starting = cloud_.start(std::move(ids));
  Task<Status> within = within_budget("StartInstances", count, std::move(starting));
  co_return co_await std::move(within);
}

Task<Status> BudgetedCloud::tag(std::vector<std::string> resource_ids,
                                std::map<std::string, std::string> tags) {
  Task<Status> tagging = control_.tag(std::move(resource_ids), std::move(tags));
  Task<Status> within = within_budget("CreateTags", 0, std::move(tagging));
  co_return co_await std::move(within);
}

Task<Result<std::string>> BudgetedCloud::console_output(InstanceId id) {
  Task<Result<std::string>> reading = control_.console_output(std::move(id));
  Task<Result<std::string>> within = within_budget("GetConsoleOutput", 0, std::move(reading));
  co_return co_await std::move(within);
}

Task<Status> BudgetedCloud::modify(InstanceId id, InstanceChange change) {
  Task<Status> changing = control_.modify(std::move(id), std::move(change));
  Task<Status> within = within_budget("ModifyInstanceAttribute", 0, std::move(changing));
  co_return co_await std::move(within);
}

Task<Result<std::vector<ImageView>>> BudgetedCloud::find_images(std::string id_or_name,
                                                                std::string owner) {
  Task<Result<std::vector<ImageView>>> finding =
      catalog_.find_images(std::move(id_or_name), std::move(owner));
  Task<Result<std::vector<ImageView>>> within =
      within_budget("DescribeImages", 0, std::move(finding));
  co_return co_await std::move(within);
}

Task<Result<std::vector<SubnetView>>> BudgetedCloud::list_subnets(std::vector<std::string> ids) {
  Task<Result<std::vector<SubnetView>>> listing = catalog_.list_subnets(std::move(ids));
  Task<Result<std::vector<SubnetView>>> within =
      within_budget("DescribeSubnets", 0, std::move(listing));
  co_return co_await std::move(within);
}

Task<Result<std::vector<GroupView>>> BudgetedCloud::find_groups(
    std::vector<std::string> ids_or_names, std::string vpc) {
  Task<Result<std::vector<GroupView>>> finding =
      catalog_.find_groups(std::move(ids_or_names), std::move(vpc));
  Task<Result<std::vector<GroupView>>> within =
      within_budget("DescribeSecurityGroups", 0, std::move(finding));
  co_return co_await std::move(within);
}

Task<Result<std::vector<InstanceTypeView>>> BudgetedCloud::list_types(
    std::vector<std::string> names) {
  Task<Result<std::vector<InstanceTypeView>>> listing = catalog_.list_types(std::move(names));
  Task<Result<std::vector<InstanceTypeView>>> within =
      within_budget("DescribeInstanceTypes", 0, std::move(listing));
  co_return co_await std::move(within);
}

Task<Result<std::vector<OfferingView>>> BudgetedCloud::list_offerings(
    std::vector<std::string> types) {
  Task<Result<std::vector<OfferingView>>> listing = catalog_.list_offerings(std::move(types));
  Task<Result<std::vector<OfferingView>>> within =
      within_budget("DescribeInstanceTypeOfferings", 0, std::move(listing));
  co_return co_await std::move(within);
}

Task<Result<std::vector<SpotPriceView>>> BudgetedCloud::spot_prices(
    std::vector<std::string> types) {
  Task<Result<std::vector<SpotPriceView>>> listing = catalog_.spot_prices(std::move(types));
  Task<Result<std::vector<SpotPriceView>>> within =
      within_budget("DescribeSpotPriceHistory", 0, std::move(listing));
  co_return co_await std::move(within);
}

}  // namespace muster
