#include "adapters/sqlite/sqlite_store.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

#include "adapters/sqlite/connection.hpp"
#include "adapters/sqlite/schema.hpp"

namespace muster::sqlite {
namespace {

struct StoreTest : testing::Test {
  std::string folder = testing::TempDir() + "/store-" +
                       testing::UnitTest::GetInstance()->current_test_info()->name();
  std::string path = folder + "/muster.db";
  boost::asio::io_context context;

  StoreTest() {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  ~StoreTest() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<SqliteStore> open() {
    auto store = SqliteStore::open(context.get_executor(), path);
    EXPECT_TRUE(store.has_value()) << store.error().describe();
    return store ? std::move(*store) : nullptr;
  }

  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    boost::asio::co_spawn(context, std::move(task), [&](const std::exception_ptr& failure, T got) {
      if (failure) std::rethrow_exception(failure);
      result = std::move(got);
    });
    context.restart();
    context.run();
    return std::move(*result);
  }
};

FleetCommit everything() {
  FleetCommit commit;
  Job job;
  job.id = JobId("ci/1");
  job.source = "ci";
  job.labels = {"a", "b"};
  job.state = JobState::running;
  job.lease = LeaseId("lea-1");
  job.time_max = std::chrono::minutes{5};
  job.instance = InstanceId("i-1");
  job.started_at = TimePoint{std::chrono::seconds{7}};
  commit.changes.jobs = {job};
  Instance instance;
  instance.id = InstanceId("i-1");
  instance.pool = PoolName("p");
  instance.offering = {"a.large", CapacityType::spot, "s", "z"};
  instance.phase = InstancePhase::busy;
  instance.usd_per_hour = 0.25;
  instance.host_keys = "ssh-ed25519 AAAA\n";
  commit.changes.instances = {instance};
  Lease lease;
  lease.id = LeaseId("lea-1");
  lease.job = job.id;
  lease.instance = instance.id;
  lease.state = LeaseState::started;
  commit.changes.leases = {lease};
  Intent intent;
  intent.id = IntentId("int-1");
  intent.pool = PoolName("p");
  intent.offering = instance.offering;
  intent.offerings = {instance.offering, {"b.large", CapacityType::spot, "", "z"}};
  intent.count = 3;
  commit.changes.intents = {intent};
  commit.calls = {{intent.id, {"CreateFleet", std::string("a\0b", 3), ClientToken("int-1"), 3}}};
  commit.changes.spending = DaySpending{20'000, 1.5};
  commit.clock = {"boot", TimePoint{std::chrono::seconds{5}}};
  return commit;
}

TEST_F(StoreTest, KeepsTheFleetAcrossAReopen) {
  ASSERT_TRUE(run(open()->commit(everything())));
  const auto read = run(open()->load_fleet());
  ASSERT_TRUE(read.has_value()) << read.error().describe();
  EXPECT_FALSE(read->is_new);
  ASSERT_EQ(read->fleet.jobs.size(), 1U);
  EXPECT_EQ(read->fleet.jobs[0].labels, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read->fleet.jobs[0].state, JobState::running);
  EXPECT_EQ(read->fleet.jobs[0].instance, InstanceId("i-1"));
  EXPECT_EQ(read->fleet.jobs[0].started_at, TimePoint{std::chrono::seconds{7}});
  ASSERT_EQ(read->fleet.instances.size(), 1U);
  EXPECT_EQ(read->fleet.instances[0].offering, everything().changes.instances[0].offering);
  EXPECT_EQ(read->fleet.instances[0].host_keys, "ssh-ed25519 AAAA\n");
  ASSERT_EQ(read->fleet.leases.size(), 1U);
  EXPECT_EQ(read->fleet.leases[0].state, LeaseState::started);
  ASSERT_EQ(read->fleet.intents.size(), 1U);
  EXPECT_EQ(read->fleet.intents[0].offerings.size(), 2U);
  EXPECT_EQ(read->calls.at(IntentId("int-1")).body, std::string("a\0b", 3));
  EXPECT_EQ(read->fleet.spending.usd_settled, 1.5);
  EXPECT_EQ(read->clock, everything().clock);
}

TEST_F(StoreTest, KeepsTheFrozenCallWhenTheIntentIsWrittenAgain) {
  const auto store = open();
  FleetCommit commit = everything();
  ASSERT_TRUE(run(store->commit(commit)));
  commit.calls.clear();
  commit.changes.intents[0].created_at = TimePoint{std::chrono::seconds{7}};
  ASSERT_TRUE(run(store->commit(commit)));
  EXPECT_EQ(run(store->load_fleet())->fleet.intents[0].created_at,
            commit.changes.intents[0].created_at);
  EXPECT_EQ(run(store->load_fleet())->calls.at(IntentId("int-1")).action, "CreateFleet");
}

TEST_F(StoreTest, RemovesWhatIsGone) {
  const auto store = open();
  ASSERT_TRUE(run(store->commit(everything())));
  FleetCommit removal;
  removal.changes.removed_jobs = {JobId("ci/1")};
  removal.changes.removed_instances = {InstanceId("i-1")};
  removal.changes.removed_leases = {LeaseId("lea-1")};
  removal.changes.removed_intents = {IntentId("int-1")};
  ASSERT_TRUE(run(store->commit(removal)));
  const auto read = run(store->load_fleet());
  EXPECT_TRUE(read->fleet.jobs.empty() && read->fleet.instances.empty());
  EXPECT_TRUE(read->fleet.leases.empty() && read->calls.empty());
}

TEST_F(StoreTest, AnEmptyStoreIsNew) { EXPECT_TRUE(run(open()->load_fleet())->is_new); }

TEST_F(StoreTest, RefusesANewerSchema) {
  open();
  auto connection = Connection::open(path);
  ASSERT_TRUE((*connection)->execute("PRAGMA user_version = 99"));
  const auto refused = SqliteStore::open(context.get_executor(), path);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_NE(refused.error().message.find("99"), std::string::npos);
}

TEST_F(StoreTest, BringsEachOlderSchemaUpToDate) {
  for (std::size_t version = 0; version < kMigrations.size(); ++version) {
    std::filesystem::remove(path);
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
    for (std::size_t i = 0; i < version; ++i) {
      ASSERT_EQ(
          sqlite3_exec(raw, std::string(kMigrations.at(i)).c_str(), nullptr, nullptr, nullptr),
          SQLITE_OK);
    }
    const std::string mark = "PRAGMA user_version = " + std::to_string(version);
    sqlite3_exec(raw, mark.c_str(), nullptr, nullptr, nullptr);
    sqlite3_close(raw);
    EXPECT_TRUE(run(open()->commit(everything()))) << version;
  }
}

TEST_F(StoreTest, NoticesDamage) {
  ASSERT_TRUE(run(open()->commit(everything())));
  {
    auto connection = Connection::open(path);
    ASSERT_TRUE((*connection)->execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(8192, 'x');
  file.close();
  const auto refused = SqliteStore::open(context.get_executor(), path);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::corrupt);
}

TEST_F(StoreTest, CopiesItselfWhileItIsInUse) {
  const auto store = open();
  ASSERT_TRUE(run(store->commit(everything())));
  ASSERT_TRUE(run(store->backup(folder + "/copy.db")));
  EXPECT_FALSE(run(store->backup(folder + "/copy.db")));
  const auto copy = SqliteStore::open(context.get_executor(), folder + "/copy.db");
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(run((*copy)->load_fleet())->fleet.jobs.size(), 1U);
}

TEST_F(StoreTest, KeepsTokensByName) {
  const auto store = open();
  ApiToken token{"ann", "viewer", "abc", "root", TimePoint{std::chrono::seconds{1}}, TimePoint{}};
  ASSERT_TRUE(run(store->add_token(token)));
  token.hash = "other";
  EXPECT_EQ(run(store->add_token(token)).error().kind, ErrorKind::conflict);
  const auto kept = run(store->list_tokens());
  ASSERT_TRUE(kept && kept->size() == 1);
  EXPECT_EQ(kept->front().hash, "abc");
  EXPECT_EQ(kept->front().created_at, token.created_at);
  EXPECT_TRUE(run(store->remove_token("ann")));
  EXPECT_EQ(run(store->remove_token("ann")).error().kind, ErrorKind::not_found);
}

TEST_F(StoreTest, ClaimsASubmittedJobForOneLease) {
  const auto store = open();
  SubmittedJob job;
  job.id = "job-1";
  job.labels = {"linux"};
  job.sealed = "secret";
  ASSERT_TRUE(run(store->add_submitted(job)));
  ASSERT_TRUE(run(store->claim_submitted("job-1", LeaseId("a"), InstanceId("i"))));
  EXPECT_TRUE(run(store->claim_submitted("job-1", LeaseId("a"), InstanceId("i"))));
  EXPECT_EQ(run(store->claim_submitted("job-1", LeaseId("b"), InstanceId("i"))).error().kind,
            ErrorKind::conflict);
  ASSERT_TRUE(run(store->give_back_submitted("job-1", LeaseId("a"))));
  ASSERT_TRUE(run(store->claim_submitted("job-1", LeaseId("b"), InstanceId("i"))));
  SubmittedJob ended;
  ended.id = "job-1";
  ended.lease = LeaseId("a");
  ended.ended_at = TimePoint{std::chrono::hours{1}};
  EXPECT_EQ(run(store->finish_submitted(ended)).error().kind, ErrorKind::conflict);
  ended.lease = LeaseId("b");
  ended.outcome = JobOutcome::passed;
  EXPECT_TRUE(run(store->finish_submitted(ended)));
  EXPECT_TRUE(run(store->finish_submitted(ended)));
  const auto found = run(store->find_submitted("job-1"));
  EXPECT_EQ(found->outcome, JobOutcome::passed);
  EXPECT_TRUE(found->sealed.empty());
}

}  // namespace
}  // namespace muster::sqlite
