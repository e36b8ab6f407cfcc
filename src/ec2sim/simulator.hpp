#pragma once

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>

#include "adapters/http/server.hpp"
#include "base/log.hpp"
#include "base/task.hpp"
#include "base/task_scope.hpp"
#include "ec2sim/admin_api.hpp"
#include "ec2sim/gateway.hpp"
#include "ec2sim/ledger_file.hpp"
#include "ec2sim/machine_host.hpp"
#include "ec2sim/metadata_service.hpp"
#include "ec2sim/process_host.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"

namespace ec2sim {

struct SimulatorOptions {
  std::string listen = "127.0.0.1:0";
  std::string state_dir;
  std::string name;
  std::string image_root = "/";
  std::string world_file;
  ec2model::MachineKind machines = ec2model::MachineKind::namespaces;
  int ssh_port = 2222;  ///< Of machines of kind process.
  std::uint64_t seed = 0;
  bool has_second_vpc = false;
  bool has_default_vpc = true;
  bool throttles = true;
  bool hides_console = false;  ///< GetConsoleOutput stays empty.
  std::optional<int> vcpu_quota;
  std::optional<int> spot_vcpu_quota;
  std::optional<ec2model::Distribution> boot_time;
  std::vector<std::string> denied_actions;
  std::vector<std::string> full_offerings;
  std::vector<std::string> faults;  ///< `NAME=VALUE`
};

/// The whole simulator: the APIs, the machines, their metadata and names, and the ledger.
class Simulator {
 public:
  Simulator(muster::Executor executor, muster::Clock& clock, muster::Random& random,
            const muster::Log& log, SimulatorOptions options);

  /// Takes the state directory, makes the network and starts to serve. Errors: conflict (another
  /// simulator lives there), invalid_input (world file, faults), and those of the hosts.
  muster::Status start();

  /// The lines that tell a shell how to reach it.
  [[nodiscard]] std::string variables() const;

  /// Ends every machine, then everything else.
  muster::Task<> stop();

 private:
  muster::Status lock_state();
  muster::Status make_hosts();
  muster::Result<Settings> make_settings();
  muster::Status apply_options(ec2model::World& world) const;
  muster::Status add_keys();
  muster::Status serve();
  muster::Status serve_names();
  void close_old_entries();
  bool machine_ended(const std::string& id, MachineEnd how, const std::string& console);
  [[nodiscard]] Machines* host_of(ec2model::MachineKind kind);
  void start_machine(Universe::Region& region, const ec2model::Instance& instance);
  void carry_out();
  void note_ledger(Universe::Region& region);
  void arm_timer();
  void reset();
  [[nodiscard]] std::string console_of(const std::string& id);
  muster::Task<> carry_out_soon();

  muster::Executor executor_;
  muster::Clock& clock_;
  muster::Random& random_;
  const muster::Log& log_;
  SimulatorOptions options_;
  unsigned second_octet_ = 0;
  AccessKey user_key_;
  std::unique_ptr<Universe> universe_;
  std::unique_ptr<MachineHost> host_;
  std::unique_ptr<ProcessHost> processes_;
  Authenticator authenticator_;
  std::unique_ptr<Ec2Api> ec2_;
  std::unique_ptr<StsApi> sts_;
  std::unique_ptr<SsmApi> ssm_;
  std::unique_ptr<InstanceConnectApi> connect_;
  std::unique_ptr<AdminApi> admin_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<MetadataService> metadata_;
  std::unique_ptr<InnerGateway> inner_gateway_;
  std::unique_ptr<muster::http::Server> api_server_;
  std::unique_ptr<muster::http::Server> inner_server_;  ///< The API as machines see it.
  std::unique_ptr<muster::http::Server> metadata_server_;
  std::unique_ptr<LedgerFile> ledger_file_;
  std::map<std::string, std::string> last_consoles_;
  std::map<std::string, bool> known_;  // Machines in the ledger file; true: ended.
  std::map<std::string, bool> known_stopped_;
  boost::asio::steady_timer timer_;
  muster::TaskScope tasks_;
  std::string endpoint_;
  int lock_ = -1;
  int octet_lock_ = -1;
  bool is_carrying_out_ = false;
};

}  // namespace ec2sim
