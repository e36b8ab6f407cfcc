#include <fmt/format.h>

#include <algorithm>

#include "service/control_loop.hpp"

// One launch: the same frozen call until the cloud has said what became of it.

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kPauseMax = 10s;
constexpr Duration kAskTimeMax = 70s;
// EC2 keeps a token for at least 24 hours; what is older must not be sent again.
constexpr Duration kTokenLife = 20h;

LaunchAnswered refusal(const IntentId& id, Error error) {
  LaunchAnswered answer;
  answer.intent = id;
  answer.error = std::move(error);
  return answer;
}

}  // namespace

Task<LaunchAnswered> ControlLoop::ask_for_launch(IntentId id, FrozenCall call,
                                                 TimePoint created_at) {
  Duration pause = 500ms;
  // Whoever finds an open intent after a restart does not know whether it was sent.
  bool is_unknown = restored_.contains(id);
  while (true) {
    if (parts_.clock.now() - created_at > kTokenLife) {
      co_return refusal(id, fail(ErrorKind::conflict, "its token is too old to be sent again",
                                 "What it made is found by its tags.")
                                .value());
    }
    Task<Result<LaunchAnswer>> sending = parts_.cloud.launch(call);
    Task<Result<LaunchAnswer>> bounded =
        with_deadline(parts_.clock, kAskTimeMax, std::move(sending));
    const Result<LaunchAnswer> answer = co_await std::move(bounded);
    if (answer) {
      LaunchAnswered told;
      told.intent = id;
      for (const CloudInstance& one : answer->instances) told.instances.push_back(seen_of(one));
      for (const LaunchAnswer::Refusal& one : answer->refusals) {
        told.refusals.emplace_back(one.offering, one.error);
      }
      if (told.instances.empty()) {
        told.error = told.refusals.empty()
                         ? fail(ErrorKind::capacity_unavailable, "nothing was launched").value()
                         : told.refusals.front().second;
      }
      co_return told;
    }
    const ErrorKind kind = answer.error().kind;
    const bool is_final = !may_have_acted(kind) && !(is_turned_away(kind) && is_unknown) &&
                          kind != ErrorKind::throttled;
    if (is_final) co_return refusal(id, answer.error());
    is_unknown = is_unknown || may_have_acted(kind);
    post(LaunchTrouble{id, answer.error()});
    parts_.log.warn("launch_not_answered",
                    {{"intent_id", id}, {"error", answer.error().describe()}});
    co_await parts_.clock.sleep(pause);
    pause = std::min<Duration>(pause * 2, kPauseMax);
    // What it has made was found without its answer.
    const Intent* intent = fleet().find(id);
    const bool is_found = intent == nullptr || intent->state != IntentState::open;
    if (is_found) co_return LaunchAnswered{id, {}, {}, {}};
  }
}

Task<> ControlLoop::send_launch(IntentId id) {
  const Intent* intent = fleet().find(id);
  const auto call = calls_.find(id);
  LaunchAnswered answer;
  if (intent == nullptr) {
    launching_.erase(id);
    co_return;
  }
  if (call == calls_.end()) {
    // Committed without its call: nothing can have been sent.
    answer = refusal(id, fail(ErrorKind::unavailable, "its pool cannot be launched from").value());
  } else {
    const TimePoint created_at = intent->created_at;
    FrozenCall frozen = call->second;
    Task<LaunchAnswered> asking = ask_for_launch(id, std::move(frozen), created_at);
    answer = co_await std::move(asking);
  }
  if (answer.error) {
    parts_.log.info("launch_refused", {{"intent_id", id}, {"error", answer.error->describe()}});
  }
  for (const SeenInstance& one : answer.instances) {
    parts_.log.info("instance_launched", {{"instance_id", one.id}, {"intent_id", id}});
  }
  Task<> telling = submit(std::move(answer));
  co_await std::move(telling);
  launching_.erase(id);
}

}  // namespace muster
