#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cli/daemon_command.hpp"
#include "ports/ci_server.hpp"

// From a job's news at the port of CI servers to the launch request at EC2's socket, with the
// commit to the store in between: the whole daemon runs, and a relay before the simulator sees when
// each request arrives. usage: reaction_bench JOBS, with AWS_ENDPOINT_URL at a simulator.

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// When things happened, across threads.
class Times {
 public:
  void add() {
    const std::scoped_lock lock(mutex_);
    at_.push_back(Clock::now());
  }
  [[nodiscard]] std::vector<Clock::time_point> all() const {
    const std::scoped_lock lock(mutex_);
    return at_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Clock::time_point> at_;
};

Times told;
Times asked;

void pass_on(int from, int to, bool looks) {
  const int one = 1;
  setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  std::string room(64 << 10, '\0');
  std::string last;
  while (true) {
    const ssize_t size = read(from, room.data(), room.size());
    if (size <= 0) break;
    const std::string_view bytes(room.data(), static_cast<std::size_t>(size));
    if (looks && bytes.find("Action=RunInstances") != std::string_view::npos) asked.add();
    if (send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) break;
  }
  shutdown(to, SHUT_WR);
}

/// Listens on a free port and passes everything on to the simulator's; gives the port.
int start_relay(int simulator_port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t size = sizeof at;
  if (bind(listener, reinterpret_cast<sockaddr*>(&at), size) != 0 || listen(listener, 64) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    std::abort();
  }
  const int port = ntohs(at.sin_port);
  at.sin_port = htons(static_cast<std::uint16_t>(simulator_port));
  std::thread([listener, at] {
    while (true) {
      const int client = accept(listener, nullptr, nullptr);
      const int server = socket(AF_INET, SOCK_STREAM, 0);
      if (client < 0 || connect(server, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
        continue;
      std::thread(pass_on, client, server, true).detach();
      std::thread(pass_on, server, client, false).detach();
    }
  }).detach();
  return port;
}

/// Tells of one job after the other. None is ever run: its machine is a record.
class OneByOne : public muster::CiServer {
 public:
  OneByOne(muster::Clock& clock, int count) : clock_(clock), count_(count) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  muster::Task<muster::Result<std::vector<muster::CiJob>>> list_jobs() override { co_return jobs_; }
  muster::Task<muster::CiNews> wait_for_news(muster::Duration time_max) override {
    // As many as EC2's bucket of launches has room for, each alone.
    co_await clock_.sleep(jobs_.empty() ? muster::Duration(5s) : muster::Duration(700ms));
    if (static_cast<int>(jobs_.size()) == count_) {
      co_await clock_.sleep(1s);
      std::raise(SIGTERM);
      co_await clock_.sleep(time_max);
    }
    muster::CiJob job;
    job.id = fmt::format("j{}", jobs_.size());
    job.labels = {"linux"};
    job.repository = "o/r";
    jobs_.push_back(job);
    told.add();
    co_return muster::CiNews{{job}, false};
  }
  muster::Task<muster::Result<muster::WorkOrder>> claim(std::string, muster::LeaseId,
                                                        muster::InstanceId) override {
    co_return muster::fail(muster::ErrorKind::conflict, "not to be had");
  }
  muster::Task<muster::Status> give_back(std::string, muster::LeaseId) override {
    co_return muster::Status();
  }
  muster::Task<muster::Status> finish(std::string, muster::LeaseId, muster::JobResult) override {
    co_return muster::Status();
  }

 private:
  std::string name_ = "bench";
  muster::Clock& clock_;
  int count_;
  std::vector<muster::CiJob> jobs_;
};

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const int count = argc > 1 ? std::atoi(argv[1]) : 100;
  const char* url = std::getenv("AWS_ENDPOINT_URL");
  const std::string_view endpoint = url == nullptr ? "" : url;
  const std::size_t colon = endpoint.rfind(':');
  if (count < 1 || colon == std::string_view::npos) return 2;
  const int port = start_relay(std::atoi(endpoint.data() + colon + 1));
  setenv("AWS_ENDPOINT_URL", fmt::format("http://127.0.0.1:{}", port).c_str(), 1);
  muster::cli::CommonFlags common;
  const int code = muster::cli::run_daemon(common, {}, [count](muster::cli::Wiring& wiring) {
    return std::make_unique<OneByOne>(wiring.clock, count);
  });
  const auto from = told.all();
  const auto to = asked.all();
  if (code != 0 || from.size() != to.size()) {
    fmt::print(stderr, "{} jobs, {} launches, exit code {}\n", from.size(), to.size(), code);
    return 1;
  }
  std::vector<double> took;
  for (std::size_t i = 0; i < from.size(); ++i) {
    took.push_back(std::chrono::duration<double, std::milli>(to[i] - from[i]).count());
  }
  std::sort(took.begin(), took.end());
  fmt::print(
      "a job's news to its launch request, committed between: p50 {:.2f} ms, p99 {:.2f} ms (n "
      "{})\n",
      took[took.size() / 2], took[took.size() * 99 / 100], took.size());
  std::fflush(stdout);
  _exit(0);  // The relay's threads are not waited for.
}
