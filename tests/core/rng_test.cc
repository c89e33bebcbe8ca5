#include "hadal/core/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace hadal {
namespace {

std::vector<uint32_t> first_block(RngState state) {
  Rng rng(state);
  return {rng.next_u32(), rng.next_u32(), rng.next_u32(), rng.next_u32()};
}

// Known answers of philox4x32-10, published with the generator (Random123, kat_vectors).
TEST(Rng, KnownAnswers) {
  EXPECT_EQ(first_block({.seed = 0, .stream = 0, .block = 0, .used = 4}),
            (std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(first_block({.seed = ~0ULL, .stream = ~0ULL, .block = ~0ULL, .used = 4}),
            (std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(first_block({.seed = 0x299f31d0a4093822,
                         .stream = 0x0370734413198a2e,
                         .block = 0x85a308d3243f6a88,
                         .used = 4}),
            (std::vector<uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, AStateResumesInTheMiddleOfABlock) {
  for (int drawn = 0; drawn < 9; ++drawn) {
    Rng original(7, 3);
    for (int i = 0; i < drawn; ++i) original.next_u32();
    Rng resumed(original.state());
    EXPECT_EQ(resumed.state(), original.state());
    for (int i = 0; i < 10; ++i) EXPECT_EQ(resumed.next_u32(), original.next_u32()) << drawn;
  }
}

TEST(Rng, StreamsAndSeedsDiffer) {
  EXPECT_NE(Rng(1, 0).next_u64(), Rng(1, 1).next_u64());
  EXPECT_NE(Rng(1, 0).next_u64(), Rng(2, 0).next_u64());
}

TEST(Rng, UniformBelowIsUnbiased) {
  // 2^64 is no multiple of 3 * 2^62: taking the remainder would give the lower third twice as
  // often.
  const uint64_t bound = 3ULL << 62;
  Rng rng(5);
  const int n = 30000;
  int lower = 0;
  for (int i = 0; i < n; ++i) {
    const uint64_t value = rng.uniform_below(bound);
    ASSERT_LT(value, bound);
    lower += value < (1ULL << 62) ? 1 : 0;
  }
  // Binomial(n, 1/3): five standard deviations are 408.
  EXPECT_NEAR(lower, n / 3, 408);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.uniform_below(1), 0U);
}

TEST(Rng, UniformBelowChiSquare) {
  std::vector<int> counts(10);
  Rng rng(6);
  const int n = 100000;
  for (int i = 0; i < n; ++i) ++counts[rng.uniform_below(10)];
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - n / 10.0) * (count - n / 10.0) / (n / 10.0);
  EXPECT_LT(chi_square, 33.7);  // 9 degrees of freedom, p = 1e-4; the seed is fixed
}

TEST(Rng, UniformStaysInItsInterval) {
  Rng rng(8);
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double value = rng.uniform();
    ASSERT_TRUE(value >= 0.0 && value < 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 5 / std::sqrt(12.0 * 10000));
}

TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
  Rng rng(9);
  const int n = 100000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double value = rng.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / n, 0.0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1.0, 5 * std::sqrt(2.0 / n));
}

}  // namespace
}  // namespace hadal
