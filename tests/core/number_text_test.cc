#include "hadal/core/number_text.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(NumberText, BytesHaveThreeFiguresAndAUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(999999), "1.0 MB");
  EXPECT_EQ(human_bytes(123.4e9), "123 GB");
}

TEST(NumberText, Counts) {
  EXPECT_EQ(human_count(7), "7");
  EXPECT_EQ(human_count(11.8e6), "11.8M");
  EXPECT_EQ(human_count(671.0e9), "671B");
}

TEST(NumberText, Seconds) {
  EXPECT_EQ(human_seconds(12.4), "12 s");
  EXPECT_EQ(human_seconds(59.6), "1 min 00 s");
  EXPECT_EQ(human_seconds(245), "4 min 05 s");
  EXPECT_EQ(human_seconds(7380), "2 h 03 min");
  EXPECT_EQ(human_seconds(-5), "0 s");
}

TEST(NumberText, PlainNumbersAndShares) {
  EXPECT_EQ(plain_number(62914560), "62914560");
  EXPECT_EQ(plain_number(0.38941), "0.38941");
  EXPECT_EQ(plain_number(-0.0), "0");
  EXPECT_EQ(percent(0.0909), "9.1 %");
  EXPECT_EQ(printed("%.3f", 0.5), "0.500");
}

TEST(NumberText, QuantitiesInTheHabitsOfTheirUnit) {
  const struct {
    double value;
    const char *unit, *text;
  } cases[] = {{2664000, "GPU-hours", "2664K GPU-hours"},
               {5.576e6, "USD", "5.576M USD"},
               {6.4e9, "B", "6.400 GB"},
               {250.456e9, "FLOP/token", "250.5 GFLOP/token"},
               {0.3894, "fraction", "38.94 %"},
               {0.0123, "s", "12.30 ms"},
               {19.926, "s", "19.93 s"},
               {3.1e-6, "s", "3.100 us"},
               {671026419200.0, "parameters", "671.0B parameters"},
               {2048, "", "2048"},
               {120, "sequences", "120 sequences"},
               {0, "s", "0.000 s"},
               {-2e9, "B", "-2.000 GB"}};
  for (const auto& c : cases) EXPECT_EQ(human_quantity(c.value, c.unit), c.text);
}

}  // namespace
}  // namespace hadal
