#include <fmt/format.h>

#include <csignal>
#include <cstdlib>

#include "adapters/http/curl_transport.hpp"
#include "cli/daemon_command.hpp"
#include "test_ci.hpp"

// The daemon with one more source of jobs: the CI server of tests/ci_server at MUSTER_TEST_CI.

namespace muster::test {
namespace {

/// The adapter with its own way out.
class OwnTestCi : public TestCi {
 public:
  OwnTestCi(std::unique_ptr<http::CurlTransport> transport, Clock& clock, std::string url)
      : TestCi(*transport, clock, std::move(url)), transport_(std::move(transport)) {}

 private:
  std::unique_ptr<http::CurlTransport> transport_;
};

}  // namespace
}  // namespace muster::test

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  const char* url = std::getenv("MUSTER_TEST_CI");
  if (url == nullptr) {
    fmt::print(stderr, "MUSTER_TEST_CI names no CI server\n");
    return 2;
  }
  muster::cli::CommonFlags common;
  common.log_level = "info";
  return muster::cli::run_daemon(common, {}, [url](muster::cli::Wiring& wiring) {
    auto transport = std::make_unique<muster::http::CurlTransport>(
        wiring.context.get_executor(), muster::http::CurlOptions{"muster-test", ""});
    return std::make_unique<muster::test::OwnTestCi>(std::move(transport), wiring.clock, url);
  });
}
