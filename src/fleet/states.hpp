#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/check.hpp"

namespace muster {

/// How far a job has come. One that is given back waits again.
enum class JobState {
  queued,    ///< Waits for an instance.
  leased,    ///< Has one; it has not been started there.
  running,   ///< Was started there, or may have been.
  finished,  ///< Ended; its outcome says how.
  dropped,   ///< Its CI server has it no more.
};

/// What an instance is to us, after its launch was answered. Before that it is a part of an open
/// launch: `requested`.
enum class InstancePhase {
  pending,      ///< The cloud has said that it comes.
  booting,      ///< It runs; there is no way in yet.
  idle,         ///< Reached, healthy, without a job.
  busy,         ///< Leased to a job.
  draining,     ///< Takes no further job, and ends when the one it has does.
  stopping,     ///< On its way to be kept without running.
  stopped,      ///< Costs only its disk.
  starting,     ///< Was stopped, and is to run again.
  terminating,  ///< Must be ended; asked for again until the cloud shows that it is.
  gone,         ///< The cloud has shown it ended, or no more for long enough.
};

/// The binding of one job to one instance.
enum class LeaseState {
  held,      ///< Committed here; the CI server does not know yet.
  accepted,  ///< The CI server has given us the job, or may have.
  started,   ///< The job runs on the machine, or may.
  reported,  ///< It ended there; the CI server is being told.
  ended,     ///< Nothing is owed any more.
};

/// How far a launch has come. `open` and `launched` still owe an end.
enum class IntentState {
  open,      ///< Committed; the call may or may not have been made.
  launched,  ///< The cloud has answered with instances.
  refused,   ///< The cloud has said no; nothing was made.
  ended,     ///< The instances were seen to be gone, or told to go.
};

/// One legal move.
template <class State>
struct Move {
  State from;
  State to;
};

/// What a state machine allows, for checks and for the documentation.
template <class State>
struct StateGraph {
  std::string_view name;
  std::span<const std::string_view> names;  ///< By the state's number.
  std::span<const Move<State>> moves;

  [[nodiscard]] std::string_view name_of(State state) const {
    return names[static_cast<std::size_t>(state)];
  }
  [[nodiscard]] bool allows(State from, State to) const {
    for (const Move<State>& one : moves) {
      if (one.from == from && one.to == to) return true;
    }
    return false;
  }
  /// As a Mermaid state diagram.
  [[nodiscard]] std::string diagram() const;
};

[[nodiscard]] const StateGraph<JobState>& job_graph();
[[nodiscard]] const StateGraph<InstancePhase>& instance_graph();
[[nodiscard]] const StateGraph<LeaseState>& lease_graph();
[[nodiscard]] const StateGraph<IntentState>& intent_graph();

[[nodiscard]] inline const StateGraph<JobState>& graph_of(JobState) { return job_graph(); }
[[nodiscard]] inline const StateGraph<InstancePhase>& graph_of(InstancePhase) {
  return instance_graph();
}
[[nodiscard]] inline const StateGraph<LeaseState>& graph_of(LeaseState) { return lease_graph(); }
[[nodiscard]] inline const StateGraph<IntentState>& graph_of(IntentState) { return intent_graph(); }

template <class State>
[[nodiscard]] std::string to_string(const State& state)
  requires requires { graph_of(state); }
{
  return std::string(graph_of(state).name_of(state));
}

/// Moves along the graph; any other move is a bug and stops the program.
template <class State>
void move_to(State& at, State next) {
  MUSTER_CHECK(graph_of(at).allows(at, next));
  at = next;
}

/// Every graph, as the documentation shows them.
[[nodiscard]] std::string all_state_diagrams();

}  // namespace muster
