#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ports/ci_server.hpp"
#include "ports/cloud.hpp"
#include "ports/fleet_store.hpp"
#include "ports/machine.hpp"
#include "ports/store.hpp"
#include "service/job_output.hpp"
#include "simulation/sim_world.hpp"

namespace muster::simulation {

/// The way from one incarnation of the process to a part of the world. After a crash nothing of
/// that incarnation acts or returns any more.
class Link {
 public:
  enum class To { cloud, ci, store, machine };
  Link(SimWorld& world, To to) : world_(world), incarnation_(world.incarnation()), to_(to) {}

  /// The request's way: with it the caller may act. Absent error: it has arrived. `what` outlives
  /// the wait.
  Task<std::optional<Error>> send(const char* what, Duration latency);
  /// The answer's way. Absent error: it has arrived.
  Task<std::optional<Error>> receive(const char* what, Duration latency);
  [[nodiscard]] long incarnation() const { return incarnation_; }

 private:
  [[nodiscard]] bool is_over() const {
    return world_.incarnation() != incarnation_ || world_.is_crashed();
  }
  [[nodiscard]] bool is_cut();

  SimWorld& world_;
  long incarnation_;
  To to_;
};

/// EC2, by its model. A fleet needs no template here: what it would say is in the call.
class SimCloud : public Cloud, public CloudControl, public CloudCatalog, public CloudResources {
 public:
  explicit SimCloud(SimWorld& world, int serialization = 1)
      : world_(world), link_(world, Link::To::cloud), serialization_(serialization) {}

  [[nodiscard]] FrozenCall freeze_launch(const LaunchSpec& spec,
                                         const ClientToken& token) const override;
  [[nodiscard]] FrozenCall freeze_fleet(const FleetSpec& spec,
                                        const ClientToken& token) const override;
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
  Task<Result<TemplateRef>> save_template(std::string name, LaunchSpec spec,
                                          ClientToken token) override;
  Task<Result<std::vector<TemplateView>>> list_templates(std::vector<std::string> names) override;
  Task<Status> delete_template(std::string id) override;
  Task<Result<KeyPairView>> import_key(std::string name, std::string public_key,
                                       std::map<std::string, std::string> tags) override;
  Task<Status> delete_key(std::string name) override;
  Task<Result<std::vector<VolumeView>>> list_volumes(std::string tag, std::string value) override;
  Task<Result<std::vector<InterfaceView>>> list_interfaces(std::string tag,
                                                           std::string value) override;

 private:
  /// One call: there, the work, and back.
  template <class T, class Act>
  Task<Result<T>> call(std::string action, Act act);
  [[nodiscard]] std::optional<Error> refusal(const std::string& action);
  Result<LaunchAnswer> run(const FrozenCall& call);
  Result<LaunchAnswer> run_fleet(const FrozenCall& call);
  Result<LaunchAnswer> answer_of(const std::vector<std::string>& ids);
  [[nodiscard]] CloudInstance view_of(const ec2model::Instance& instance, bool is_stale) const;

  SimWorld& world_;
  Link link_;
  int serialization_;
};

/// The CI server of the simulation.
class SimCi : public CiServer {
 public:
  explicit SimCi(SimWorld& world) : world_(world), link_(world, Link::To::ci) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  Task<Result<std::vector<CiJob>>> list_jobs() override;
  Task<CiNews> wait_for_news(Duration time_max) override;
  Task<Result<WorkOrder>> claim(std::string job, LeaseId lease, InstanceId instance) override;
  Task<Status> give_back(std::string job, LeaseId lease) override;
  Task<Status> finish(std::string job, LeaseId lease, JobResult result) override;

 private:
  [[nodiscard]] CiJob view_of(const SimJob& job) const;

  SimWorld& world_;
  Link link_;
  std::string name_ = "sim";
  std::vector<CiJob> last_;
  std::size_t news_seen_ = 0;  // As of the last listing or news.
};

/// What was committed outlives the process.
class SimStore : public FleetStore, public RunStore {
 public:
  explicit SimStore(SimWorld& world) : world_(world), link_(world, Link::To::store) {}
  Task<Result<StoredFleet>> load_fleet() override;
  Task<Status> commit(FleetCommit commit) override;
  Task<Status> add_run(RunRecord) override { co_return Status(); }
  Task<Status> set_run_state(RunId, RunState) override { co_return Status(); }
  Task<Status> set_run_host_keys(RunId, std::string) override { co_return Status(); }
  Task<Status> forget_run_plan(RunId) override { co_return Status(); }
  Task<Result<RunRecord>> find_run(RunId) override {
    co_return fail(ErrorKind::not_found, "there are no runs here");
  }
  Task<Result<std::vector<RunRecord>>> list_open_runs(int) override {
    co_return std::vector<RunRecord>{};
  }
  Task<Status> save_step(RunId id, StepRecord step) override;
  Task<Result<std::vector<StepRecord>>> steps_of(RunId id) override;

 private:
  SimWorld& world_;
  Link link_;
};

/// The way into simulated machines, which understand what muster's own code says to them.
class SimConnector : public MachineConnector, public ContainersConnector {
 public:
  explicit SimConnector(SimWorld& world) : world_(world), link_(world, Link::To::machine) {}
  Task<Result<std::unique_ptr<Machine>>> connect(MachineTarget target, Duration time_max) override;
  Task<Status> knock(std::string address, int port, Duration time_max) override;
  std::unique_ptr<Containers> containers_of(Machine& machine) override;

 private:
  SimWorld& world_;
  Link link_;
};

/// Output of jobs goes nowhere.
class NoOutput : public JobOutput {
 public:
  std::unique_ptr<RunObserver> open(const Job& job, const LeaseId& lease) override;
};

}  // namespace muster::simulation
