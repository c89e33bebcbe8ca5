// Speculation is exact: drafts are the MTP modules' predictions, output does not change by a token,
// and samples follow the main model's distribution.
#include "hadal/infer/speculative.h"

#include <cmath>
#include <map>

#include "gtest/gtest.h"
#include "hadal/core/rng.h"
#include "hadal/infer/session.h"
#include "hadal/model/forward.h"
#include "hadal/model/head.h"
#include "tests/infer/chi_square.h"
#include "tests/infer/one_sequence.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

using test::odd_config;
using test::OneSequence;
using test::RandomModel;

ModelConfig config_with_mtp(int64_t n_mtp, MtpHidden hidden = MtpHidden::kPostNorm) {
  ModelConfig config = odd_config();
  config.n_mtp = n_mtp;
  config.mtp_hidden = hidden;
  return config;
}

// `n` drafts of one sequence that drafts alone.
std::vector<int32_t> draft(RandomModel& random, MtpDrafter& drafter, std::vector<int32_t> tokens,
                           int64_t n, int64_t n_generated = 0,
                           const SamplingOptions& sampling = {}) {
  const MtpDrafter::Job job{&drafter, &tokens, n_generated, n, &sampling};
  MtpDrafter::draft_together(random.ctx, random.model, {&job, 1});
  return {tokens.end() - n, tokens.end()};
}

// ---- drafts are what the MTP modules say over the whole sequence, however often rows were dropped

class DrafterTest : public testing::TestWithParam<std::tuple<int64_t, MtpHidden>> {};

TEST_P(DrafterTest, DraftsAreTheModulesPredictionsAfterEveryRollback) {
  const auto [n_mtp, hidden] = GetParam();
  RandomModel random(config_with_mtp(n_mtp, hidden));
  Context& ctx = random.ctx;
  const DeepseekV3& model = random.model;
  const std::vector<int32_t> text = random.random_tokens(60, 5);
  OneSequence past(model.config, 80, n_mtp);
  MtpDrafter drafter(model, past.sequence);
  PrefillAttention prefill(model.rope, past.sequence);
  const auto observe = [&](const HiddenRows& out) {
    drafter.observe(ctx, out.state(model.config.mtp_hidden).mat());
  };
  Rng moves(2);

  // A prompt of 9 tokens in two chunks, then steps that keep a random number of drafts.
  int64_t known = 9;
  const std::span<const int32_t> all(text);
  for (const auto& [begin, n] : {std::pair<size_t, size_t>{0, 5}, {5, 4}}) {
    past.sequence.reserve(80);
    observe(cached_forward(ctx, model, all.subspan(begin, n), prefill));
    drafter.catch_up(ctx, all.first(9), MtpDrafter::Form::kPrefill);
  }
  ++known;
  while (known < 50) {
    const auto tokens = all.first(static_cast<size_t>(known));
    const int64_t n_drafts =
        static_cast<int64_t>(moves.uniform_below(static_cast<uint64_t>(n_mtp) + 1));
    past.sequence.reserve(80);
    const std::vector<int32_t> drafts =
        draft(random, drafter, {tokens.begin(), tokens.end()}, n_drafts);
    ASSERT_EQ(std::ssize(drafts), n_drafts);

    std::vector<int32_t> drafted(tokens.begin(), tokens.end());
    drafted.insert(drafted.end(), drafts.begin(), drafts.end());
    const EvalOutput whole =
        forward_logits(ctx, model, drafted, Sequences::equal(1, std::ssize(drafted)), true);
    for (int64_t k = 0; k < n_drafts; ++k) {  // module k+1 at row known-2 predicts token known+k
      const Tensor& logits = whole.mtp_logits[static_cast<size_t>(k)];
      EXPECT_EQ(drafts[static_cast<size_t>(k)], argmax(logits.mat().row(known - 2), 0))
          << "draft " << k << " of " << known;
    }
    // The main model reads the last token and as many "drafts" as are declared kept: the text's
    // own.
    const int64_t kept = static_cast<int64_t>(moves.uniform_below(3));
    const auto rows = all.subspan(static_cast<size_t>(known - 1), static_cast<size_t>(kept + 1));
    past.sequence.reserve(80);
    AbsorbedAttention absorbed(model.rope, {{&past.sequence, kept + 1}});
    observe(cached_forward(ctx, model, rows, absorbed));
    known += kept + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(Modules, DrafterTest,
                         testing::Combine(testing::Values(1, 2, 3),
                                          testing::Values(MtpHidden::kPostNorm,
                                                          MtpHidden::kPreNorm)));

// Greedy, and drawn: draft k with the random numbers of the token whose place it may take.
class LastModuleTest : public testing::TestWithParam<double> {};

TEST_P(LastModuleTest, GoesOnWithItsOwnState) {
  const SamplingOptions sampling{.temperature = GetParam(), .seed = 7};
  constexpr int64_t kGenerated = 5;
  RandomModel random(config_with_mtp(1));
  Context& ctx = random.ctx;
  const DeepseekV3& model = random.model;
  const std::vector<int32_t> tokens = random.random_tokens(12, 6);
  OneSequence past(model.config, 40, 1);
  MtpDrafter drafter(model, past.sequence);
  PrefillAttention prefill(model.rope, past.sequence);
  const HiddenRows main = cached_forward(ctx, model, std::span(tokens).first(11), prefill);
  drafter.observe(ctx, main.state(model.config.mtp_hidden).mat());
  drafter.catch_up(ctx, std::span(tokens).first(11), MtpDrafter::Form::kPrefill);
  const std::vector<int32_t> drafts = draft(random, drafter, tokens, 3, kGenerated, sampling);
  ASSERT_EQ(drafts.size(), 3U);

  // By hand: the module over all rows, then each new row with the state before it and the draft.
  OneSequence by_hand(model.config, 40, 1);
  PrefillAttention attention(model.rope, by_hand.sequence);
  HiddenRows out =
      cached_mtp_forward(ctx, model, 0, std::span(tokens).subspan(1), main.normed, attention);
  for (size_t k = 0; k < 3; ++k) {
    const Tensor logits = head_logits(ctx, model, last_row(ctx, out.normed).mat());
    const int64_t place = kGenerated + static_cast<int64_t>(k);
    EXPECT_EQ(drafts[k], choose_token(std::as_const(logits).flat<float>(), sampling, tokens, place))
        << "draft " << k;
    out = cached_mtp_forward(ctx, model, 0, std::span(&drafts[k], 1), last_row(ctx, out.normed),
                             attention);
  }
}
INSTANTIATE_TEST_SUITE_P(Temperatures, LastModuleTest, testing::Values(0.0, 1.0));

// ---- greedy: token for token the same

class GreedyTest : public testing::TestWithParam<int64_t> {};

TEST_P(GreedyTest, TheSameTokensAtEveryDepth) {
  int64_t accepted = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    RandomModel random(config_with_mtp(GetParam()), seed);
    const std::vector<int32_t> prompt = random.random_tokens(3 + static_cast<int64_t>(seed), seed);
    GenerateOptions options{.max_tokens = 300};
    const GenerateResult plain = generate(random.ctx, random.model, prompt, options);
    ASSERT_EQ(plain.tokens.size(), 300U);
    for (int64_t depth = 1; depth <= 4; ++depth) {
      options.draft_tokens = depth;
      const GenerateResult drafted = generate(random.ctx, random.model, prompt, options);
      EXPECT_EQ(drafted.tokens, plain.tokens) << "seed " << seed << ", depth " << depth;
      accepted += drafted.accepted();
    }
    options.draft_tokens = kMaxDraftTokens;
    EXPECT_EQ(generate(random.ctx, random.model, prompt, options).tokens, plain.tokens);
  }
  EXPECT_GT(accepted, 0) << "or the test would not have seen a draft kept";
}

TEST_P(GreedyTest, TheSameTokensUnderPenalties) {
  RandomModel random(config_with_mtp(GetParam()), 11);
  const std::vector<int32_t> prompt = random.random_tokens(6, 1);
  GenerateOptions options{.max_tokens = 200};
  options.sampling.repetition_penalty = 1.1;
  options.sampling.frequency_penalty = 0.2;
  options.sampling.presence_penalty = -0.1;
  const GenerateResult plain = generate(random.ctx, random.model, prompt, options);
  for (int64_t depth = 1; depth <= 3; ++depth) {
    options.draft_tokens = depth;
    EXPECT_EQ(generate(random.ctx, random.model, prompt, options).tokens, plain.tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Modules, GreedyTest, testing::Values(1, 2, 3));

// ---- sampled: the same tokens too, whatever drafts are made

TEST(SampledDrafts, ChangeNoToken) {
  int64_t accepted = 0;
  for (const double temperature : {0.5, 1.0}) {
    RandomModel random(config_with_mtp(1), 4);
    const std::vector<int32_t> prompt = random.random_tokens(6, 1);
    GenerateOptions options{.max_tokens = 150};
    options.sampling = {.temperature = temperature, .top_p = 0.9, .seed = 5};
    const GenerateResult plain = generate(random.ctx, random.model, prompt, options);
    for (const DraftFrom from : {DraftFrom::kMtp, DraftFrom::kNgram, DraftFrom::kAny}) {
      options.draft_from = from;
      for (options.draft_tokens = 1; options.draft_tokens <= 4; ++options.draft_tokens) {
        const GenerateResult drafted = generate(random.ctx, random.model, prompt, options);
        EXPECT_EQ(drafted.tokens, plain.tokens);
        accepted += drafted.accepted();
      }
    }
  }
  EXPECT_GT(accepted, 0);
}

// ---- and they follow the main model's distribution

// A model of 5 tokens, so that every continuation of three can be counted. The exact probabilities
// come from the whole-sequence pass, which knows nothing of caches and drafts.
class SampledTest : public testing::Test {
 protected:
  static ModelConfig tiny_config() {
    ModelConfig config = config_with_mtp(1);
    config.vocab_size = 5;
    config.n_layers = 2;
    return config;
  }

  // Probability of each continuation of three tokens; index a * 25 + b * 5 + c.
  std::vector<double> exact(const SamplingOptions& sampling) {
    std::vector<double> p(125, 0.0);
    for (int32_t a = 0; a < 5; ++a) {
      for (int32_t b = 0; b < 5; ++b) {
        std::vector<int32_t> tokens = prompt_;
        tokens.insert(tokens.end(), {a, b});
        const int64_t n = static_cast<int64_t>(tokens.size());
        const EvalOutput out =
            forward_logits(random_.ctx, random_.model, tokens, Sequences::equal(1, n), false);
        const auto at = [&](int64_t n_generated) {
          return sampling_distribution(
              out.logits.mat().row(n - 3 + n_generated), sampling,
              std::span(tokens).first(prompt_.size() + static_cast<size_t>(n_generated)),
              n_generated);
        };
        const std::vector<double> p_a = at(0), p_b = at(1), p_c = at(2);
        for (size_t c = 0; c < 5; ++c) {
          p[static_cast<size_t>(a * 25 + b * 5) + c] =
              p_a[static_cast<size_t>(a)] * p_b[static_cast<size_t>(b)] * p_c[c];
        }
      }
    }
    return p;
  }

  void expect_exact(const SamplingOptions& sampling, int64_t depth) {
    const std::vector<double> p = exact(sampling);
    const int64_t n = 4000;
    std::vector<int64_t> counts(125, 0);
    int64_t accepted = 0, drafted = 0;
    GenerationSession session(random_.ctx, random_.model, 16, depth > 0);
    for (int64_t i = 0; i < n; ++i) {
      // Four tokens, of which three are counted: the last two drafts may then be both in play.
      GenerateOptions options{.max_tokens = 4, .sampling = sampling, .draft_tokens = depth};
      options.sampling.seed = static_cast<uint64_t>(i);
      const GenerateResult result = session.generate(prompt_, options);
      ++counts[static_cast<size_t>(result.tokens[0] * 25 + result.tokens[1] * 5 +
                                   result.tokens[2])];
      accepted += result.accepted();
      drafted += result.drafted();
    }
    int64_t possible = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      if (p[i] > 0) ++possible;
      if (p[i] == 0) {
        EXPECT_EQ(counts[i], 0) << "continuation " << i << " is impossible";
      }
    }
    EXPECT_LT(chi_square(counts, p, n), chi_square_limit(possible - 1)) << "depth " << depth;
    if (depth > 0) {
      EXPECT_GT(accepted, 0);
      EXPECT_LT(accepted, drafted) << "or no draft was ever dropped";
    }
  }

  RandomModel random_{tiny_config(), 5};
  std::vector<int32_t> prompt_ = {1, 4, 2, 2};
};

TEST_F(SampledTest, WithoutDrafts) { expect_exact({.temperature = 1.0}, 0); }
TEST_F(SampledTest, WithOneDraft) { expect_exact({.temperature = 1.0}, 1); }
TEST_F(SampledTest, WithTwoDrafts) { expect_exact({.temperature = 1.3}, 2); }
TEST_F(SampledTest, WithThreeDrafts) { expect_exact({.temperature = 0.7}, 3); }
TEST_F(SampledTest, UnderTopKAndTopP) {
  expect_exact({.temperature = 1.2, .top_k = 4, .top_p = 0.9}, 2);
}
TEST_F(SampledTest, UnderPenalties) {
  expect_exact({.temperature = 1.0, .repetition_penalty = 1.3, .frequency_penalty = 0.7}, 2);
}

}  // namespace
}  // namespace hadal
