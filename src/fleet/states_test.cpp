#include "fleet/states.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace muster {
namespace {

TEST(StateGraph, StandsInTheArchitecture) {
  std::ifstream file(MUSTER_SOURCE_DIR "/docs/ARCHITECTURE.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(all_state_diagrams()), std::string::npos)
      << "docs/ARCHITECTURE.md must have, under its heading of states:\n"
      << all_state_diagrams();
}

TEST(StateGraph, StopsTheProgramAtAnIllegalMove) {
  InstancePhase phase = InstancePhase::gone;
  EXPECT_DEATH(move_to(phase, InstancePhase::idle), "broken invariant");
  JobState job = JobState::queued;
  move_to(job, JobState::leased);
  EXPECT_EQ(job, JobState::leased);
  EXPECT_DEATH(move_to(job, JobState::leased), "broken invariant");
}

TEST(StateGraph, EndStatesAbsorb) {
  for (int to = 0; to < 10; ++to) {
    EXPECT_FALSE(instance_graph().allows(InstancePhase::gone, static_cast<InstancePhase>(to)));
  }
  for (int to = 0; to < 5; ++to) {
    EXPECT_FALSE(job_graph().allows(JobState::finished, static_cast<JobState>(to)));
    EXPECT_FALSE(lease_graph().allows(LeaseState::ended, static_cast<LeaseState>(to)));
  }
}

}  // namespace
}  // namespace muster
