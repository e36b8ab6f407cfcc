#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "fleet/controller.hpp"

// A hundred thousand machines with a job each, and as many jobs that wait: how long one planning
// pass takes, and how much memory each costs. usage: planner_bench [COUNT]

namespace {

using namespace muster;
using namespace std::chrono_literals;
using Watch = std::chrono::steady_clock;

/// Resident memory, KiB, without what was given back.
long resident() {
  malloc_trim(0);
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "VmRSS:") continue;
    long kib = 0;
    status >> kib;
    return kib;
  }
  return 0;
}

Config make_config(int count) {
  Config config;
  for (int number = 0; number < 10; ++number) {
    Pool pool;
    pool.name = PoolName(fmt::format("linux-{}", number));
    pool.image = "ami";
    pool.types = {"m7i.large"};
    pool.labels = {"linux", fmt::format("size-{}", number)};
    pool.max_instances = count / 10;
    config.pools[pool.name.value()] = pool;
  }
  return config;
}

CiJob make_job(int number) {
  CiJob job;
  job.id = fmt::format("{:08}-job", number);
  job.labels = {"linux", fmt::format("size-{}", number % 10)};
  job.repository = fmt::format("owner-{}/repository-{}", number % 40, number % 200);
  return job;
}

template <class Work>
double millis_of(const Work& work) {
  const auto begin = Watch::now();
  work();
  return std::chrono::duration<double, std::milli>(Watch::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 100'000;
  const long before = resident();
  TimePoint now{std::chrono::hours(24 * 20'000)};
  Controller controller(make_config(count), 1);
  PlanInputs inputs;
  inputs.run = inputs.fleet = {count, now};
  for (const auto& [name, pool] : controller.config().pools) {
    PoolResolved resolved;
    resolved.pool = pool.name;
    resolved.offers.offerings = {
        {{"m7i.large", CapacityType::on_demand, "subnet-1", "us-east-1a"}, 0.1, 2}};
    controller.apply(resolved, now);
  }
  const auto plan = [&] {
    inputs.now = now;
    return controller.plan(inputs);
  };
  // First every machine gets a job of its own, then as many more jobs come.
  std::vector<CiJob> jobs;
  for (int i = 0; i < count; ++i) jobs.push_back(make_job(i));
  controller.apply(JobsTold{"ci", jobs}, now);
  int made = 0;
  while (made < count) {
    plan();
    std::vector<LaunchAnswered> answers;
    for (const auto& [id, intent] : controller.fleet().intents()) {
      if (intent.state != IntentState::open) continue;
      LaunchAnswered answer;
      answer.intent = id;
      for (int i = 0; i < intent.count; ++i) {
        SeenInstance seen;
        seen.id = InstanceId(fmt::format("i-{:017x}", ++made));
        seen.pool = intent.pool;
        seen.offering = intent.offering;
        seen.intent = id;
        answer.instances.push_back(seen);
      }
      answers.push_back(std::move(answer));
    }
    for (const LaunchAnswered& answer : answers) {
      controller.apply(answer, now);
      for (const SeenInstance& one : answer.instances) {
        controller.apply(MachineReady{one.id, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFoo", false},
                         now);
      }
    }
    if (answers.empty()) now += 1s;
    static_cast<void>(controller.take_changes());
  }
  plan();
  static_cast<void>(controller.take_changes());
  int busy = 0;
  std::vector<LeaseId> leases;
  for (const auto& [id, instance] : controller.fleet().instances()) {
    busy += instance.phase == InstancePhase::busy ? 1 : 0;
    if (!instance.lease.empty()) leases.push_back(instance.lease);
  }
  for (const LeaseId& lease : leases) {
    controller.apply(LeaseAccepted{lease}, now);
    controller.apply(LeaseStarting{lease}, now);
  }
  leases.clear();
  leases.shrink_to_fit();
  jobs.clear();
  jobs.shrink_to_fit();
  plan();
  static_cast<void>(controller.take_changes());
  const long with_machines = resident();
  for (int i = 0; i < count; ++i) jobs.push_back(make_job(count + i));
  const double told = millis_of([&] { controller.apply(JobsTold{"ci", jobs}, now); });
  jobs.clear();
  jobs.shrink_to_fit();
  const double first = millis_of(plan);
  static_cast<void>(controller.take_changes());
  std::vector<double> passes;
  for (int i = 0; i < 20; ++i) {
    now += 1s;
    passes.push_back(millis_of(plan));
    static_cast<void>(controller.take_changes());
  }
  std::sort(passes.begin(), passes.end());
  const long with_jobs = resident();
  const auto each = [&](long kib) { return static_cast<double>(kib) * 1024 / count; };
  fmt::print(
      "{} machines ({} busy), {} jobs queued: first pass {:.1f} ms, further p50 {:.2f} ms, worst "
      "{:.2f} ms\n",
      made, busy, count, first, passes[passes.size() / 2], passes.back());
  fmt::print("taking in the news of {} jobs: {:.0f} ms\n", count, told);
  fmt::print("memory: {:.0f} bytes for a machine with its job and lease, {:.0f} for a queued job\n",
             each(with_machines - before), each(with_jobs - with_machines));
}
