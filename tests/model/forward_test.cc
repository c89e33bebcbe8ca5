#include <gtest/gtest.h>

#include "hadal/model/forward.h"
#include "hadal/model/mtp_rows.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

std::vector<float> rows_of(const Tensor& x, int64_t begin, int64_t end) {
  return elements(x.mat().rows(begin, end));
}

// Sequences in one batch do not see each other, whatever their lengths, MTP modules included: not
// even in the last bit, because no op's row depends on the rows beside it.
TEST(Forward, BatchEqualsSinglesBitForBit) {
  RandomModel random(two_mtp_config());
  const std::vector<int64_t> lengths = {5, 1, 17, 2, 9};
  Sequences sequences;
  for (const int64_t length : lengths) sequences.offsets.push_back(sequences.tokens() + length);
  const std::vector<int32_t> tokens = random.random_tokens(sequences.tokens(), 1);
  const EvalOutput batch = forward_logits(random.ctx, random.model, tokens, sequences, true);

  std::vector<int64_t> mtp_row(2, 0);
  for (int64_t s = 0; s < sequences.n(); ++s) {
    SCOPED_TRACE(s);
    const int64_t length = sequences.length(s);
    const EvalOutput single =
        forward_logits(random.ctx, random.model,
                       std::span(tokens).subspan(static_cast<size_t>(sequences.begin(s)),
                                                 static_cast<size_t>(length)),
                       Sequences::equal(1, length), true);
    EXPECT_EQ(rows_of(batch.logits, sequences.begin(s), sequences.end(s)),
              rows_of(single.logits, 0, length));
    for (size_t k = 0; k < 2; ++k) {
      const int64_t n_rows = std::max<int64_t>(length - static_cast<int64_t>(k) - 1, 0);
      ASSERT_EQ(single.mtp_logits[k].shape(), (Tensor::Shape{n_rows, 53}));
      EXPECT_EQ(rows_of(batch.mtp_logits[k], mtp_row[k], mtp_row[k] + n_rows),
                rows_of(single.mtp_logits[k], 0, n_rows))
          << "depth " << k + 1;
      mtp_row[k] += n_rows;
    }
  }
}

// A later token changes nothing before it.
TEST(Forward, IsCausal) {
  RandomModel random(two_mtp_config());
  std::vector<int32_t> tokens = random.random_tokens(12, 2);
  const Sequences sequences = Sequences::equal(1, 12);
  const EvalOutput before = forward_logits(random.ctx, random.model, tokens, sequences, true);
  tokens[9] = (tokens[9] + 1) % 53;
  const EvalOutput after = forward_logits(random.ctx, random.model, tokens, sequences, true);
  EXPECT_EQ(rows_of(after.logits, 0, 9), rows_of(before.logits, 0, 9));
  EXPECT_NE(rows_of(after.logits, 9, 10), rows_of(before.logits, 9, 10));
  // Row i of depth k has seen token i + k.
  EXPECT_EQ(rows_of(after.mtp_logits[0], 0, 8), rows_of(before.mtp_logits[0], 0, 8));
  EXPECT_NE(rows_of(after.mtp_logits[0], 8, 9), rows_of(before.mtp_logits[0], 8, 9));
  EXPECT_EQ(rows_of(after.mtp_logits[1], 0, 7), rows_of(before.mtp_logits[1], 0, 7));
  EXPECT_NE(rows_of(after.mtp_logits[1], 7, 8), rows_of(before.mtp_logits[1], 7, 8));
}

TEST(Forward, ReferenceKernelsAgree) {
  ModelConfig softmax = odd_config();
  softmax.router.scoring = ScoringFunction::kSoftmax;
  softmax.router.method = TopkMethod::kGreedy;
  softmax.router.n_group = softmax.router.topk_group = 1;
  for (const ModelConfig& config : {two_mtp_config(), softmax}) {
    RandomModel random(config);
    const std::vector<int32_t> tokens = random.random_tokens(20, 3);
    const Sequences sequences = Sequences::equal(2, 10);
    const EvalOutput fast = forward_logits(random.ctx, random.model, tokens, sequences, true);
    random.ctx.device = Device::kReference;
    const EvalOutput slow = forward_logits(random.ctx, random.model, tokens, sequences, true);
    expect_close(fast.logits, slow.logits, Tolerance::for_sum(200), "logits");
    expect_close(fast.mtp_logits[0], slow.mtp_logits[0], Tolerance::for_sum(200), "mtp");
  }
}

TEST(Forward, RefusesMoreRowsThanRotaryPositions) {
  ModelConfig config = odd_config();
  config.max_position_embeddings = 16;
  RandomModel random(config);
  const std::vector<int32_t> tokens = random.random_tokens(17, 4);
  const Sequences sequences = Sequences::equal(1, 17);
  const auto forward = [&](size_t n_tokens) {
    forward_logits(random.ctx, random.model, std::span(tokens).first(n_tokens), sequences, false);
  };
  expect_refused<ShapeError>([&] { forward(17); },
                             "model: a sequence of 17 tokens, but the rotary table has 16");
  random.model.ensure_rope(random.arena, 17);
  EXPECT_NO_THROW(forward(17));
  expect_refused<ShapeError>([&] { forward(9); }, "model: 9 tokens for 17 rows");
}

TEST(MtpRows, ShortenedSequencesAndTheirIds) {
  Sequences full;
  full.offsets = {0, 3, 4, 8};
  const Sequences once = shortened(full), twice = shortened(once);
  EXPECT_EQ(once.offsets, (std::vector<int64_t>{0, 2, 2, 5}));
  EXPECT_EQ(twice.offsets, (std::vector<int64_t>{0, 1, 1, 3}));
  EXPECT_EQ(shortened(shortened(twice)).offsets, (std::vector<int64_t>{0, 0, 0, 0}));
  const std::vector<int32_t> ids = {0, 1, 2, 10, 20, 21, 22, 23};
  EXPECT_EQ(shifted_ids(ids, full, once, 1), (std::vector<int32_t>{1, 2, 21, 22, 23}));
  EXPECT_EQ(shifted_ids(ids, full, twice, 2), (std::vector<int32_t>{2, 22, 23}));
}

TEST(MtpRows, LeadingRowsAndTheirTranspose) {
  RandomModel random(odd_config());
  Sequences full;
  full.offsets = {0, 2, 3};
  const Sequences once = shortened(full);
  const Tensor x = random.random_rows(3, 4, 1);
  EXPECT_EQ(elements(leading_rows(random.ctx, x, full, once).mat()), rows_of(x, 0, 1));
  Tensor dx = random.ctx.zeros({3, 4});
  const Tensor dy = random.random_rows(1, 4, 2);
  leading_rows_backward(random.ctx, dx, dy, full, once);
  EXPECT_EQ(rows_of(dx, 0, 1), rows_of(dy, 0, 1));
  EXPECT_EQ(rows_of(dx, 1, 3), std::vector<float>(8, 0.0F));
}

}  // namespace
}  // namespace hadal::test
