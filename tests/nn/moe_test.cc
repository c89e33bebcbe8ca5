#include "hadal/nn/moe.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/compare.h"
#include "tests/support/layer_differences.h"

namespace hadal::test {
namespace {

constexpr int64_t kTokens = 12;

// The balance loss is off here: it is no part of y. tests/model/training_pass_test.cc has it.
void check_moe(const ModelConfig& config, const std::string& what, uint64_t seed) {
  RandomModel random(config, seed);
  Moe& layer = *random.model.layers[1].moe();
  const Sequences sequences = Sequences::equal(2, kTokens / 2);
  Moe::Saved saved;
  std::vector<int64_t> chosen;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kTokens, config.d_model, seed));
  test.params = params_under(random.model, "model.layers.1.mlp.");
  test.forward = [&](const auto& x) {
    saved = {};
    Tensor y = layer.forward(random.ctx, x[0], 1, sequences, {}, saved);
    const auto indices = std::as_const(saved.indices).flat<int32_t>();
    chosen.assign(indices.begin(), indices.end());
    return y;
  };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    dx.push_back(layer.backward_input(random.ctx, std::move(dy), saved));
    layer.backward_weight(random.ctx, std::move(saved));
    return dx;
  };
  test.choice = [&] { return chosen; };
  expect_backward_matches_differences(random.ctx, test, seed, what);
}

TEST(Moe, BackwardWithSigmoidRouter) { check_moe(odd_config(), "noaux_tc", 21); }

TEST(Moe, BackwardWithoutSharedExpertsOrNormalisedGates) {
  ModelConfig config = odd_config();
  config.n_shared_experts = 0;
  config.router.norm_topk_prob = false;
  check_moe(config, "no shared expert", 26);
}

TEST(Moe, BackwardWithGroupLimitedSoftmaxRouter) {
  ModelConfig config = odd_config();
  config.router.scoring = ScoringFunction::kSoftmax;
  config.router.method = TopkMethod::kGroupLimitedGreedy;
  config.router.norm_topk_prob = false;
  config.router.routed_scaling_factor = 16.0F;
  check_moe(config, "group_limited_greedy", 23);
}

TEST(Moe, BackwardWithGreedySoftmaxRouter) {
  ModelConfig config = odd_config();
  config.n_shared_experts = 2;
  config.router.scoring = ScoringFunction::kSoftmax;
  config.router.method = TopkMethod::kGreedy;
  config.router.n_group = config.router.topk_group = 1;
  config.router.norm_topk_prob = false;
  config.router.routed_scaling_factor = 1.0F;
  check_moe(config, "greedy", 24);
}

// y = shared(x) + sum over the chosen of gate * expert(x), token by token with plain layers.
TEST(Moe, ForwardIsTheSumOverTheChosenExperts) {
  RandomModel random(odd_config());
  Context& ctx = random.ctx;
  const Moe& moe = *random.model.layers[1].moe();
  const Tensor x = random.random_rows(kTokens, 40, 31);
  Moe::Saved saved;
  const Tensor y = moe.forward(ctx, x, 1, Sequences::equal(1, kTokens), {}, saved);
  const auto indices = std::as_const(saved.indices).view<int32_t, 2>();
  Tensor want = moe.shared->forward(ctx, x);
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t k = 0; k < moe.config.top_k; ++k) {
      const Expert& expert = moe.experts[static_cast<size_t>(indices(t, k))];
      Ffn ffn;
      ffn.w_gate.weight.master = expert.w_gate.master.share();
      ffn.w_up.weight.master = expert.w_up.master.share();
      ffn.w_down.weight.master = expert.w_down.master.share();
      const Tensor out = ffn.forward(ctx, x);
      for (int64_t i = 0; i < 40; ++i) {
        want.mat()(t, i) += std::as_const(saved.gates).mat()(t, k) * out.mat()(t, i);
      }
    }
  }
  expect_close(y, want, Tolerance::for_sum(40), "y");
  EXPECT_EQ(std::accumulate(saved.load.begin(), saved.load.end(), int64_t{0}),
            kTokens * moe.config.top_k);
}

TEST(Moe, RouteBiasMovesAgainstTheExcess) {
  Arena arena;
  Param bias;
  bias.master = Tensor::zeros(arena, DType::kF32, {4});
  update_route_bias(bias, std::vector<int64_t>{2, 4, 3, 3}, 0.5F);  // mean 3
  const auto values = std::as_const(bias.master).flat<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()),
            (std::vector<float>{0.5F, -0.5F, 0.0F, 0.0F}));
  update_route_bias(bias, std::vector<int64_t>{3, 2, 2, 3}, 0.5F);  // mean 2.5
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()),
            (std::vector<float>{0.0F, 0.0F, 0.5F, -0.5F}));
  EXPECT_THROW(update_route_bias(bias, std::vector<int64_t>{1, 2}, 0.5F), ShapeError);
}

TEST(Moe, MaxViolation) {
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{3, 3, 3}), 0.0);
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{0, 12, 0, 0}), 3.0);
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{0, 0}), 0.0);
}

}  // namespace
}  // namespace hadal::test
