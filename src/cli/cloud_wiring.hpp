#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "adapters/aws/credentials.hpp"
#include "adapters/aws/ec2_client.hpp"
#include "adapters/aws/ec2_cloud.hpp"
#include "adapters/aws/endpoint.hpp"
#include "adapters/http/curl_transport.hpp"
#include "adapters/system/program.hpp"
#include "adapters/system/real_clock.hpp"
#include "ports/machine.hpp"
#include "service/call_budget.hpp"

namespace muster::cli {

/// The engine of a machine through its unix socket, over SSH.
class DockerConnector : public ContainersConnector {
 public:
  explicit DockerConnector(Clock& clock) : clock_(clock) {}
  std::unique_ptr<Containers> containers_of(Machine& machine) override;

 private:
  Clock& clock_;
};

/// Everything that does not depend on where it runs, made in the order in which it depends on each
/// other.
struct Wiring {
  boost::asio::io_context context{1};
  system::RealClock clock{context.get_executor()};
  system::SystemRandom random;
  DockerConnector docker{clock};
};

/// The way to EC2, with credentials and budget.
class CloudWiring {
 public:
  /// `region` may be empty for no longer than `find_region` has not run.
  CloudWiring(Wiring& wiring, const Log& log, aws::Environment environment, aws::Profile profile);

  /// Finds region and endpoints. Errors: invalid_input with code E0203 (no region).
  Task<Status> start(std::string region);

  [[nodiscard]] BudgetedCloud& cloud() { return *cloud_; }
  [[nodiscard]] CloudResources& resources() { return *ec2_; }
  [[nodiscard]] CallBudget& budget() { return budget_; }
  [[nodiscard]] HttpTransport& transport() { return transport_; }
  [[nodiscard]] const aws::Sourced& region() const { return region_; }

 private:
  Wiring& wiring_;
  const Log& log_;
  aws::Environment environment_;
  aws::Profile profile_;
  http::CurlTransport transport_;
  aws::CredentialsChain credentials_;
  aws::Sourced region_;
  CallBudget budget_;
  std::unique_ptr<aws::Ec2Client> client_;
  std::unique_ptr<aws::Ec2Cloud> ec2_;
  std::unique_ptr<BudgetedCloud> cloud_;
};

/// Errors: those of the profile, of the region and of the endpoints.
Task<Result<std::unique_ptr<CloudWiring>>> connect_cloud(Wiring* wiring, const Log* log,
                                                         std::string profile, std::string region);

/// The secret from which the keys of all machines are made; a new one where there is none.
/// Errors: unavailable, corrupt.
[[nodiscard]] Result<Secret> cluster_secret(Random& random);

}  // namespace muster::cli
