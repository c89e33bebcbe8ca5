// The byte model of a pass, against counts made by hand and against simulated routers.
#include "hadal/measure/step_bytes.h"

#include <cmath>
#include <set>

#include "gtest/gtest.h"
#include "hadal/core/rng.h"
#include "hadal/model/config.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

TEST(StepBytes, OneRowReadsTheActiveWeights) {
  const ModelConfig v3 = find_preset("deepseek-v3").config;
  const StepBytes bytes = step_bytes(v3, 1.0, LatentForm::kF32);
  const double active = static_cast<double>(count_parameters(v3).active_without_embedding);
  EXPECT_NEAR(bytes.pass(distinct_experts(bytes, 1, 0.0), 0), active, 1e-6 * active);
  EXPECT_EQ(bytes.layers, 58);
  EXPECT_EQ(bytes.expert, 3.0 * 7168 * 2048);
  EXPECT_EQ(bytes.cache_token, 61.0 * 576 * 4);
  EXPECT_EQ(step_bytes(v3, 1.0, LatentForm::kBF16).cache_token, 61.0 * 576 * 2);
  // A draft: the module's own weights with 8 of its 256 experts, and the head.
  EXPECT_NEAR(bytes.module, 1.62e9, 0.05e9);
  EXPECT_NEAR(step_bytes(v3, 2.0, LatentForm::kF32).module, 2 * bytes.module, 1.0);
}

TEST(StepBytes, RowsByChanceReadWhatASimulationReads) {
  const StepBytes bytes{.layers = 1, .top_k = 8, .n_experts = 64};
  Rng rng(3);
  for (const int n_rows : {1, 2, 3, 8}) {
    double sum = 0;
    for (int trial = 0; trial < 500; ++trial) {
      std::set<uint64_t> all;
      for (int row = 0; row < n_rows; ++row) {
        std::set<uint64_t> own;
        while (own.size() < 8) own.insert(rng.uniform_below(64));
        all.insert(own.begin(), own.end());
      }
      sum += static_cast<double>(all.size());
    }
    EXPECT_NEAR(distinct_experts(bytes, n_rows, 0.0), sum / 500, 0.4) << n_rows << " rows";
  }
}

TEST(StepBytes, TwoRowsWithAnOverlapReadWhatIsNotCommon) {
  const StepBytes bytes{.layers = 1, .top_k = 8, .n_experts = 256};
  for (const double overlap : {0.1, 0.3, 0.7}) {
    EXPECT_NEAR(distinct_experts(bytes, 2, overlap), 8 * (2 - overlap), 1e-9);
  }
  EXPECT_EQ(distinct_experts(bytes, 5, 1.0), 8);
}

TEST(StepBytes, SpeculationPaysWhereTheSecondRowReadsLittle) {
  // All of it common: two rows cost what one costs.
  const StepBytes dense{.common = 100};
  EXPECT_DOUBLE_EQ(predicted_speedup(dense, 1, 1.8, 0.0, 0), 1.8);
  // All of it experts, none in common: a second row costs a second pass.
  const StepBytes sparse{.expert = 1, .layers = 1, .top_k = 8, .n_experts = 1'000'000};
  EXPECT_NEAR(predicted_speedup(sparse, 1, 1.8, 0.0, 0), 0.9, 1e-4);
  // The module's own reading counts, and so does the cache that both rows share.
  const StepBytes module{.common = 100, .module = 20};
  EXPECT_DOUBLE_EQ(predicted_speedup(module, 1, 1.8, 0.0, 0), 1.8 / 1.2);
  const StepBytes cache{.common = 100, .cache_token = 1, .module = 20};
  EXPECT_DOUBLE_EQ(predicted_speedup(cache, 1, 1.8, 0.0, 100), 1.8 * 200 / 220);
}

TEST(ExpertOverlap, IsTheShareThatTheRowBeforeChoseToo) {
  test::RandomModel random(test::odd_config());
  Tensor chosen = random.ctx.empty({3, 2}, DType::kI32);
  const std::vector<int32_t> ids = {1, 2, 2, 3, 5, 6};
  std::ranges::copy(ids, chosen.flat<int32_t>().begin());
  ExpertOverlap overlap;
  EXPECT_EQ(overlap.share(), 0.0);
  overlap.offer("router.gates", 1, chosen);
  EXPECT_EQ(overlap.share(), 0.0);
  overlap.offer("router.indices", 1, chosen);
  EXPECT_EQ(overlap.share(), 0.25);
}

}  // namespace
}  // namespace hadal
