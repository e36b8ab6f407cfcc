#include "cli/cloud_wiring.hpp"

#include <unistd.h>

#include "adapters/docker/docker_engine.hpp"
#include "adapters/http/stream_transport.hpp"
#include "adapters/system/files.hpp"
#include "cli/configuration.hpp"

#include <fmt/format.h>

namespace muster::cli {
namespace {

constexpr const char* kDockerSocket = "/var/run/docker.sock";

aws::Environment read_environment() {
  aws::Environment out;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry(*at);
    const std::size_t equals = entry.find('=');
    if (equals != std::string_view::npos) {
      out.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  return out;
}

}  // namespace

std::unique_ptr<Containers> DockerConnector::containers_of(Machine& machine) {
  class Opener : public StreamOpener {
   public:
    explicit Opener(Machine& used) : machine_(used) {}
    Task<Result<std::unique_ptr<ByteStream>>> open() override {
      Task<Result<std::unique_ptr<ByteStream>>> opening = machine_.open_unix(kDockerSocket);
      co_return co_await std::move(opening);
    }

   private:
    Machine& machine_;
  };
  class Engine : public docker::DockerEngine {
   public:
    Engine(std::unique_ptr<Opener> opener, std::unique_ptr<http::StreamTransport> transport)
        : docker::DockerEngine(*transport),
          opener_(std::move(opener)),
          transport_(std::move(transport)) {}

   private:
    std::unique_ptr<Opener> opener_;
    std::unique_ptr<http::StreamTransport> transport_;
  };
  auto opener = std::make_unique<Opener>(machine);
  auto transport = std::make_unique<http::StreamTransport>(*opener, clock_);
  return std::make_unique<Engine>(std::move(opener), std::move(transport));
}

CloudWiring::CloudWiring(Wiring& wiring, const Log& log, aws::Environment environment,
                         aws::Profile profile)
    : wiring_(wiring),
      log_(log),
      environment_(std::move(environment)),
      profile_(std::move(profile)),
      transport_(wiring.context.get_executor(),
                 {"muster/" MUSTER_VERSION, aws::ca_bundle(environment_, profile_)}),
      credentials_({transport_, wiring.clock, wiring.random, log,
                    [&wiring](std::vector<std::string> arguments) {
                      return system::run_program(wiring.context.get_executor(), wiring.clock,
                                                 std::move(arguments), std::chrono::seconds{60});
                    }},
                   environment_, profile_),
      budget_(wiring.clock, log) {}

Task<Status> CloudWiring::start(std::string region) {
  region_ = aws::find_region(region, environment_, profile_);
  const bool asks = aws::variable(environment_, "AWS_EC2_METADATA_DISABLED") != "true";
  if (region_.value.empty() && asks) {
    Task<Result<std::string>> asking = credentials_.instance_region();
    const Result<std::string> found = co_await std::move(asking);
    if (found) region_ = {*found, "instance metadata"};
  }
  if (region_.value.empty()) {
    co_return fail(ErrorKind::invalid_input,
                   "no region: neither muster.yml, AWS_REGION nor the profile names one",
                   "Set region in muster.yml, or AWS_REGION.", "E0203");
  }
  const Result<aws::Sourced> endpoint =
      aws::find_endpoint("ec2", region_.value, environment_, profile_);
  if (!endpoint) co_return tl::unexpected<Error>(endpoint.error());
  const Result<aws::Sourced> sts_endpoint =
      aws::find_endpoint("sts", region_.value, environment_, profile_);
  if (!sts_endpoint) co_return tl::unexpected<Error>(sts_endpoint.error());
  // The global endpoint of STS is signed for its own region.
  const bool is_global_sts = sts_endpoint->value == "https://sts.amazonaws.com";
  credentials_.use_sts({sts_endpoint->value, is_global_sts ? "us-east-1" : region_.value});
  aws::Ec2ClientOptions options{endpoint->value, region_.value};
  options.attempts_max = aws::attempts_max(environment_, profile_);
  options.before_repetition = [this](std::string action) {
    return budget_.acquire_again(std::move(action));
  };
  options.throttled = [this](const std::string& action) { budget_.throttled(action); };
  client_ = std::make_unique<aws::Ec2Client>(transport_, credentials_, wiring_.clock,
                                             wiring_.random, log_, options);
  ec2_ = std::make_unique<aws::Ec2Cloud>(*client_);
  cloud_ = std::make_unique<BudgetedCloud>(*ec2_, *ec2_, *ec2_, budget_);
  co_return Status();
}

Task<Result<std::unique_ptr<CloudWiring>>> connect_cloud(Wiring* wiring, const Log* log,
                                                         std::string profile, std::string region) {
  aws::Environment environment = read_environment();
  Result<aws::Profile> loaded = aws::load_profile(environment, profile);
  if (!loaded) co_return tl::unexpected<Error>(loaded.error());
  auto made =
      std::make_unique<CloudWiring>(*wiring, *log, std::move(environment), std::move(*loaded));
  Task<Status> starting = made->start(std::move(region));
  const Status started = co_await std::move(starting);
  if (!started) co_return tl::unexpected<Error>(started.error());
  co_return made;
}

Result<Secret> cluster_secret(Random& random) {
  const std::string path = state_folder() + "/cluster.secret";
  Result<std::string> text = system::read_or_create(path, random_hex(random, 64) + "\n", 0600);
  if (!text) {
    Error error = text.error();
    error.code = "E0303";
    error.remedy = "Set MUSTER_STATE to a folder that can be written.";
    return tl::unexpected<Error>(error);
  }
  while (text->ends_with('\n')) text->pop_back();
  if (text->size() < 32) {
    return fail(ErrorKind::corrupt, fmt::format("{} holds no secret", path),
                "Move it away; a new one is made.");
  }
  return Secret(std::move(*text));
}

}  // namespace muster::cli
