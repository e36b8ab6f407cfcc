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

}  // namespace
}  // namespace muster
