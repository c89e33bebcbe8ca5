// The distribution is checked against hand-made examples, the sampling against it by chi-square.
#include "hadal/infer/sampler.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "hadal/core/error.h"
#include "tests/infer/chi_square.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

// Logits whose softmax at temperature 1 is 0.4, 0.3, 0.2, 0.1.
std::vector<float> four_logits() {
  return {std::log(0.4F), std::log(0.3F), std::log(0.2F), std::log(0.1F)};
}

void expect_probabilities(const std::vector<double>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  // The logits are f32: their relative error of 2^-24 times |logit| < 3 bounds the probabilities'.
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 4e-7) << "id " << i;
}

TEST(Sampler, TemperatureOneIsTheSoftmax) {
  const auto p = sampling_distribution(four_logits(), {.temperature = 1.0}, {}, 0);
  expect_probabilities(p, {0.4, 0.3, 0.2, 0.1});
}

TEST(Sampler, TemperatureIsAnExponentOfTheProbabilities) {
  // p^(1/0.5) = p^2: 0.16, 0.09, 0.04, 0.01 of 0.30
  const auto p = sampling_distribution(four_logits(), {.temperature = 0.5}, {}, 0);
  expect_probabilities(p, {16.0 / 30, 9.0 / 30, 4.0 / 30, 1.0 / 30});
}

TEST(Sampler, TemperatureZeroIsThePointMassOfTheArgmax) {
  const std::vector<float> logits = {1.0F, 3.0F, 3.0F, 2.0F};
  expect_probabilities(sampling_distribution(logits, {}, {}, 0), {0, 1, 0, 0});
  EXPECT_EQ(argmax(logits, 0), 1) << "a tie goes to the lowest id";
}

TEST(Sampler, TopKKeepsTheKLargestAndRenormalises) {
  const auto p = sampling_distribution(four_logits(), {.temperature = 1.0, .top_k = 2}, {}, 0);
  expect_probabilities(p, {4.0 / 7, 3.0 / 7, 0, 0});
}

TEST(Sampler, TopKBreaksTiesTowardsTheLowerId) {
  const std::vector<float> logits = {0.0F, 1.0F, 1.0F, 1.0F};
  const auto p = sampling_distribution(logits, {.temperature = 1.0, .top_k = 2}, {}, 0);
  expect_probabilities(p, {0, 0.5, 0.5, 0});
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  // 0.4 + 0.3 = 0.7 reaches 0.65; the 0.3 that crosses the line stays.
  const auto p = sampling_distribution(four_logits(), {.temperature = 1.0, .top_p = 0.65}, {}, 0);
  expect_probabilities(p, {4.0 / 7, 3.0 / 7, 0, 0});
  const auto one = sampling_distribution(four_logits(), {.temperature = 1.0, .top_p = 1e-9}, {}, 0);
  expect_probabilities(one, {1, 0, 0, 0});
}

TEST(Sampler, TopPCountsSharesOfWhatTopKLeft) {
  // Of 0.4, 0.3, 0.2 (top-k 3) the first two hold 7/9 = 0.78 >= 0.75; of all four they would not.
  const SamplingOptions options{.temperature = 1.0, .top_k = 3, .top_p = 0.75};
  expect_probabilities(sampling_distribution(four_logits(), options, {}, 0),
                       {4.0 / 7, 3.0 / 7, 0, 0});
}

TEST(Sampler, MinPLeavesOutWhatIsFarBelowTheBest) {
  // 0.6 of 0.4 is 0.24: 0.2 and 0.1 go, whatever the temperature made of the others.
  const auto p = sampling_distribution(four_logits(), {.temperature = 1.0, .min_p = 0.6}, {}, 0);
  expect_probabilities(p, {4.0 / 7, 3.0 / 7, 0, 0});
  const auto one = sampling_distribution(four_logits(), {.temperature = 1.0, .min_p = 1.0}, {}, 0);
  expect_probabilities(one, {1, 0, 0, 0});
}

TEST(Sampler, SuppressedIdsAreNeverChosen) {
  const SamplingOptions greedy{.suppressed_ids = {0, 77, 2}};  // one of them not in the vocabulary
  EXPECT_FALSE(greedy.is_plain_greedy());
  expect_probabilities(sampling_distribution(four_logits(), greedy, {}, 0), {0, 1, 0, 0});
  const SamplingOptions sampled{.temperature = 1.0, .suppressed_ids = {0}};
  expect_probabilities(sampling_distribution(four_logits(), sampled, {}, 0),
                       {0, 3.0 / 6, 2.0 / 6, 1.0 / 6});
}

TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogitsOfAllSeen) {
  const std::vector<float> logits = {2.0F, -2.0F, 0.5F, 0.0F};
  const std::vector<int32_t> history = {0, 1, 0};
  const SamplingOptions options{.temperature = 1.0, .repetition_penalty = 2.0};
  const auto p = sampling_distribution(logits, options, history, 0);
  const double sum = std::exp(1.0) + std::exp(-4.0) + std::exp(0.5) + 1.0;
  expect_probabilities(p,
                       {std::exp(1.0) / sum, std::exp(-4.0) / sum, std::exp(0.5) / sum, 1 / sum});
}

TEST(Sampler, PresenceAndFrequencyPenaltiesCountGeneratedTokensOnly) {
  const std::vector<float> logits = {0.0F, 0.0F, 0.0F};
  const std::vector<int32_t> history = {2, 2, 0, 0, 1};  // prompt 2 2, generated 0 0 1
  const SamplingOptions options{
      .temperature = 1.0, .presence_penalty = 0.5, .frequency_penalty = 0.25};
  const auto p = sampling_distribution(logits, options, history, 3);
  const double a = std::exp(-1.0), b = std::exp(-0.75), sum = a + b + 1.0;
  expect_probabilities(p, {a / sum, b / sum, 1 / sum});
}

TEST(Sampler, PaddedIdsAreNeverChosen) {
  const std::vector<float> logits = {0.0F, 1.0F, 50.0F};
  const auto p = sampling_distribution(logits, {.temperature = 1.0, .n_usable_ids = 2}, {}, 0);
  EXPECT_EQ(p[2], 0.0);
  EXPECT_NEAR(p[0] + p[1], 1.0, 1e-15);
  EXPECT_EQ(argmax(logits, 2), 1);
}

TEST(Sampler, MinusInfinityIsImpossibleAndNaNAnError) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> masked = {-inf, 0.0F, -inf};
  expect_probabilities(sampling_distribution(masked, {.temperature = 1.0}, {}, 0), {0, 1, 0});
  const char* refused = "logits: no token can be chosen";
  test::expect_refused<Error>([&] { argmax(std::vector<float>{nan, nan}, 0); }, refused);
  for (const std::vector<float>& logits : {std::vector<float>{0.0F, nan}, {-inf, -inf}}) {
    test::expect_refused<Error>([&] { sampling_distribution(logits, {.temperature = 1.0}, {}, 0); },
                                refused);
  }
}

TEST(Sampler, DrawsFollowTheDistribution) {
  // Within a group of 64 ids, and over three groups of them.
  std::vector<double> wide(150, 0.0);
  wide[3] = 0.3;
  wide[63] = 0.1;
  wide[64] = 0.2;
  wide[149] = 0.4;
  for (const std::vector<double>& p : {std::vector<double>{0.05, 0.0, 0.5, 0.25, 0.2}, wide}) {
    const int64_t n = 20000;
    for (const bool one_seed : {true, false}) {  // along an answer, and over answers
      std::vector<int64_t> counts(p.size(), 0);
      for (int64_t i = 0; i < n; ++i) {
        const int32_t token = one_seed ? draw(p, 7, i) : draw(p, static_cast<uint64_t>(i), 3);
        ++counts[static_cast<size_t>(token)];
      }
      for (size_t id = 0; id < p.size(); ++id) EXPECT_TRUE(p[id] > 0 || counts[id] == 0);
      EXPECT_LT(chi_square(counts, p, n), chi_square_limit(3));
    }
  }
}

// What makes sampled drafts worth while: half of |p - q| summed is 0.1 here, so no way to draw both
// gives equal tokens more often than 0.9. A race of all ids promises 0.9 / 1.1 = 0.82; two rounds
// come close.
TEST(Sampler, LikeDistributionsMostlyGiveTheSameToken) {
  std::vector<double> p(100, 0.004), q(100, 0.004);
  p[5] = 0.6;
  p[70] += 0.004;
  q[5] = 0.5;
  q[70] += 0.104;
  int64_t equal = 0;
  const int64_t n = 10000;
  for (int64_t i = 0; i < n; ++i) equal += draw(p, 1, i) == draw(q, 1, i);
  EXPECT_GT(static_cast<double>(equal) / static_cast<double>(n), 0.8);
}

TEST(Sampler, WhatIsCutAwayChangesNoOtherDraw) {
  const std::vector<double> all(40, 1.0 / 40);
  std::vector<double> cut = all;
  std::fill_n(cut.begin(), 20, 0.0);
  for (int64_t i = 0; i < 200; ++i) {
    const int32_t token = draw(all, 5, i);
    if (token >= 20) {
      EXPECT_EQ(draw(cut, 5, i), token) << i;
    }
  }
}

TEST(Sampler, CandidatesAreTheIdsThatCouldHaveBeenDrawn) {
  const std::vector<float> logits = {0.0F, 3.0F, 1.0F, 2.0F};
  std::vector<int32_t> candidates = {9};
  choose_token(logits, {.temperature = 1.0}, {}, 0, &candidates);
  EXPECT_TRUE(candidates.empty()) << "nothing cut off";
  choose_token(logits, {.temperature = 1.0, .top_k = 2}, {}, 0, &candidates);
  EXPECT_EQ(candidates, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(choose_token(logits, {}, {}, 0, &candidates), 1);
  EXPECT_EQ(candidates, std::vector<int32_t>{1}) << "greedy";
}

TEST(Sampler, AWrongSettingIsNamed) {
  const auto refused = [](const SamplingOptions& options) {
    return test::refusal_of([&] { options.validate(); });
  };
  EXPECT_TRUE(refused({}).empty());
  EXPECT_EQ(refused({.temperature = -0.5}).field, "temperature");
  EXPECT_EQ(refused({.temperature = std::nan("")}).field, "temperature");
  EXPECT_EQ(refused({.top_k = -1}).field, "top_k");
  EXPECT_EQ(refused({.top_p = 0.0}).field, "top_p");
  EXPECT_EQ(refused({.top_p = 1.5}).field, "top_p");
  EXPECT_EQ(refused({.min_p = -0.1}).field, "min_p");
  EXPECT_EQ(refused({.min_p = 1.5}).expected, "0 to 1");
  EXPECT_EQ(refused({.top_p = 1.5}).found, "1.5");
  EXPECT_EQ(refused({.top_p = 1.5}).expected, "more than 0, at most 1");
  EXPECT_EQ(refused({.repetition_penalty = 0.0}).field, "repetition_penalty");
  EXPECT_EQ(refused({.presence_penalty = 2.5}).field, "presence_penalty");
  EXPECT_EQ(refused({.frequency_penalty = -3}).field, "frequency_penalty");
  EXPECT_EQ(refused({.frequency_penalty = -3}).expected, "-2 to 2");
}

}  // namespace
}  // namespace hadal
