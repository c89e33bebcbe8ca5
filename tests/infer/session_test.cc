// What generate() promises besides its tokens: ends, counts, errors, and reuse of the cache.
#include "hadal/infer/session.h"

#include "gtest/gtest.h"
#include "hadal/core/error.h"
#include "hadal/model/forward.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using test::odd_config;
using test::RandomModel;

class SessionTest : public testing::Test {
 protected:
  GenerateResult run(const GenerateOptions& options, const OnToken& on_token = nullptr,
                     const OnPrefill& on_prefill = nullptr) {
    return generate(random_.ctx, random_.model, prompt_, options, on_token, on_prefill);
  }
  Refusal refused(const std::vector<int32_t>& prompt, const GenerateOptions& options) {
    return test::refusal_of([&] { generate(random_.ctx, random_.model, prompt, options); });
  }
  RandomModel random_{odd_config(), 3};
  std::vector<int32_t> prompt_ = random_.random_tokens(10, 1);
};

TEST_F(SessionTest, StopsAtTheNumberOfTokens) {
  for (const int64_t draft_tokens : {0, 1, 3}) {
    for (const int64_t n : {1, 2, 3, 4, 17}) {
      const GenerateResult result = run({.max_tokens = n, .draft_tokens = draft_tokens});
      EXPECT_EQ(static_cast<int64_t>(result.tokens.size()), n);
      EXPECT_EQ(result.finish_reason, "length");
      EXPECT_EQ(result.prompt_tokens, 10);
      // The first token comes from the prompt's pass; each step gives one and the drafts kept.
      EXPECT_EQ(result.decoded_tokens, n - 1);
      EXPECT_EQ(result.decode_steps + result.accepted(), n - 1);
      EXPECT_LE(result.accepted(), result.drafted());
    }
  }
}

TEST_F(SessionTest, StopsBeforeAStopTokenWhereverItFalls) {
  const std::vector<int32_t> tokens = run({.max_tokens = 40}).tokens;
  for (const int64_t draft_tokens : {0, 1, 2}) {
    for (size_t at = 0; at < tokens.size(); at += 3) {
      const int32_t stop = tokens[at];
      const auto first = std::find(tokens.begin(), tokens.end(), stop);
      GenerateOptions options{.max_tokens = 40, .draft_tokens = draft_tokens};
      options.stop_tokens = {stop};
      const GenerateResult result = run(options);
      EXPECT_EQ(result.tokens, std::vector<int32_t>(tokens.begin(), first));
      EXPECT_EQ(result.finish_reason, "stop");
    }
  }
}

TEST_F(SessionTest, TheCallerCanStopIt) {
  int64_t seen = 0;
  const GenerateResult result =
      run({.max_tokens = 40, .draft_tokens = 2}, [&](int32_t) { return ++seen < 5; });
  EXPECT_EQ(result.tokens.size(), 5U);
  EXPECT_EQ(result.finish_reason, "stop");
  const GenerateResult given_up = run({.max_tokens = 5}, nullptr, [](double) { return false; });
  EXPECT_TRUE(given_up.tokens.empty());
  EXPECT_EQ(given_up.finish_reason, "stop");
}

TEST_F(SessionTest, TheSameSeedGivesTheSameTokens) {
  GenerateOptions options{.max_tokens = 50, .sampling = {.temperature = 1.0, .seed = 9}};
  for (const int64_t draft_tokens : {0, 2}) {
    options.draft_tokens = draft_tokens;
    const std::vector<int32_t> tokens = run(options).tokens;
    EXPECT_EQ(run(options).tokens, tokens);
    GenerateOptions other = options;
    other.sampling.seed = 10;
    EXPECT_NE(run(other).tokens, tokens);
  }
}

TEST_F(SessionTest, PaddedIdsAreNeverWritten) {
  GenerateOptions options{.max_tokens = 200, .sampling = {.temperature = 2.0, .n_usable_ids = 20}};
  options.draft_tokens = 2;
  for (const int32_t token : run(options).tokens) EXPECT_LT(token, 20);
}

TEST_F(SessionTest, WrongOptionsAreNamedBeforeAnythingRuns) {
  const Refusal too_long = refused(prompt_, {.max_tokens = 503});  // 512 positions, 10 taken
  EXPECT_EQ(too_long.field, "max_tokens");
  EXPECT_EQ(too_long.found, "10 tokens of prompt and 503 to write");
  EXPECT_EQ(too_long.expected, "at most 512 together");
  EXPECT_EQ(too_long.advice, "shorten the prompt or lower {max_tokens}");
  EXPECT_TRUE(refused(prompt_, {.max_tokens = 502}).empty());
  EXPECT_EQ(refused(prompt_, {.max_tokens = INT64_MAX}).field, "max_tokens");
  EXPECT_EQ(refused(prompt_, {.max_tokens = 0}).field, "max_tokens");
  EXPECT_EQ(refused({}, {.max_tokens = 5}).field, "prompt");
  EXPECT_EQ(refused({53}, {.max_tokens = 5}).field, "prompt_tokens");
  EXPECT_EQ(refused({53}, {.max_tokens = 5}).found, "53");
  EXPECT_EQ(refused({53}, {.max_tokens = 5}).expected, "0 to 52");
  EXPECT_EQ(refused({-1}, {.max_tokens = 5}).field, "prompt_tokens");
  EXPECT_EQ(refused(prompt_, {.draft_tokens = 8}).field, "draft_tokens");
  EXPECT_EQ(refused(prompt_, {.sampling = {.top_p = 2.0}}).field, "top_p");
  ModelConfig config = odd_config();
  config.n_mtp = 0;
  RandomModel without(config);
  const Refusal no_drafter =
      test::refusal_of([&] { generate(without.ctx, without.model, prompt_, {.draft_tokens = 1}); });
  EXPECT_TRUE(no_drafter.empty()) << "n-grams need no module";
  const Refusal no_module = test::refusal_of([&] {
    generate(without.ctx, without.model, prompt_,
             {.draft_tokens = 1, .draft_from = DraftFrom::kMtp});
  });
  EXPECT_EQ(no_module.field, "draft_tokens");
  EXPECT_EQ(no_module.found, "1 drafts");
}

TEST_F(SessionTest, ALongPromptIsReadInChunks) {
  ModelConfig config = odd_config();
  config.max_position_embeddings = 2048;
  RandomModel random(config, 4);
  const std::vector<int32_t> prompt = random.random_tokens(1200, 2);
  std::vector<double> fractions;
  GenerateOptions options{.max_tokens = 20};
  const auto on_prefill = [&](double fraction) {
    fractions.push_back(fraction);
    return true;
  };
  const std::vector<int32_t> plain =
      generate(random.ctx, random.model, prompt, options, nullptr, on_prefill).tokens;
  ASSERT_EQ(fractions.size(), 3U);  // 512 + 512 + 176 rows
  EXPECT_EQ(fractions.back(), 1.0);
  options.draft_tokens = 2;
  EXPECT_EQ(generate(random.ctx, random.model, prompt, options).tokens, plain);
  // The whole-sequence pass agrees on the first token.
  const EvalOutput whole =
      forward_logits(random.ctx, random.model, prompt, Sequences::equal(1, 1200), false);
  EXPECT_EQ(plain.front(), argmax(whole.logits.mat().row(1199), 0));
}

TEST_F(SessionTest, ASessionReadsOnlyWhatIsNew) {
  for (const int64_t n_mtp : {0, 1, 2}) {
    ModelConfig config = odd_config();
    config.n_mtp = n_mtp;
    RandomModel random(config, 6);
    GenerationSession session(random.ctx, random.model, 200, n_mtp > 0);
    const GenerateOptions options{.max_tokens = 12, .draft_tokens = n_mtp};
    std::vector<int32_t> prompt = random.random_tokens(8, 3);
    for (int turn = 0; turn < 4; ++turn) {
      const GenerateResult result = session.generate(prompt, options);
      // At least the last token of the answer before was not cached, and a row per module is
      // redone.
      if (turn > 0) {
        EXPECT_GE(result.cached_tokens, static_cast<int64_t>(prompt.size()) - 6 - 2 * n_mtp);
      }
      EXPECT_EQ(result.tokens, generate(random.ctx, random.model, prompt, options).tokens)
          << "turn " << turn << ", " << n_mtp << " modules";
      prompt.insert(prompt.end(), result.tokens.begin(), result.tokens.end());
      const std::vector<int32_t> more = random.random_tokens(4, static_cast<uint64_t>(turn));
      prompt.insert(prompt.end(), more.begin(), more.end());
    }
    // A prompt that shares nothing, and one that is a beginning of what is cached.
    const std::vector<int32_t> other = random.random_tokens(5, 77);
    EXPECT_EQ(session.generate(other, options).tokens,
              generate(random.ctx, random.model, other, options).tokens);
    const std::vector<int32_t> beginning(other.begin(), other.end() - 2);
    EXPECT_EQ(session.generate(beginning, options).tokens,
              generate(random.ctx, random.model, beginning, options).tokens);
  }
}

}  // namespace
}  // namespace hadal
