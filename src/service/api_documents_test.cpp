#include "service/api_documents.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using namespace std::chrono_literals;

TEST(WaitTexts, SayOfEachJobWhetherAnInstanceComes) {
  const TimePoint began = TimePoint{} + 1000h;
  Fleet fleet;
  Job job;
  for (int i = 0; i < 3; ++i) {
    job.id = JobId("test/" + std::to_string(i));
    job.queued_at = began + i * 1s;
    fleet.add(job);
  }
  WaitTexts before(fleet);
  EXPECT_EQ(before.of(job), "");
  Demand& demand = fleet.demand().begin()->second;
  demand.reason.text = "the pool is full";
  demand.coming_reason.text = "an instance boots";
  std::vector<std::string> told;
  for (int coming = 0; coming <= 3; ++coming) {
    demand.coming_count = coming;
    WaitTexts waits(fleet);
    std::string row;
    for (const auto& [at, id] : demand.jobs)
      row += waits.of(*fleet.find(id)) == "an instance boots" ? 'c' : 'f';
    told.push_back(row);
  }
  EXPECT_EQ(told, (std::vector<std::string>{"fff", "cff", "ccf", "ccc"}));
}

}  // namespace
}  // namespace muster
