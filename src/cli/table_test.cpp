#include "cli/table.hpp"

#include <gtest/gtest.h>

namespace muster::cli {
namespace {

Table sample(const std::string& note) {
  Table table({{"POOL"}, {"IDLE", Table::kRight}, {"LABELS", Table::kExtra}, {"NOTE"}});
  table.add({"linux", "2", "linux,x64", note});
  return table;
}

TEST(Table, IsAsWideAsItNeeds) {
  EXPECT_EQ(
      sample("a note").lines(0),
      (std::vector<std::string>{"POOL   IDLE  LABELS     NOTE", "linux     2  linux,x64  a note"}));
}

TEST(Table, GoesWithoutExtraColumnsAndThenShortensTheLast) {
  EXPECT_EQ(sample("a note").lines(25).at(1), "linux     2  a note");
  EXPECT_EQ(sample("a note that is long").lines(26).at(1), "linux     2  a note that …");
}

TEST(Table, ShowsControlCharacters) {
  EXPECT_EQ(sample("a\x1b[2J\tb").lines(0).at(1), "linux     2  linux,x64  a\\x1b[2J\\x09b");
}

TEST(Table, ShowsWhatWouldTurnTheText) {
  EXPECT_EQ(sample("a\u202eb\u2066c\u2014").lines(0).at(1),
            "linux     2  linux,x64  a\\u202eb\\u2066c\u2014");
}

TEST(Cut, CountsCharactersAndMarksWhatIsGone) {
  EXPECT_EQ(cut("größer", 6), "größer");
  EXPECT_EQ(cut("größer", 5), "größ…");
  EXPECT_EQ(cut("größer", 1), "…");
  EXPECT_EQ(cut("a", 0), "");
}

TEST(Wrap, BreaksAtSpacesAndWhereThereAreNone) {
  EXPECT_EQ(wrap("  next      one two three", 18, 12),
            (std::vector<std::string>{"  next      one", std::string(12, ' ') + "two",
                                      std::string(12, ' ') + "three"}));
  EXPECT_EQ(wrap("ab" + std::string(6, 'x') + " end", 6, 2),
            (std::vector<std::string>{"abxxxx", "  xx", "  end"}));
  EXPECT_EQ(wrap("öööö öö", 7, 2), std::vector<std::string>{"öööö öö"});
  EXPECT_EQ(wrap("abc", 0, 2), std::vector<std::string>{"abc"});
}

}  // namespace
}  // namespace muster::cli
