#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/document.hpp"
#include "base/nearest.hpp"
#include "base/result.hpp"
#include "base/strong.hpp"
#include "base/time.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

RC_GTEST_PROP(TimeLaw, ReadsWhatItFormats, ()) {
  const auto seconds = *rc::gen::inRange<long>(0, 4'000'000'000);
  const TimePoint time{std::chrono::seconds{seconds}};
  RC_ASSERT(parse_iso8601(format_iso8601(time)) == time);
  RC_ASSERT(parse_iso8601(format_iso8601_basic(time)) == time);
  RC_ASSERT(parse_iso8601(format_iso8601_millis(time)) == time);
}

TEST(Time, RefusesWhatIsNoDate) {
  for (const char* text : {"", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01",
                           "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "20260101T0000Z"}) {
    EXPECT_FALSE(parse_iso8601(text).has_value()) << text;
  }
}

TEST(Durations, AlwaysHaveUnits) {
  EXPECT_EQ(format_duration(290ms), "0.29 s");
  EXPECT_EQ(format_duration(38s), "38 s");
  EXPECT_EQ(format_duration(187s), "3 min 7 s");
  EXPECT_EQ(format_duration(125min), "2 h 5 min");
  EXPECT_EQ(parse_duration("10m"), 10min);
  EXPECT_EQ(parse_duration("10"), std::nullopt);
  EXPECT_EQ(parse_duration("-1s"), std::nullopt);
  EXPECT_EQ(parse_duration("s"), std::nullopt);
}

TEST(NearestName, FindsTyposAndNothingElse) {
  EXPECT_EQ(nearest_name("imgae", {"types", "image"}), "image");
  EXPECT_EQ(nearest_name("comands", {"commands", "command"}), "commands");
  EXPECT_EQ(nearest_name("zzzzzz", {"image", "types"}), std::nullopt);
}

TEST(ErrorText, NamesTheLayers) {
  Error error =
      fail(ErrorKind::throttled, "Request limit exceeded.", "", "RequestLimitExceeded").value();
  error = within("launch for pool", "linux", std::move(error)).value();
  EXPECT_EQ(error.describe(),
            "Request limit exceeded. (RequestLimitExceeded), in launch for pool linux");
}

TEST(ProblemText, HasPlaceValueRuleAndRemedy) {
  const auto file = std::make_shared<std::string>("muster.yml");
  const Problem problem{{file, 7, 5}, "pools.linux.imgae", "unknown key.", "Did you mean image?"};
  EXPECT_EQ(problem.describe(),
            "muster.yml:7:5  pools.linux.imgae: unknown key. Did you mean image?");
}

TEST(Strong, IsInTheOrderOfItsText) {
  const std::vector<std::string> texts{"",          "a",        "ab", "abcdefgh",
                                       "abcdefgha", "abcdefgi", "b",  "\xff"};
  for (const std::string& a : texts) {
    for (const std::string& b : texts) EXPECT_EQ(order_of(a, b), a <=> b) << a << " " << b;
  }
}

}  // namespace
}  // namespace muster
