#include "cli/terminal.hpp"

#include <gtest/gtest.h>

namespace muster::cli {
namespace {

std::vector<Key> keys_of(std::vector<std::string> pieces) {
  KeyDecoder decoder;
  std::vector<Key> keys;
  for (const std::string& piece : pieces) {
    decoder.feed(piece);
    while (const auto key = decoder.take()) keys.push_back(*key);
  }
  while (const auto key = decoder.take(true)) keys.push_back(*key);
  return keys;
}

TEST(KeyDecoder, KnowsTheKeys) {
  EXPECT_EQ(keys_of({"\x1b[A\x1bOBkj\r\t q\x1b[5~\x1b[6~\x7f"}),
            (std::vector<Key>{Key::up, Key::down, Key::up, Key::down, Key::enter, Key::tab,
                              Key::hold, Key::quit, Key::page_up, Key::page_down, Key::back}));
}

TEST(KeyDecoder, PutsPiecesTogether) {
  EXPECT_EQ(keys_of({"\x1b", "[", "B", "\x1b[", "6", "~"}),
            (std::vector<Key>{Key::down, Key::page_down}));
}

TEST(KeyDecoder, TakesAnEscapeBeforeAnotherKeyAndAlone) {
  EXPECT_EQ(keys_of({"\x1bq"}), (std::vector<Key>{Key::back, Key::quit}));
  EXPECT_EQ(keys_of({"\x1b"}), std::vector<Key>{Key::back});
}

TEST(KeyDecoder, LosesNothingAfterAKeyThatIsUnknown) {
  EXPECT_EQ(keys_of({"\x1b[1;5Aq"}), (std::vector<Key>{Key::none, Key::quit}));
  EXPECT_EQ(keys_of({"xq"}), (std::vector<Key>{Key::none, Key::quit}));
  EXPECT_EQ(keys_of({"\x1b["}), std::vector<Key>{Key::none});
}

}  // namespace
}  // namespace muster::cli
