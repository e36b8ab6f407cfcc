#include "cli/operate_views.hpp"

#include <gtest/gtest.h>

#include "wire/json.hpp"

namespace muster::cli {
namespace {

TEST(Explanation, NamesTheDayWhereItIsAnother) {
  const auto document = wire::parse_json(R"({"explanation": {"headline": "passed", "timeline": [
    {"at": "2021-03-04T23:59:58.250Z", "what": "queued at submit"},
    {"at": "2021-03-05T00:00:01.000Z", "what": "launched"},
    {"at": "2021-03-05T00:00:09.000Z", "what": "running"}]}})");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(explanation_lines(*document).at(1),
            "  time line 2021-03-04 23:59:58 queued at submit · 2021-03-05 00:00:01 launched · "
            "00:00:09 running");
}

TEST(Event, NamesTheDayWhereItIsAnother) {
  const auto event = wire::parse_json(
      R"({"at": "2021-03-04T23:59:58.250Z", "kind": "job", "subject": "j1", "what": "queued"})");
  ASSERT_TRUE(event) << event.error().message;
  EXPECT_EQ(event_line(*event), "2021-03-04 23:59:58.250Z  job      j1  queued");
}

}  // namespace
}  // namespace muster::cli
