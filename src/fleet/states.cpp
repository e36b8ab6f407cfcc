#include "fleet/states.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace muster {
namespace {

using J = JobState;
using P = InstancePhase;
using L = LeaseState;
using I = IntentState;

constexpr std::array<std::string_view, 5> kJobNames{"queued", "leased", "running", "finished",
                                                    "dropped"};
constexpr std::array kJobMoves{
    Move<J>{J::queued, J::leased},  Move<J>{J::leased, J::queued},
    Move<J>{J::leased, J::running}, Move<J>{J::running, J::finished},
    Move<J>{J::leased, J::dropped}, Move<J>{J::queued, J::dropped},
    Move<J>{J::running, J::queued}, Move<J>{J::leased, J::finished},
};

constexpr std::array<std::string_view, 10> kPhaseNames{
    "pending",  "booting", "idle",     "busy",        "draining",
    "stopping", "stopped", "starting", "terminating", "gone"};
constexpr std::array kPhaseMoves{
    Move<P>{P::pending, P::booting},  Move<P>{P::pending, P::idle},
    Move<P>{P::pending, P::draining}, Move<P>{P::pending, P::terminating},
    Move<P>{P::pending, P::gone},     Move<P>{P::booting, P::idle},
    Move<P>{P::booting, P::draining}, Move<P>{P::booting, P::terminating},
    Move<P>{P::booting, P::gone},     Move<P>{P::booting, P::busy},
    Move<P>{P::pending, P::busy},     Move<P>{P::idle, P::busy},
    Move<P>{P::idle, P::draining},    Move<P>{P::idle, P::stopping},
    Move<P>{P::idle, P::terminating}, Move<P>{P::idle, P::gone},
    Move<P>{P::busy, P::idle},        Move<P>{P::busy, P::draining},
    Move<P>{P::busy, P::terminating}, Move<P>{P::busy, P::gone},
    Move<P>{P::draining, P::busy},    Move<P>{P::draining, P::terminating},
    Move<P>{P::draining, P::gone},    Move<P>{P::stopping, P::busy},
    Move<P>{P::stopping, P::stopped}, Move<P>{P::stopping, P::terminating},
    Move<P>{P::stopping, P::gone},    Move<P>{P::stopped, P::busy},
    Move<P>{P::stopped, P::starting}, Move<P>{P::stopped, P::terminating},
    Move<P>{P::stopped, P::gone},     Move<P>{P::starting, P::booting},
    Move<P>{P::starting, P::idle},    Move<P>{P::starting, P::busy},
    Move<P>{P::starting, P::stopped}, Move<P>{P::starting, P::terminating},
    Move<P>{P::starting, P::gone},    Move<P>{P::terminating, P::gone},
};

constexpr std::array<std::string_view, 5> kLeaseNames{"held", "accepted", "started", "reported",
                                                      "ended"};
constexpr std::array kLeaseMoves{
    Move<L>{L::held, L::accepted},    Move<L>{L::held, L::ended},
    Move<L>{L::accepted, L::started}, Move<L>{L::accepted, L::reported},
    Move<L>{L::accepted, L::ended},   Move<L>{L::started, L::reported},
    Move<L>{L::reported, L::ended},
};

constexpr std::array<std::string_view, 4> kIntentNames{"open", "launched", "refused", "ended"};
constexpr std::array kIntentMoves{
    Move<I>{I::open, I::launched},
    Move<I>{I::open, I::refused},
    Move<I>{I::launched, I::ended},
};

}  // namespace

template <class State>
std::string StateGraph<State>::diagram() const {
  std::string text = fmt::format("```mermaid\n---\ntitle: {}\n---\nstateDiagram-v2\n", name);
  text += fmt::format("  [*] --> {}\n", names.front());
  for (const Move<State>& one : moves) {
    text += fmt::format("  {} --> {}\n", name_of(one.from), name_of(one.to));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool ends = std::none_of(moves.begin(), moves.end(), [&](const Move<State>& one) {
      return static_cast<std::size_t>(one.from) == i;
    });
    if (ends) text += fmt::format("  {} --> [*]\n", names[i]);
  }
  return text + "```\n";
}

const StateGraph<JobState>& job_graph() {
  static const StateGraph<JobState> graph{"job", kJobNames, kJobMoves};
  return graph;
}

const StateGraph<InstancePhase>& instance_graph() {
  static const StateGraph<InstancePhase> graph{"instance", kPhaseNames, kPhaseMoves};
  return graph;
}

const StateGraph<LeaseState>& lease_graph() {
  static const StateGraph<LeaseState> graph{"lease", kLeaseNames, kLeaseMoves};
  return graph;
}

const StateGraph<IntentState>& intent_graph() {
  static const StateGraph<IntentState> graph{"intent", kIntentNames, kIntentMoves};
  return graph;
}

std::string all_state_diagrams() {
  return job_graph().diagram() + "\n" + instance_graph().diagram() + "\n" +
         lease_graph().diagram() + "\n" + intent_graph().diagram();
}

}  // namespace muster
