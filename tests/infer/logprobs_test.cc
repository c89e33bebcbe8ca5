// infer/logprobs: of a row of logits, and of answers: what the whole model says of each token.
#include "hadal/infer/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hadal/infer/session.h"
#include "hadal/model/forward.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

TEST(Logprobs, AreNaturalLogarithmsOfTheSoftmax) {
  const std::vector<float> logits = {0.0F, std::log(2.0F), std::log(5.0F), 0.0F, 99.0F};
  const TokenLogprobs found = logprobs_of(logits, 1, 3, /*n_usable_ids=*/4);
  EXPECT_EQ(found.token, 1);
  EXPECT_NEAR(found.logprob, std::log(2.0 / 9.0), 1e-6);
  ASSERT_EQ(found.top.size(), 3U);
  EXPECT_EQ(found.top[0].token, 2);
  EXPECT_NEAR(found.top[0].logprob, std::log(5.0 / 9.0), 1e-6);
  EXPECT_EQ(found.top[1].token, 1);
  EXPECT_EQ(found.top[2].token, 0);  // before 3, which is as probable
}

TEST(Logprobs, ThereAreNoMoreThanIds) {
  EXPECT_EQ(logprobs_of(std::vector<float>{1.0F, 2.0F}, 0, 20, 0).top.size(), 2U);
  EXPECT_TRUE(logprobs_of(std::vector<float>{1.0F, 2.0F}, 0, 0, 0).top.empty());
}

TEST(Logprobs, HugeLogitsAreNoInfinity) {
  EXPECT_EQ(logprobs_of(std::vector<float>{3e38F, -3e38F}, 0, 0, 0).logprob, 0.0);
}

// Whatever was drafted, penalised or drawn: each token has the model's own probability behind the
// tokens before it.
TEST(Logprobs, OfAnAnswerAreTheModelsOwn) {
  RandomModel random(odd_config(), 3);
  const std::vector<int32_t> prompt = random.random_tokens(10, 1);
  for (const double temperature : {0.0, 0.8}) {
    for (const int64_t draft_tokens : {0, 1, 3}) {
      GenerateOptions options{.max_tokens = 20, .draft_tokens = draft_tokens, .top_logprobs = 4};
      options.sampling.temperature = temperature;
      options.sampling.repetition_penalty = 1.0 + temperature;
      options.sampling.seed = 5;
      const GenerateResult result = generate(random.ctx, random.model, prompt, options, nullptr,
                                             nullptr, {.form = LatentForm::kF32});
      ASSERT_EQ(result.tokens.size(), 20U);
      ASSERT_EQ(result.logprobs.size(), result.tokens.size());
      std::vector<int32_t> all = prompt;
      all.insert(all.end(), result.tokens.begin(), result.tokens.end());
      const Tensor logits =
          forward_logits(random.ctx, random.model, all, Sequences::equal(1, std::ssize(all)), false)
              .logits;
      for (size_t i = 0; i < result.tokens.size(); ++i) {
        const auto row =
            std::as_const(logits).mat().row(static_cast<int64_t>(prompt.size() + i) - 1);
        const TokenLogprobs want = logprobs_of(row, result.tokens[i], 4, 0);
        EXPECT_EQ(result.logprobs[i].token, result.tokens[i]);
        EXPECT_NEAR(result.logprobs[i].logprob, want.logprob, 1e-4) << i;
        ASSERT_EQ(result.logprobs[i].top.size(), 4U);
        EXPECT_EQ(result.logprobs[i].top[0].token, want.top[0].token) << i;
        EXPECT_NEAR(result.logprobs[i].top[3].logprob, want.top[3].logprob, 1e-4) << i;
      }
    }
  }
}

TEST(Logprobs, AreRefusedBeyondTwenty) {
  RandomModel random(odd_config(), 3);
  for (const int64_t wrong : {-1, 21}) {
    expect_refused<ConfigError>(
        [&] {
          generate(random.ctx, random.model, {1, 2}, {.max_tokens = 1, .top_logprobs = wrong});
        },
        "top_logprobs: out of range");
  }
}

}  // namespace
}  // namespace hadal::test
