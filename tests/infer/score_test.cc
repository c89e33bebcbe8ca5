// Scores are the log-probabilities of the whole-sequence pass, in windows too.
#include "hadal/infer/score.h"

#include <cmath>

#include "gtest/gtest.h"
#include "hadal/core/error.h"
#include "hadal/infer/sampler.h"
#include "hadal/model/forward.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using test::odd_config;
using test::RandomModel;

class ScoreTest : public testing::Test {
 protected:
  // log p(tokens[i] | tokens[begin .. i-1]) from the pass without a cache.
  double by_hand(const std::vector<int32_t>& tokens, size_t begin, size_t i) {
    const std::vector<int32_t> context(tokens.begin() + static_cast<int64_t>(begin),
                                       tokens.begin() + static_cast<int64_t>(i));
    const int64_t n = static_cast<int64_t>(context.size());
    const EvalOutput out =
        forward_logits(random_.ctx, random_.model, context, Sequences::equal(1, n), false);
    return std::log(sampling_distribution(out.logits.mat().row(n - 1), {.temperature = 1.0}, {},
                                          0)[static_cast<size_t>(tokens[i])]);
  }
  RandomModel random_{odd_config(), 2};
};

TEST_F(ScoreTest, EveryTokenInOneWindow) {
  const std::vector<int32_t> tokens = random_.random_tokens(30, 1);
  const std::vector<double> got = score_tokens(random_.ctx, random_.model, tokens);
  ASSERT_EQ(got.size(), 29U);
  // Logits of size 5 from sums of about 100 terms: 100 * 6e-8 * 5 and the exponentials' own share.
  for (size_t i = 1; i < 30; ++i) EXPECT_NEAR(got[i - 1], by_hand(tokens, 0, i), 5e-5) << i;
}

TEST_F(ScoreTest, LaterWindowsScoreWhatTheOnesBeforeHaveNotSeen) {
  const std::vector<int32_t> tokens = random_.random_tokens(30, 2);
  const std::vector<double> got =
      score_tokens(random_.ctx, random_.model, tokens, {.window = 12, .stride = 5});
  ASSERT_EQ(got.size(), 29U);
  for (size_t i = 1; i < 30; ++i) {
    // Windows begin at 0, 5, 10, 15, 20; token i is scored by the first one that reaches it.
    const size_t begin = i < 12 ? 0 : 5 * ((i - 12) / 5 + 1);
    EXPECT_NEAR(got[i - 1], by_hand(tokens, begin, i), 5e-5) << i;
  }
}

TEST_F(ScoreTest, ATokenAloneHasNoScore) {
  EXPECT_TRUE(score_tokens(random_.ctx, random_.model, {}).empty());
  EXPECT_TRUE(score_tokens(random_.ctx, random_.model, {3}).empty());
  EXPECT_EQ(score_tokens(random_.ctx, random_.model, {3, 4}).size(), 1U);
}

TEST_F(ScoreTest, WrongWindowsAndIdsAreErrors) {
  const std::vector<int32_t> tokens = {1, 2, 3};
  const auto refused = [&](const std::vector<int32_t>& ids, const ScoreOptions& options) {
    return test::refusal_of([&] { score_tokens(random_.ctx, random_.model, ids, options); });
  };
  EXPECT_EQ(refused(tokens, {.window = 1}).field, "window");
  EXPECT_EQ(refused(tokens, {.window = 513}).expected, "2 to 512, or 0 for all positions");
  EXPECT_EQ(refused(tokens, {.window = -64}).field, "window");
  EXPECT_EQ(refused(tokens, {.window = 4, .stride = -1}).field, "stride");
  EXPECT_EQ(refused(tokens, {.window = 4, .stride = 4}).field, "stride");
  EXPECT_EQ(refused(tokens, {.window = 4, .stride = 4}).found, "4");
  EXPECT_EQ(refused({1, 53}, {}).field, "token_ids");
}

}  // namespace
}  // namespace hadal
