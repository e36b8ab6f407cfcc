#include <fmt/format.h>

#include "service/api_call.hpp"
#include "service/api_documents.hpp"
#include "wire/json.hpp"

// What happens, as lists, as a stream, and as figures.

namespace muster {

using namespace std::chrono_literals;

namespace {

constexpr Duration kWaitMax = 60s;
constexpr int kStreamsMax = 100;
constexpr std::size_t kPieceEvents = 500;
constexpr Duration kHeartbeat = 15s;

}  // namespace

Task<Result<Node>> Api::list_events(Call* call) {
  Journal& journal = parts_.journal;
  const Result<long long> after = call->number("after", 0, 1LL << 60);
  const Result<long long> limit = call->number("limit", kPageDefault, kPageMax);
  const Result<long long> wait = call->number("wait", 0, kWaitMax / 1s);
  for (const auto* one : {&after, &limit, &wait}) {
    if (!*one) co_return tl::unexpected<Error>(one->error());
  }
  const auto number = static_cast<std::uint64_t>(*after);
  if (journal.last() <= number && *wait > 0) {
    Task<> waiting = parts_.loop.parts().clock.wait(journal.changed(), std::chrono::seconds{*wait});
    co_await std::move(waiting);
  }
  std::vector<Node> items;
  for (const JournalEntry& entry : journal.after(number, static_cast<std::size_t>(*limit))) {
    items.push_back(document_of(entry));
  }
  Node document = list_document("muster.events/1", "events", std::move(items));
  document.set("last", Node::number(static_cast<long long>(journal.last())));
  document.set("began_at", time_node(journal.began_at()));
  co_return document;
}

/// What came after that event; empty, which ends the stream, when its caller may not look any more.
Task<std::string> Api::next_events(HttpServerRequest request, std::uint64_t* after) {
  Journal& journal = parts_.journal;
  if (journal.last() <= *after) {
    Task<> waiting = parts_.loop.parts().clock.wait(journal.changed(), kHeartbeat);
    co_await std::move(waiting);
  }
  const Result<ApiCaller> caller = parts_.authenticate(request);
  if (!caller || caller->role < ApiRole::viewer) co_return std::string();
  std::string text;
  for (const JournalEntry& entry : journal.after(*after, kPieceEvents)) {
    text += fmt::format("id: {}.{}\nevent: {}\ndata: {}\n\n",
                        journal.began_at().time_since_epoch() / 1ms, entry.number, entry.kind,
                        wire::to_json(document_of(entry)));
    *after = entry.number;
  }
  co_return text.empty() ? std::string(": nothing new\n\n") : text;
}

Task<Result<Node>> Api::stream_events(Call* call) {
  const Result<long long> from =
      call->number("after", static_cast<long long>(parts_.journal.last()), 1LL << 60);
  if (!from) co_return tl::unexpected<Error>(from.error());
  if (*streams_ >= kStreamsMax) {
    co_return fail(ErrorKind::throttled, fmt::format("{} streams are open already", kStreamsMax),
                   "Close one, or ask for /events.");
  }
  auto after = std::make_shared<std::uint64_t>(static_cast<std::uint64_t>(*from));
  // A client that comes back names the last that it has; numbers begin anew with each process.
  const std::string seen = header_value(call->request.headers, "Last-Event-ID");
  if (const std::size_t dot = seen.find('.'); dot != std::string::npos) {
    const auto number = parse_integer(seen.substr(dot + 1));
    const bool is_ours =
        seen.substr(0, dot) == std::to_string(parts_.journal.began_at().time_since_epoch() / 1ms);
    *after = is_ours && number && *number >= 0 ? static_cast<std::uint64_t>(*number) : 0;
  }
  // Of a process before this one.
  if (*after > parts_.journal.last()) *after = 0;
  ++*streams_;
  const std::shared_ptr<void> open(nullptr, [count = streams_](void*) { --*count; });
  HttpServerResponse response;
  response.headers = {{"Content-Type", "text/event-stream"},
                      {"Cache-Control", "no-store"},
                      {"X-Accel-Buffering", "no"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.next_piece = [this, after, open, request = call->request] {
    return next_events(request, after.get());
  };
  call->response = std::move(response);
  co_return Node();
}

Task<Result<Node>> Api::show_metrics(Call* call) {
  HttpServerResponse response;
  response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"},
                      {"Cache-Control", "no-store"}};
  response.body = parts_.metrics.text(parts_.loop.controller(), parts_.loop.parts().clock.now(),
                                      parts_.loop.store_error().has_value());
  call->response = std::move(response);
  co_return Node();
}

}  // namespace muster
