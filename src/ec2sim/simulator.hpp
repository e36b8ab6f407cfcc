#pragma once

#include <map>
#include <memory>
#include <string>

#include "adapters/http/server.hpp"
#include "base/log.hpp"
#include "base/task_scope.hpp"
#include "ec2model/model.hpp"
#include "ec2sim/authenticator.hpp"
#include "ec2sim/ec2_api.hpp"
#include "ec2sim/ledger_file.hpp"
#include "ec2sim/machine_host.hpp"
#include "ec2sim/metadata_service.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"

namespace ec2sim {

struct SimulatorOptions {
  std::string listen = "127.0.0.1:0";
  std::string state_dir;
  std::string name;
  std::string image_root = "/";
  std::uint64_t seed = 0;
  bool has_second_vpc = false;
  bool has_default_vpc = true;
  bool throttles = true;
  bool hides_console = false;  ///< GetConsoleOutput stays empty.
  int vcpu_quota = 1152;
  int spot_vcpu_quota = 1152;
  std::vector<std::string> denied_actions;
  std::vector<std::string> full_offerings;
};

/// The whole simulator: the API, the machines, their metadata and names, and the ledger.
class Simulator {
 public:
  Simulator(boost::asio::any_io_executor executor, muster::Clock& clock, muster::Random& random,
            const muster::Log& log, SimulatorOptions options);

  /// Takes the state directory, makes the network and starts to serve. Errors: conflict (another
  /// simulator lives there), and those of MachineHost.
  muster::Status start();

  /// The lines that tell a shell how to reach it.
  [[nodiscard]] std::string variables() const;

  /// Ends every machine, then everything else.
  muster::Task<> stop();

 private:
  muster::Status lock_state();
  void close_old_entries();
  void carry_out();
  void note_ends();
  muster::Task<> carry_out_soon();

  boost::asio::any_io_executor executor_;
  muster::Clock& clock_;
  const muster::Log& log_;
  SimulatorOptions options_;
  muster::wire::AwsCredentials user_;
  muster::wire::AwsCredentials role_;
  std::unique_ptr<ec2model::Model> model_;
  std::unique_ptr<MachineHost> host_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<Ec2Api> api_;
  std::unique_ptr<MetadataService> metadata_;
  std::unique_ptr<muster::http::Server> api_server_;
  std::unique_ptr<muster::http::Server> metadata_server_;
  std::unique_ptr<LedgerFile> ledger_file_;
  std::map<std::string, std::string> last_consoles_;
  std::map<std::string, bool> noted_ends_;
  muster::TaskScope tasks_;
  std::string endpoint_;
  int lock_ = -1;
};

}  // namespace ec2sim
