#include "service/api_tokens.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "simulation/virtual_clock.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;

class NoStore : public TokenStore {
 public:
  Task<Status> add_token(ApiToken token) override {
    kept.push_back(std::move(token));
    co_return Status();
  }
  Task<Result<std::vector<ApiToken>>> list_tokens() override { co_return kept; }
  Task<Status> remove_token(std::string name) override {
    std::erase_if(kept, [&](const ApiToken& one) { return one.name == name; });
    co_return Status();
  }
  std::vector<ApiToken> kept;
};

class Counting : public Random {
 public:
  std::uint64_t next() override { return ++count_ * 0x9E3779B97F4A7C15ULL; }

 private:
  std::uint64_t count_ = 0;
};

/// Time that the test moves.
class SetClock : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return TimePoint{at}; }
  [[nodiscard]] Duration monotonic() const override { return at; }
  Task<> sleep(Duration) override { co_return; }
  Task<> wait(Event&, Duration) override { co_return; }
  Duration at = 1h;
};

struct ApiTokensTest : testing::Test {
  boost::asio::io_context context;
  NoStore store;
  Counting random;
  SetClock clock;
  ApiTokens tokens{store, clock, random};

  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    boost::asio::co_spawn(context, std::move(task), [&](const std::exception_ptr& failure, T got) {
      if (failure) std::rethrow_exception(failure);
      result = std::move(got);
    });
    context.restart();
    context.run();
    return std::move(*result);
  }
  std::string make(const std::string& name, ApiRole role, Duration life = {}) {
    return run(tokens.create(name, role, life, "root")).value();
  }
  ErrorKind refusal(const std::string& header, const std::string& address = "10.0.0.1") {
    const auto found = tokens.find(header, address);
    return found ? ErrorKind::corrupt : found.error().kind;
  }
};

TEST_F(ApiTokensTest, KnowsATokenByItsHashAlone) {
  const std::string token = make("ann", ApiRole::operator_);
  EXPECT_EQ(token.size(), 4U + 64U);
  EXPECT_EQ(store.kept.front().hash.find(token.substr(4)), std::string::npos);
  ApiTokens later{store, clock, random};
  ASSERT_TRUE(run(later.load()));
  const auto found = later.find("Bearer " + token, "10.0.0.1");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "token ann");
  EXPECT_EQ(found->role, ApiRole::operator_);
}

TEST_F(ApiTokensTest, RefusesWhatIsNone) {
  const std::string token = make("ann", ApiRole::viewer);
  const std::vector<std::string> wrong{"",
                                       token,
                                       "Basic " + token,
                                       "Bearer",
                                       "Bearer ",
                                       "Bearer " + token + " ",
                                       "Bearer " + token.substr(1)};
  for (const std::string& header : wrong) {
    EXPECT_EQ(refusal(header, "of " + header), ErrorKind::unauthenticated) << header;
  }
}

TEST_F(ApiTokensTest, ForgetsWhatExpiredOrWasRevoked) {
  const std::string brief = "Bearer " + make("brief", ApiRole::viewer, 10s);
  const std::string gone = "Bearer " + make("gone", ApiRole::viewer);
  EXPECT_TRUE(tokens.find(brief, "10.0.0.1"));
  clock.at += 10s;
  EXPECT_EQ(refusal(brief), ErrorKind::unauthenticated);
  EXPECT_TRUE(run(tokens.revoke("gone")));
  EXPECT_EQ(refusal(gone), ErrorKind::unauthenticated);
}

TEST_F(ApiTokensTest, SlowsDownWhoGuessesAndNobodyElse) {
  const std::string good = "Bearer " + make("ann", ApiRole::viewer);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(refusal("Bearer x"), ErrorKind::unauthenticated);
  EXPECT_EQ(refusal("Bearer x"), ErrorKind::throttled);
  EXPECT_TRUE(tokens.find(good, "10.0.0.1"));  // Behind a proxy all come from there.
  EXPECT_EQ(refusal("Bearer x", "10.0.0.2"), ErrorKind::unauthenticated);
  clock.at += 61s;
  EXPECT_EQ(refusal("Bearer x"), ErrorKind::unauthenticated);
}

TEST_F(ApiTokensTest, TakesOnlyPlainNames) {
  for (const std::string& name : {std::string(), std::string(65, 'a'), std::string("a b"),
                                  std::string("a/b"), std::string("a\n"), std::string("ä")}) {
    EXPECT_FALSE(run(tokens.create(name, ApiRole::viewer, {}, "root"))) << name;
  }
}

}  // namespace
}  // namespace muster
