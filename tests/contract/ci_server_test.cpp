// What the controller counts on of every source of jobs. A new adapter is added at the end.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "adapters/http/curl_transport.hpp"
#include "adapters/sqlite/sqlite_store.hpp"
#include "adapters/system/real_clock.hpp"
#include "base/document.hpp"
#include "service/submit_queue.hpp"
#include "simulation/sim_ports.hpp"
#include "test_ci.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

/// A CI server, with the hands of those who use it.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual CiServer& server() = 0;
  virtual Clock& clock() = 0;
  /// A job for the labels `[linux, x64]` of the repository `a/one`.
  virtual void queue(const std::string& id) = 0;
  virtual void cancel(const std::string& id) = 0;
  virtual void run(Task<> task) = 0;
};

void run_on(boost::asio::io_context& context, Task<> task) {
  bool has_ended = false;
  boost::asio::co_spawn(context, std::move(task), [&](const std::exception_ptr& failure) {
    has_ended = true;
    if (failure) std::rethrow_exception(failure);
  });
  context.restart();
  while (!has_ended && context.run_one() > 0) {
  }
}

class Simulated : public Backend {
 public:
  CiServer& server() override { return ci_; }
  Clock& clock() override { return world_.clock; }
  void queue(const std::string& id) override {
    simulation::SimJob job;
    job.id = id;
    job.labels = {"linux", "x64"};
    job.repository = "a/one";
    job.is_visible = true;
    world_.tell_news(world_.jobs[id] = job);
  }
  void cancel(const std::string& id) override {
    simulation::SimJob& job = world_.jobs.at(id);
    job.state = CiJobState::cancelled;
    job.ended_at = world_.now();
    world_.tell_news(job);
  }
  void run(Task<> task) override { EXPECT_TRUE(world_.clock.run(std::move(task))); }

 private:
  static simulation::SimWorld::Options calm() {
    simulation::SimWorld::Options options;
    options.has_faults = false;
    options.cloud = ec2model::default_world(1);
    return options;
  }
  simulation::SimWorld world_{calm(), simulation::Faults{}};
  simulation::SimCi ci_{(world_.begin_incarnation(), world_)};
};

/// What `muster submit` writes, by another connection as the command has one.
class Submitted : public Backend {
 public:
  Submitted() {
    std::string pattern = testing::TempDir() + "/submit-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    auto mine = sqlite::SqliteStore::open(context_.get_executor(), folder_ + "/db");
    auto theirs = sqlite::SqliteStore::open(context_.get_executor(), folder_ + "/db");
    EXPECT_TRUE(mine && theirs);
    store_ = std::move(*mine);
    command_ = std::move(*theirs);
    queue_ = std::make_unique<SubmitQueue>(*store_, clock_, Secret("s"),
                                           [](const std::string&) { return std::string(); });
  }
  ~Submitted() override {
    queue_.reset();
    store_.reset();
    command_.reset();
    std::filesystem::remove_all(folder_);
  }
  CiServer& server() override { return *queue_; }
  Clock& clock() override { return clock_; }
  void queue(const std::string& id) override {
    SubmittedJob job;
    job.id = id;
    job.labels = {"linux", "x64"};
    job.repository = "a/one";
    job.time_max = 1min;
    job.created_at = clock_.now();
    job.sealed = seal_work({"{}", "", ""}, Secret("s"), random_);
    run([](SubmitStore* to, SubmittedJob one) -> Task<> {
      Task<Status> adding = to->add_submitted(std::move(one));
      EXPECT_TRUE(co_await std::move(adding));
    }(command_.get(), std::move(job)));
  }
  void cancel(const std::string& id) override {
    run([](SubmitStore* at, std::string which, TimePoint now) -> Task<> {
      Task<Status> cancelling = at->cancel_submitted(std::move(which), "by ann", now);
      EXPECT_TRUE(co_await std::move(cancelling));
    }(command_.get(), id, clock_.now()));
  }
  void run(Task<> task) override { run_on(context_, std::move(task)); }

 private:
  boost::asio::io_context context_;
  system::RealClock clock_{context_.get_executor()};
  system::SystemRandom random_;
  std::string folder_;
  std::unique_ptr<sqlite::SqliteStore> store_;
  std::unique_ptr<sqlite::SqliteStore> command_;
  std::unique_ptr<SubmitQueue> queue_;
};

/// The CI server of tests/ci_server in a process of its own.
class Served : public Backend {
 public:
  Served() {
    process_ = popen("exec python3 " MUSTER_SOURCE_DIR "/tests/ci_server/ci_server.py", "r");
    EXPECT_NE(process_, nullptr);
    char line[200] = {};
    EXPECT_NE(fgets(line, sizeof line, process_), nullptr);
    const std::string said = line;
    const std::size_t space = said.find(' ');
    url_ = said.substr(0, space);
    pid_ = std::atoi(said.substr(space + 1).c_str());
    ci_ = std::make_unique<test::TestCi>(transport_, clock_, url_);
  }
  ~Served() override {
    if (pid_ > 1) kill(pid_, SIGTERM);
    pclose(process_);
  }
  CiServer& server() override { return *ci_; }
  Clock& clock() override { return clock_; }
  void queue(const std::string& id) override {
    post("/jobs", R"({"id": ")" + id +
                      R"(", "labels": ["linux", "x64"], "repository": "a/one", "script": "true"})");
  }
  void cancel(const std::string& id) override { post("/cancel/" + id, "{}"); }
  void run(Task<> task) override { run_on(context_, std::move(task)); }

 private:
  void post(const std::string& path, const std::string& body) {
    HttpRequest request;
    request.method = "POST";
    request.url = url_ + path;
    request.body = body;
    request.uses_proxy = false;
    run([](HttpTransport* by, HttpRequest what) -> Task<> {
      Task<Result<HttpResponse>> sending = by->send(std::move(what));
      const Result<HttpResponse> answer = co_await std::move(sending);
      EXPECT_TRUE(answer && answer->status == 200);
    }(&transport_, std::move(request)));
  }

  boost::asio::io_context context_;
  system::RealClock clock_{context_.get_executor()};
  http::CurlTransport transport_{context_.get_executor(), http::CurlOptions{"muster-test", ""}};
  FILE* process_ = nullptr;
  int pid_ = 0;
  std::string url_;
  std::unique_ptr<test::TestCi> ci_;
};

using MakeBackend = std::function<std::unique_ptr<Backend>()>;

class CiServerContract : public testing::TestWithParam<std::pair<const char*, MakeBackend>> {
 protected:
  void SetUp() override { backend_ = GetParam().second(); }

  template <class T>
  T get(Task<T> task) {
    std::optional<T> result;
    backend_->run([](Task<T> work, std::optional<T>* to) -> Task<> {
      to->emplace(co_await std::move(work));
    }(std::move(task), &result));
    return std::move(*result);
  }
  CiServer& server() { return backend_->server(); }
  std::optional<CiJob> listed(const std::string& id) {
    const auto jobs = get(server().list_jobs());
    EXPECT_TRUE(jobs.has_value());
    for (const CiJob& job : *jobs) {
      if (job.id == id) return job;
    }
    return std::nullopt;
  }
  Result<WorkOrder> claim(const char* lease) {
    return get(server().claim("j1", LeaseId(lease), InstanceId("i-1")));
  }
  Status finish(const char* lease) {
    return get(server().finish("j1", LeaseId(lease), JobResult{}));
  }
  template <class T>
  static bool is_answer(const Result<T>& result) {
    return !result && (result.error().kind == ErrorKind::conflict ||
                       result.error().kind == ErrorKind::not_found);
  }

  std::unique_ptr<Backend> backend_;
};

TEST_P(CiServerContract, ListsWhatWaits) {
  EXPECT_FALSE(listed("j1"));
  backend_->queue("j1");
  const auto job = listed("j1");
  ASSERT_TRUE(job);
  EXPECT_EQ(job->state, CiJobState::queued);
  EXPECT_EQ(job->labels, (std::vector<std::string>{"linux", "x64"}));
  EXPECT_EQ(job->repository, "a/one");
  EXPECT_LT(std::chrono::abs(backend_->clock().now() - job->queued_at), 1min);
}

TEST_P(CiServerContract, GivesAJobToOneLeaseAndToThatOneAgain) {
  backend_->queue("j1");
  EXPECT_TRUE(claim("lea-1"));
  EXPECT_TRUE(claim("lea-1"));
  EXPECT_TRUE(is_answer(claim("lea-2")));
  const auto job = listed("j1");
  ASSERT_TRUE(job);
  EXPECT_EQ(job->state, CiJobState::claimed);
  EXPECT_EQ(job->lease, LeaseId("lea-1"));
  EXPECT_EQ(job->instance, InstanceId("i-1"));
}

TEST_P(CiServerContract, KnowsNothingOfOtherJobs) {
  EXPECT_TRUE(is_answer(claim("lea-1")));
  EXPECT_TRUE(is_answer(finish("lea-1")));
}

TEST_P(CiServerContract, TakesAJobBackFromItsLeaseOnly) {
  backend_->queue("j1");
  ASSERT_TRUE(claim("lea-1"));
  EXPECT_TRUE(get(server().give_back("j1", LeaseId("lea-2"))));
  EXPECT_EQ(listed("j1")->state, CiJobState::claimed);
  EXPECT_TRUE(get(server().give_back("j1", LeaseId("lea-1"))));
  EXPECT_EQ(listed("j1")->state, CiJobState::queued);
  EXPECT_TRUE(get(server().give_back("j1", LeaseId("lea-1"))));
  EXPECT_TRUE(claim("lea-2"));
}

TEST_P(CiServerContract, IsToldTheEndByTheLeaseThatHasIt) {
  backend_->queue("j1");
  ASSERT_TRUE(claim("lea-1"));
  EXPECT_TRUE(is_answer(finish("lea-2")));
  backend_->run([](Backend* at) -> Task<> { co_await at->clock().sleep(1ms); }(backend_.get()));
  JobResult lost;
  lost.outcome = JobOutcome::cancelled;
  EXPECT_TRUE(get(server().finish("j1", LeaseId("lea-1"), lost)));
  EXPECT_TRUE(get(server().finish("j1", LeaseId("lea-1"), lost)));
  const auto job = listed("j1");
  EXPECT_TRUE(!job || job->state == CiJobState::finished || job->state == CiJobState::cancelled);
  EXPECT_TRUE(is_answer(claim("lea-2")));
}

TEST_P(CiServerContract, DoesNotGiveWhatWasCancelled) {
  backend_->queue("j1");
  backend_->cancel("j1");
  EXPECT_TRUE(is_answer(claim("lea-1")));
  const auto job = listed("j1");
  EXPECT_TRUE(!job || job->state == CiJobState::cancelled || job->state == CiJobState::finished);
}

TEST_P(CiServerContract, HasNewsOfWhatCameSinceTheListingBegan) {
  EXPECT_FALSE(listed("j1"));
  backend_->queue("j1");
  std::optional<CiNews> told;
  backend_->run([](Backend* at, std::optional<CiNews>* place) -> Task<> {
    const auto keep = [](CiServer& server, std::optional<CiNews>* news) -> Task<> {
      *news = co_await server.wait_for_news(10min);
    };
    Task<> waiting = run_for(at->clock(), 5s, keep(at->server(), place));
    co_await std::move(waiting);
  }(backend_.get(), &told));
  ASSERT_TRUE(told);
  EXPECT_TRUE(told->needs_listing || (told->jobs.size() == 1 && told->jobs.front().id == "j1"));
}

INSTANTIATE_TEST_SUITE_P(Sources, CiServerContract,
                         testing::Values(
                             std::pair<const char*, MakeBackend>{
                                 "simulated", [] { return std::make_unique<Simulated>(); }},
                             std::pair<const char*, MakeBackend>{
                                 "submitted", [] { return std::make_unique<Submitted>(); }},
                             std::pair<const char*, MakeBackend>{
                                 "served", [] { return std::make_unique<Served>(); }}),
                         [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace muster
