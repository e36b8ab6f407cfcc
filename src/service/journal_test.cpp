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

TEST_F(JournalTest, DoesNotQueueAJobAgainThatAProcessBeforeKnew) {
  EXPECT_EQ(told(job(JobState::leased, began_ - 1s)), std::vector<std::string>{"leased"});
}

}  // namespace
}  // namespace muster
