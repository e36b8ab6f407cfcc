#include "service/metrics.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST(Histogram, CountsWhatIsNotAboveABoundAndAll) {
  Histogram histogram;
  for (const Duration took : {Duration(50ms), Duration(100ms), Duration(2s), Duration(2h)})
    histogram.add(took);
  const std::string text = histogram.text("x_seconds", "part=\"boot\"");
  EXPECT_NE(text.find("x_seconds_bucket{part=\"boot\",le=\"0.1\"} 2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("x_seconds_bucket{part=\"boot\",le=\"3\"} 3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("x_seconds_bucket{part=\"boot\",le=\"3600\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("x_seconds_bucket{part=\"boot\",le=\"+Inf\"} 4\n"), std::string::npos);
  EXPECT_NE(text.find("x_seconds_count{part=\"boot\"} 4\n"), std::string::npos);
}

class WaitsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    FleetSnapshot stored;
    Instance instance;
    instance.id = InstanceId("i-1");
    instance.pool = PoolName("linux");
    stored.instances.push_back(instance);
    fleet_.restore(std::move(stored));
  }
  /// A job that was started at `at`, after `wait`.
  void start_job(int number, TimePoint at, Duration wait) {
    FleetChanges changes;
    Job job;
    job.id = JobId("test/" + std::to_string(number));
    job.instance = InstanceId("i-1");
    job.queued_at = at - wait;
    for (const JobState state : {JobState::queued, JobState::leased, JobState::running}) {
      job.state = state;
      changes.jobs = {job};
      metrics_.note(changes, fleet_, at);
    }
  }

  const PoolName pool_{"linux"};
  const TimePoint now_ = TimePoint{} + 1000h;
  Fleet fleet_;
  Metrics metrics_;
};

TEST_F(WaitsTest, AreThoseOfThePoolsJobs) {
  EXPECT_FALSE(metrics_.waits_of(pool_, now_));
  for (int i = 1; i <= 100; ++i) start_job(i, now_, std::chrono::seconds{i});
  const auto waits = metrics_.waits_of(pool_, now_);
  ASSERT_TRUE(waits);
  EXPECT_EQ(waits->p50, 51s);
  EXPECT_EQ(waits->p95, 96s);
  EXPECT_FALSE(metrics_.waits_of(PoolName("other"), now_));
}

TEST_F(WaitsTest, AreOfTheLastDayAndAtMostAThousand) {
  start_job(0, now_ - 25h, 1h);
  EXPECT_FALSE(metrics_.waits_of(pool_, now_));
  for (int i = 1; i <= 600; ++i) start_job(i, now_, 100s);
  for (int i = 601; i <= 1600; ++i) start_job(i, now_, 2s);
  EXPECT_EQ(metrics_.waits_of(pool_, now_)->p95, 2s);
}

}  // namespace
}  // namespace muster
