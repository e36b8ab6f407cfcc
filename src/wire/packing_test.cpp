#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "wire/digest.hpp"
#include "wire/encoding.hpp"
#include "wire/gzip.hpp"
#include "wire/sealed.hpp"

namespace muster::wire {
namespace {

const std::string kNonce(12, 'n');
Secret key_of(const std::string& name) { return Secret(hkdf_sha256(name, "test", 32)); }

TEST(Sealed, OpensWithTheSameKeyOnly) {
  const std::string sealed = seal(key_of("a"), kNonce, "secret text");
  EXPECT_EQ(sealed.find("secret"), std::string::npos);
  ASSERT_TRUE(unseal(key_of("a"), sealed).has_value());
  EXPECT_EQ(unseal(key_of("a"), sealed)->reveal(), "secret text");
  EXPECT_FALSE(unseal(key_of("b"), sealed).has_value());
  EXPECT_FALSE(unseal(key_of("a"), "").has_value());
}

TEST(Sealed, NoticesEachChangedBit) {
  const std::string sealed = seal(key_of("a"), kNonce, "text");
  for (std::size_t i = 0; i < sealed.size() * 8; ++i) {
    std::string changed = sealed;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << i % 8));
    EXPECT_FALSE(unseal(key_of("a"), changed).has_value()) << i;
  }
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    EXPECT_FALSE(unseal(key_of("a"), sealed.substr(0, i)).has_value()) << i;
  }
}

TEST(Sealed, OpensTheVectorOfDronesEncryptedSecrets) {
  // drone.md 10.2
  const Secret key("O9AhOJ23FHtiiXejAl381QG4fg9Zv3LK");
  const auto bytes =
      base64_decode("6OEK5rMVitI+S7//bLJSuwbIGq7/rtlj/V30DhhUa1sYWQd+CsCb/YUUhJ1F6pRBTVlBmiFHxq4=");
  ASSERT_TRUE(bytes.has_value());
  const auto plain = unseal(key, *bytes);
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->reveal(), "correct-horse-battery-staple");
}

TEST(Gzip, UnpacksWhatItPacks) {
  EXPECT_TRUE(rc::check([](const std::string& bytes) {
    const std::string packed = gzip(bytes);
    RC_ASSERT(is_gzip(packed));
    RC_ASSERT(*gunzip(packed) == bytes);
    RC_ASSERT(packed == gzip(bytes));
  }));
}

TEST(Gzip, RefusesBombsAndRubbish) {
  const std::string bomb = gzip(std::string(3 << 20, '\0'));
  EXPECT_LT(bomb.size(), 10'000U);
  EXPECT_FALSE(gunzip(bomb).has_value());
  EXPECT_FALSE(gunzip(bomb.substr(0, bomb.size() / 2)).has_value());
  EXPECT_FALSE(gunzip("\x1f\x8b rubbish").has_value());
  EXPECT_FALSE(is_gzip("#!/bin/sh"));
}

}  // namespace
}  // namespace muster::wire
