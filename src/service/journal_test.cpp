#include "service/journal.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

namespace muster {
namespace {

using namespace std::chrono_literals;

class JournalTest : public ::testing::Test {
 protected:
  std::vector<std::string> told(const Job& job) {
    FleetChanges changes;
    changes.jobs = {job};
    const std::uint64_t before = journal_.last();
    journal_.note(changes, began_ + 5min);
    std::vector<std::string> out;
    for (const JournalEntry& one : journal_.after(before, 100)) out.push_back(one.what);
    return out;
  }
  Job job(JobState state, TimePoint queued_at) const {
    Job made;
    made.id = JobId("test/1");
    made.state = state;
    made.queued_at = queued_at;
    return made;
  }

  const TimePoint began_ = TimePoint{} + 1000h;
  boost::asio::io_context context_;
  Log log_{LogLevel::off};
  Journal journal_{context_.get_executor(), log_, began_};
};

TEST_F(JournalTest, TellsThatAJobWasQueuedWhichHadAMachineAtOnce) {
  EXPECT_EQ(told(job(JobState::leased, began_ + 1s)),
            (std::vector<std::string>{"queued", "leased"}));
  EXPECT_EQ(told(job(JobState::running, began_ + 1s)), std::vector<std::string>{"running"});
  EXPECT_TRUE(told(job(JobState::running, began_ + 1s)).empty());
}

TEST_F(JournalTest, TellsHowAJobEnded) {
  Job gone = job(JobState::queued, began_ + 1s);
  EXPECT_EQ(told(gone), std::vector<std::string>{"queued"});
  gone.state = JobState::dropped;
  gone.outcome = JobOutcome::cancelled;
  EXPECT_EQ(told(gone), std::vector<std::string>{"cancelled"});
}

TEST_F(JournalTest, TellsNothingAgainThatAProcessBeforeHasTold) {
  FleetSnapshot stored;
  stored.jobs = {job(JobState::running, began_ - 1s)};
  Fleet fleet;
  fleet.restore(std::move(stored));
  journal_.know(fleet);
  EXPECT_TRUE(told(job(JobState::running, began_ - 1s)).empty());
  EXPECT_EQ(told(job(JobState::queued, began_ - 1s)), std::vector<std::string>{"queued"});
}

TEST_F(JournalTest, TellsWhichLaunchWasRefused) {
  Intent intent;
  intent.id = IntentId("int-1");
  intent.pool = PoolName("linux");
  intent.offering = {"t3.large", CapacityType::spot, "subnet-1", "us-east-1a"};
  FleetChanges asked;
  asked.intents = {intent};
  FleetChanges answered = asked;
  answered.intents.front().state = IntentState::launched;
  FleetChanges removed;
  removed.removed_intents = {intent.id};
  for (const bool is_launched : {false, true}) {
    const std::uint64_t before = journal_.last();
    journal_.note(asked, began_);
    if (is_launched) journal_.note(answered, began_);
    journal_.note(removed, began_);
    const auto entries = journal_.after(before, 10);
    ASSERT_EQ(entries.size(), is_launched ? 1U : 2U);
    EXPECT_EQ(entries.front().what, "asked");
    EXPECT_EQ(entries.back().detail, "1 t3.large spot in us-east-1a for pool linux");
    if (!is_launched) EXPECT_EQ(entries.back().what, "refused");
  }
}

TEST_F(JournalTest, DoesNotCallALaunchRefusedThatHasMadeSomething) {
  Intent intent;
  intent.id = IntentId("int-1");
  Instance instance;
  instance.id = InstanceId("i-1");
  instance.intent = intent.id;
  FleetChanges asked;
  asked.intents = {intent};
  FleetChanges found;
  found.instances = {instance};
  FleetChanges removed;
  removed.removed_instances = {instance.id};
  removed.removed_intents = {intent.id};
  for (const FleetChanges& changes : {asked, found, removed}) journal_.note(changes, began_);
  FleetSnapshot stored;
  stored.intents = {intent};
  stored.instances = {instance};
  Fleet fleet;
  fleet.restore(std::move(stored));
  journal_.know(fleet);
  journal_.note(removed, began_);
  for (const JournalEntry& one : journal_.after(0, 10)) EXPECT_NE(one.what, "refused");
}

}  // namespace
}  // namespace muster
