// The model behind its cache is the model: whatever the chunks, the logits are forward_logits'.
#include "hadal/infer/cached_forward.h"

#include "gtest/gtest.h"
#include "hadal/model/forward.h"
#include "hadal/model/head.h"
#include "hadal/model/precision.h"
#include "tests/infer/one_sequence.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

using test::elements;
using test::odd_config;
using test::OneSequence;
using test::RandomModel;

enum class Form { kPrefill, kAbsorbed };

class CachedForwardTest : public testing::Test {
 protected:
  // Logits of all rows, cut into chunks of the given sizes.
  std::vector<float> logits(std::span<const int32_t> tokens, const std::vector<int64_t>& chunks,
                            Form form) {
    return logits(random_.ctx, tokens, chunks, form);
  }
  std::vector<float> logits(Context& ctx, std::span<const int32_t> tokens,
                            const std::vector<int64_t>& chunks, Form form) {
    const DeepseekV3& model = random_.model;
    OneSequence past(model.config, 512, 0);
    std::vector<float> result;
    int64_t begin = 0;
    for (const int64_t n : chunks) {
      const auto chunk = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
      PrefillAttention prefill(model.rope, past.sequence);
      AbsorbedAttention absorbed(model.rope, {{&past.sequence, n}});
      const HiddenRows out = form == Form::kPrefill ? cached_forward(ctx, model, chunk, prefill)
                                                    : cached_forward(ctx, model, chunk, absorbed);
      const std::vector<float> rows = elements(head_logits(ctx, model, out.normed.mat()).mat());
      result.insert(result.end(), rows.begin(), rows.end());
      begin += n;
    }
    EXPECT_EQ(begin, static_cast<int64_t>(tokens.size()));
    return result;
  }
  RandomModel random_{odd_config()};
};

TEST_F(CachedForwardTest, ChunksAndFormsGiveTheLogitsOfTheWholePass) {
  const std::vector<int32_t> tokens = random_.random_tokens(30, 3);
  const EvalOutput whole =
      forward_logits(random_.ctx, random_.model, tokens, Sequences::equal(1, 30), false);
  // Three blocks of sums up to 30 + 56 long, each normalised: the rounding of one, a few times
  // over.
  const auto tolerance =
      test::Tolerance::for_sum(4 * 96).in_rows_of(random_.model.config.vocab_size);
  const std::vector<float> want = elements(whole.logits.mat());
  test::expect_close(logits(tokens, {30}, Form::kPrefill), want, tolerance, "one chunk");
  test::expect_close(logits(tokens, {1, 16, 13}, Form::kPrefill), want, tolerance, "three chunks");
  test::expect_close(logits(tokens, {30}, Form::kAbsorbed), want, tolerance, "absorbed");
  test::expect_close(logits(tokens, std::vector<int64_t>(30, 1), Form::kAbsorbed), want, tolerance,
                     "row by row");
}

// As a trainer computed them, whose forward pass the whole one is. Attention behind the cache adds in
// another order, so here and there a code next to a tie becomes its neighbour.
TEST_F(CachedForwardTest, FollowsThePrecisionOfTraining) {
  const std::vector<int32_t> tokens = random_.random_tokens(30, 3);
  const auto whole = [&] {
    return elements(
        forward_logits(random_.ctx, random_.model, tokens, Sequences::equal(1, 30), false)
            .logits.mat());
  };
  const std::vector<float> f32 = whole();
  const test::Tolerance tolerance{.element = 0.02, .frobenius = 0.004, .cosine = 1e-5};
  for (const Precision precision : {Precision::kBf16, Precision::kFp8}) {
    set_precision(random_.model, precision);
    remake_working_weights(random_.ctx, random_.model);
    const std::vector<float> want = whole();
    EXPECT_NE(want, f32);
    test::expect_close(logits(tokens, {30}, Form::kPrefill), want,
                       tolerance.in_rows_of(random_.model.config.vocab_size), "one chunk");
  }
}

TEST_F(CachedForwardTest, RowsOfOnePassAreRowsAloneBitForBit) {
  const std::vector<int32_t> tokens = random_.random_tokens(120, 4);
  const std::vector<float> alone = logits(tokens, std::vector<int64_t>(120, 1), Form::kAbsorbed);
  EXPECT_EQ(logits(tokens, std::vector<int64_t>(60, 2), Form::kAbsorbed), alone);
  EXPECT_EQ(logits(tokens, std::vector<int64_t>(40, 3), Form::kAbsorbed), alone);
  EXPECT_EQ(logits(tokens, std::vector<int64_t>(15, 8), Form::kAbsorbed), alone);
  EXPECT_EQ(logits(tokens, {8, 1, 7, 2, 6, 3, 5, 4, 8, 8, 8, 60}, Form::kAbsorbed).size(),
            alone.size());
}

// Across the blocks of 96 queries and 256 keys, and across pages.
TEST_F(CachedForwardTest, HoweverAPromptIsCutItsRowsAreTheSameBitForBit) {
  const std::vector<int32_t> tokens = random_.random_tokens(500, 6);
  const std::vector<float> whole = logits(tokens, {500}, Form::kPrefill);
  for (const std::vector<int64_t>& cuts : std::vector<std::vector<int64_t>>{
           {1, 95, 97, 307}, {250, 1, 1, 1, 247}, {64, 192, 244}, {20, 480}}) {
    EXPECT_EQ(logits(tokens, cuts, Form::kPrefill), whole) << "pieces from " << cuts.front();
  }
}

TEST_F(CachedForwardTest, ThreadsDoNotChangeABit) {
  const std::vector<int32_t> tokens = random_.random_tokens(64, 5);
  const std::vector<float> one = logits(tokens, std::vector<int64_t>(32, 2), Form::kAbsorbed);
  ThreadPool two_threads(2), three_threads(3);
  for (ThreadPool* pool : {&two_threads, &three_threads}) {
    Context ctx{*pool, random_.arena};
    EXPECT_EQ(logits(ctx, tokens, std::vector<int64_t>(32, 2), Form::kAbsorbed), one)
        << pool->n_threads() << " threads";
  }
}

}  // namespace
}  // namespace hadal
