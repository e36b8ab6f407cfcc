#include "base/task_scope.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/event.hpp"
#include "base/race.hpp"

namespace muster {
namespace {

namespace asio = boost::asio;

void run(asio::io_context& context, Task<> task) {
  asio::co_spawn(context, std::move(task), [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  context.run();
}

Task<> wait_for_ever(Event* event, bool* has_ended) {
  struct Ended {
    bool* flag;
    ~Ended() { *flag = true; }
  } const ended{has_ended};
  while (true) co_await event->wait();
}

Task<> cancel_and_join(TaskScope* scope, Event* event, bool* has_ended) {
  scope->spawn(wait_for_ever(event, has_ended));
  Event other(co_await asio::this_coro::executor);
  asio::post(co_await asio::this_coro::executor, [&other] { other.notify_all(); });
  co_await other.wait();
  EXPECT_FALSE(*has_ended);
  EXPECT_EQ(scope->size(), 1U);
  scope->cancel();
  co_await scope->join();
  EXPECT_TRUE(*has_ended);
}

TEST(TaskScope, JoinsWhatItCancelled) {
  asio::io_context context;
  TaskScope scope(context.get_executor());
  Event event(context.get_executor());
  bool has_ended = false;
  run(context, cancel_and_join(&scope, &event, &has_ended));
  EXPECT_TRUE(has_ended);
}

Task<> spawn_after_cancel(TaskScope* scope, Event* event, bool* has_ended) {
  scope->cancel();
  scope->spawn(wait_for_ever(event, has_ended));
  co_await scope->join();
}

TEST(TaskScope, CancelsWhatComesAfterItWasCancelled) {
  asio::io_context context;
  TaskScope scope(context.get_executor());
  Event event(context.get_executor());
  bool has_ended = false;
  run(context, spawn_after_cancel(&scope, &event, &has_ended));
  EXPECT_TRUE(has_ended);
}

Task<> do_nothing() { co_return; }

Task<> race_both(Event* event, bool* has_ended, std::size_t* winner) {
  Task<> endless = wait_for_ever(event, has_ended);
  Task<> short_one = do_nothing();
  *winner = co_await race(std::move(endless), std::move(short_one));
}

TEST(Race, CancelsTheLoser) {
  asio::io_context context;
  Event event(context.get_executor());
  bool has_ended = false;
  std::size_t winner = 9;
  run(context, race_both(&event, &has_ended, &winner));
  EXPECT_EQ(winner, 1U);
  EXPECT_TRUE(has_ended);
}

}  // namespace
}  // namespace muster
