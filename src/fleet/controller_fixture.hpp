// A controller for unit tests, whose world answers as the test says.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fleet/controller.hpp"

namespace muster {

/// A controller with one pool of two offerings, and the world's answers by hand.
struct ControllerTest : testing::Test {
  Config config;
  TimePoint now{std::chrono::hours{500'000}};
  std::unique_ptr<Controller> controller;
  PlanInputs inputs;

  ControllerTest() { add_pool("linux", {"linux", "x64"}); }

  Pool& add_pool(const std::string& name, std::vector<std::string> labels) {
    Pool& pool = config.pools[name];
    pool.name = PoolName(name);
    pool.image = "ami-1";
    pool.types = {"a.large"};
    pool.labels = std::move(labels);
    return pool;
  }

  void start() {
    controller = std::make_unique<Controller>(config, 7);
    for (const auto& [name, pool] : config.pools) resolve(name);
  }
  void reload() { controller->apply(ConfigReplaced{config}, now); }
  void resolve(const std::string& pool) {
    PoolOffers offers;
    offers.settings = "s";
    offers.offerings = {{{"a.large", CapacityType::spot, "s1", "z1"}, 0.03, 2},
                        {{"a.large", CapacityType::on_demand, "s1", "z1"}, 0.10, 2}};
    controller->apply(PoolResolved{PoolName(pool), offers}, now);
  }

  /// Starts with another pool `large`, whose machines have so many vCPUs.
  void resolve_large(int vcpus) {
    add_pool("large", {"large"}).types = {"a.4xlarge"};
    start();
    PoolOffers offers;
    offers.settings = "s";
    offers.offerings = {{{"a.4xlarge", CapacityType::on_demand, "s1", "z1"}, 0.80, vcpus}};
    controller->apply(PoolResolved{PoolName("large"), offers}, now);
  }

  void queue(int count, const std::string& prefix = "j",
             std::vector<std::string> labels = {"linux"}, const std::string& repository = "o/r") {
    for (int i = 0; i < count; ++i) {
      CiJob job;
      job.id = prefix + std::to_string(i);
      job.labels = labels;
      job.repository = repository;
      job.queued_at = now;
      listed.push_back(job);
    }
    list();
  }
  /// A stopped instance of the pool `linux`, which keeps one.
  InstanceId make_stopped() {
    config.pools["linux"].stopped_count = 1;
    config.pools["linux"].on_demand = OnDemandRule::only;
    start();
    PoolOffers offers;
    offers.offerings = {{{"a.large", CapacityType::on_demand, "s1", "z1"}, 0.10, 2}};
    controller->apply(PoolResolved{PoolName("linux"), offers}, now);
    plan();
    const InstanceId id = answer_launches().at(0);
    make_ready(id);
    plan();
    EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopping);
    show(id, SeenInstance::State::stopped);
    EXPECT_EQ(controller->fleet().find(id)->phase, InstancePhase::stopped);
    return id;
  }
  /// Job j, which the CI server says is ours, and runs there.
  CiJob claim(const InstanceId& id) {
    CiJob job;
    job.id = "j";
    job.labels = {"linux"};
    job.state = CiJobState::claimed;
    job.lease = LeaseId("lea-9");
    job.instance = id;
    job.queued_at = now;
    listed = {job};
    return job;
  }

  /// An instance of the pool `linux`, as a listing shows it.
  static SeenInstance running(const std::string& id) {
    SeenInstance seen;
    seen.id = InstanceId(id);
    seen.state = SeenInstance::State::running;
    seen.pool = PoolName("linux");
    return seen;
  }
  void show(const InstanceId& id, SeenInstance::State state) {
    SeenInstance seen;
    seen.id = id;
    seen.state = state;
    controller->apply(InstancesListed{{seen}, now}, now);
  }

  void list() { controller->apply(JobsListed{"ci", listed, now}, now); }

  std::optional<TimePoint> plan() {
    inputs.now = now;
    return controller->plan(inputs);
  }

  std::vector<Intent> open_intents() {
    std::vector<Intent> open;
    for (const auto& [id, intent] : controller->fleet().intents()) {
      if (intent.state == IntentState::open) open.push_back(intent);
    }
    return open;
  }

  int planned() {
    int count = 0;
    for (const Intent& intent : open_intents()) count += intent.rest();
    return count;
  }

  /// Answers every launch; gives the instances.
  std::vector<InstanceId> answer_launches() {
    std::vector<InstanceId> ids;
    for (const Intent& intent : open_intents()) {
      LaunchAnswered answer;
      answer.intent = intent.id;
      for (int i = 0; i < intent.count; ++i) {
        SeenInstance made;
        made.id = InstanceId("i-" + std::to_string(++made_));
        made.offering = intent.offering;
        made.pool = intent.pool;
        ids.push_back(made.id);
        answer.instances.push_back(made);
      }
      controller->apply(answer, now);
    }
    return ids;
  }
  void make_ready(const InstanceId& id) { controller->apply(MachineReady{id, "key"}, now); }

  /// Starts, and a job waits for the instance that was launched for it and is ready.
  InstanceId start_with_one_for_a_job() {
    start();
    queue(1);
    plan();
    const InstanceId id = answer_launches().at(0);
    make_ready(id);
    return id;
  }

  WaitReason reason() {
    return controller->fleet().demand().empty()
               ? WaitReason{}
               : controller->fleet().demand().begin()->second.reason;
  }
  int count_of(InstancePhase phase) {
    int count = 0;
    for (const auto& [id, one] : controller->fleet().instances()) count += one.phase == phase;
    return count;
  }
  /// A job through all of its life on an instance.
  void finish_lease(const LeaseId& id, JobOutcome outcome = JobOutcome::passed) {
    controller->apply(LeaseAccepted{id}, now);
    controller->apply(LeaseStarting{id}, now);
    controller->apply(LeaseFinished{id, outcome, 0, ""}, now);
    controller->apply(LeaseReported{id}, now);
  }

  std::vector<CiJob> listed;
  int made_ = 0;
};

}  // namespace muster
