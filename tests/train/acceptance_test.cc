#include <gtest/gtest.h>

#include <optional>

#include "hadal/train/evaluate.h"
#include "tests/support/random_model.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

// What a model predicts behind the text is no prediction: a row of padding beside a row of text
// changes neither the loss nor how often MTP agrees with the main model.
TEST(Acceptance, PaddingIsNotCompared) {
  test::RandomModel random(test::small_shape());
  random.model.ensure_rope(random.arena, 16);
  const auto score = [&](const Batch& batch) {
    std::vector<HeldOutBatch> held_out;
    held_out.push_back({batch, 10});
    return evaluate(random.ctx, random.model, held_out);
  };
  // Of random rows one where they agree somewhere, and one where they never do.
  std::optional<Batch> agrees, differs;
  for (uint64_t seed = 1; seed < 500 && !(agrees && differs); ++seed) {
    const Batch row = test::small_batch(1, 16, seed);
    (score(row).mtp_acceptance[0] > 0 ? agrees : differs) = row;
  }
  ASSERT_TRUE(agrees && differs);
  Batch both = *agrees;
  both.n_sequences = 2;
  both.tokens.insert(both.tokens.end(), differs->tokens.begin(), differs->tokens.end());
  both.targets.resize(32, -1);
  const Evaluation alone = score(*agrees), beside = score(both);
  EXPECT_EQ(beside.mtp_acceptance, alone.mtp_acceptance);
  EXPECT_EQ(beside.tokens, alone.tokens);
  EXPECT_NEAR(beside.loss, alone.loss, 1e-6);
}

}  // namespace
}  // namespace hadal
