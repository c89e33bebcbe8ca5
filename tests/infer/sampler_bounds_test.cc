// What lies exactly on a bound of the sampler. Logits of 0 have weights of exactly 1, so shares of
// them are exact too.
#include <gtest/gtest.h>

#include "hadal/infer/sampler.h"

namespace hadal {
namespace {

using Shares = std::vector<double>;

TEST(SamplerBounds, TopPEndsWhereItsShareIsReached) {
  const std::vector<float> equal(4, 0.0F);
  EXPECT_EQ(sampling_distribution(equal, {.temperature = 1.0, .top_p = 0.5}, {}, 0),
            (Shares{0.5, 0.5, 0, 0}));
  EXPECT_EQ(sampling_distribution(equal, {.temperature = 1.0, .top_k = 2, .top_p = 0.5}, {}, 0),
            (Shares{1, 0, 0, 0}));
}

TEST(SamplerBounds, MinPKeepsWhatIsAsProbableAsItAsks) {
  const std::vector<float> logits = {0.0F, -1.0F, 0.0F};
  EXPECT_EQ(sampling_distribution(logits, {.temperature = 1.0, .min_p = 1.0}, {}, 0),
            (Shares{0.5, 0, 0.5}));
}

TEST(SamplerBounds, PenaltiesOfGeneratedTokensBeginBehindThePrompt) {
  const std::vector<float> logits(3, 0.0F);
  const std::vector<int32_t> history = {0, 1, 2};  // 2 was generated
  const Shares p = sampling_distribution(
      logits, {.temperature = 1.0, .presence_penalty = 1.0, .frequency_penalty = 1.0}, history, 1);
  EXPECT_EQ(p[0], p[1]);
  EXPECT_LT(p[2], p[1]);
}

// Rounding may leave a sum below 1; what is left over goes to no token that cannot be.
TEST(SamplerBounds, WhatRoundingLeavesOverGoesToAPossibleToken) {
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(draw(Shares{0, 0.25, 0}, 1, i), 1);
}

}  // namespace
}  // namespace hadal
