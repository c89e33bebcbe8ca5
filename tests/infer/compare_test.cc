// Two models on one text: the sums are those of scoring each, a model differs from itself by nothing.
#include "hadal/infer/compare.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using test::odd_config;
using test::RandomModel;

class CompareTest : public testing::Test {
 protected:
  double score(RandomModel& one, const ScoreOptions& options) {
    const std::vector<double> logprobs = score_tokens(one.ctx, one.model, tokens_, options);
    return -std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
  }
  RandomModel a_{odd_config(), 2}, b_{odd_config(), 3};
  std::vector<int32_t> tokens_ = a_.random_tokens(40, 1);
};

TEST_F(CompareTest, SumsAreThoseOfScoringEach) {
  for (const ScoreOptions& options : {ScoreOptions{}, ScoreOptions{.window = 12, .stride = 5}}) {
    const Comparison got = compare_models(a_.ctx, a_.model, b_.model, tokens_, options);
    EXPECT_EQ(got.n_tokens, 39);
    EXPECT_NEAR(got.nats, score(a_, options), 1e-9);
    EXPECT_NEAR(got.other_nats, score(b_, options), 1e-9);
    // Unlike models with logits spread over about one unit: KL of that order.
    EXPECT_GT(got.mean_kl, 0.1);
    EXPECT_GE(got.largest_kl, got.kl_99_percent);
    EXPECT_GE(got.kl_99_percent, got.mean_kl);
    EXPECT_LT(got.same_choice, 0.9);
  }
}

TEST_F(CompareTest, AModelIsNotFarFromItself) {
  const Comparison got = compare_models(a_.ctx, a_.model, a_.model, tokens_);
  EXPECT_EQ(got.nats, got.other_nats);
  EXPECT_EQ(got.largest_kl, 0.0);
  EXPECT_EQ(got.same_choice, 1.0);
}

TEST_F(CompareTest, AnotherVocabularyIsRefused) {
  RandomModel other(test::text_shape(odd_config().vocab_size + 1));
  EXPECT_EQ(test::refusal_of([&] { compare_models(a_.ctx, a_.model, other.model, tokens_); }).field,
            "other");
}

}  // namespace
}  // namespace hadal
