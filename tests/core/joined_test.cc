#include "hadal/core/joined.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(Joined, PutsTextBetweenWords) {
  EXPECT_EQ(joined({"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(joined({"a"}, ", "), "a");
  EXPECT_EQ(joined({}, ", "), "");
  EXPECT_EQ(joined({"", "a", ""}, "|"), "a|");
}

}  // namespace
}  // namespace hadal
