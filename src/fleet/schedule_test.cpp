#include "fleet/schedule.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

TimePoint at(const char* text) { return *parse_iso8601(text); }

bool holds(const Schedule& schedule, TimePoint now) {
  const auto period = CronPeriod::parse(schedule.when);
  return period && schedule.holds(now, *period);
}

TEST(CronPeriod, HoldsOnTheMinutesOfItsFields) {
  const Schedule office{"* 8-17 * * mon-fri", "UTC", 5};
  EXPECT_TRUE(holds(office, at("2026-01-05T08:00:00Z")));  // A Monday.
  EXPECT_TRUE(holds(office, at("2026-01-05T17:59:59Z")));
  EXPECT_FALSE(holds(office, at("2026-01-05T18:00:00Z")));
  EXPECT_FALSE(holds(office, at("2026-01-04T12:00:00Z")));  // A Sunday.
}

TEST(CronPeriod, MatchesByDateOrWeekdayWhenBothAreNarrowed) {
  const Schedule both{"* * 13 * fri", "UTC", 1};
  EXPECT_TRUE(holds(both, at("2026-01-13T00:00:00Z")));  // A Tuesday, the 13th.
  EXPECT_TRUE(holds(both, at("2026-01-09T00:00:00Z")));  // A Friday.
  EXPECT_FALSE(holds(both, at("2026-01-08T00:00:00Z")));
}

TEST(CronPeriod, KnowsListsStepsNamesAndBothSundays) {
  for (const char* sunday : {"* * * * 0", "* * * * 7", "* * * * sun", "*/1 * * * 6-7"}) {
    const Schedule one{sunday, "UTC", 1};
    EXPECT_TRUE(holds(one, at("2026-01-04T12:00:00Z"))) << sunday;
  }
  const Schedule quarters{"0,15-45/15 * * jan,jul *", "UTC", 1};
  EXPECT_TRUE(holds(quarters, at("2026-01-05T10:30:00Z")));
  EXPECT_FALSE(holds(quarters, at("2026-01-05T10:31:00Z")));
  EXPECT_FALSE(holds(quarters, at("2026-02-05T10:30:00Z")));
}

TEST(CronPeriod, RefusesWhatIsNoPattern) {
  for (const char* text : {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *",
                           "5-1 * * * *", "*/0 * * * *", "a * * * *", "1,,2 * * * *"}) {
    EXPECT_FALSE(CronPeriod::parse(text)) << text;
  }
}

TEST(Schedule, FollowsTheWallClockThroughDaylightSavingTime) {
  const Schedule morning{"* 8 * * *", "Europe/Berlin", 1};
  EXPECT_TRUE(holds(morning, at("2026-03-28T07:30:00Z")));  // Winter time, the day before.
  EXPECT_FALSE(holds(morning, at("2026-03-28T06:30:00Z")));
  EXPECT_TRUE(holds(morning, at("2026-03-29T06:30:00Z")));  // Summer time.
  EXPECT_FALSE(holds(morning, at("2026-03-29T07:30:00Z")));
  const Schedule night{"* 2 * * *", "Europe/Berlin", 1};
  // The hour that is skipped never is, the one that comes twice holds twice.
  EXPECT_FALSE(holds(night, at("2026-03-29T01:30:00Z")));
  EXPECT_TRUE(holds(night, at("2026-10-25T00:30:00Z")));
  EXPECT_TRUE(holds(night, at("2026-10-25T01:30:00Z")));
}

TEST(Schedule, NeverHoldsInAZoneThatIsNone) {
  const Schedule nowhere{"* * * * *", "Europe/Atlantis", 1};
  EXPECT_FALSE(holds(nowhere, at("2026-01-05T10:30:00Z")));
  EXPECT_FALSE(is_time_zone("Europe/Atlantis"));
  EXPECT_TRUE(is_time_zone("Europe/Berlin"));
}

}  // namespace
}  // namespace muster
