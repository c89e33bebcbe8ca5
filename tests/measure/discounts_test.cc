#include <gtest/gtest.h>

#include <fstream>

#include "hadal/measure/byte_ngram.h"
#include "hadal/measure/measurement.h"

namespace hadal {
namespace {

// One byte each with count 1, 2, 3 and 4: y = 1/3, so D1 = 1/3, D2 = 1, D3 = 5/3 (Chen and Goodman),
// and what is taken off, D1 + D2 + 2 D3 = 14/3, is shared out among all 256 bytes.
TEST(Discounts, OnceTwiceAndMoreOftenLoseDifferentAmounts) {
  ByteNgram model(0);
  model.add("abbcccdddd");
  model.finish();
  const double shared = 14.0 / 3 / 256;
  EXPECT_DOUBLE_EQ(model.probability("", 'a'), (1 - 1.0 / 3 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'b'), (2 - 1.0 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'c'), (3 - 5.0 / 3 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'd'), (4 - 5.0 / 3 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'z'), shared / 10);
}

// The kernel says the same in kB.
TEST(PeakMemory, IsInMebibytes) {
  std::ifstream status("/proc/self/status");
  std::string key;
  double kilobytes = 0;
  while (status >> key) {
    if (key == "VmHWM:") status >> kilobytes;
  }
  ASSERT_GT(kilobytes, 0);
  EXPECT_NEAR(peak_rss_mib(), kilobytes / 1024, 0.2 * kilobytes / 1024 + 1);
}

}  // namespace
}  // namespace hadal
