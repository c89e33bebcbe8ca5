#include "hadal/nn/moe.h"

#include <gtest/gtest.h>

#include <numeric>

#include "hadal/ops/copy.h"
#include "tests/support/compare.h"
#include "tests/support/layer_differences.h"

namespace hadal::test {
namespace {

constexpr int64_t kMoeTokens = 12;

// The balance loss is off here: it is no part of y. tests/model/training_pass_test.cc has it.
void check_moe(const ModelConfig& config, const std::string& what, uint64_t seed) {
  RandomModel random(config, seed);
  Moe& layer = *random.model.layers[1].moe();
  const Pass pass = Pass::over(Sequences::equal(2, kMoeTokens / 2), random.model.rope);
  LocalDispatcher dispatcher;
  Moe::Saved saved;
  std::vector<int64_t> chosen;
  LayerUnderTest test;
  test.inputs.push_back(random.random_rows(kMoeTokens, config.d_model, seed));
  test.params = params_under(random.model, "model.layers.1.mlp.");
  test.forward = [&](const auto& x) {
    saved = {};
    layer.dispatch(random.ctx, dispatcher, x[0], 1, pass, saved);
    layer.experts(random.ctx, dispatcher, x[0], pass, saved);
    Tensor y = layer.combine(random.ctx, dispatcher, saved);
    const auto indices = std::as_const(saved.indices).flat<int32_t>();
    chosen.assign(indices.begin(), indices.end());
    return y;
  };
  test.backward = [&](Tensor dy) {
    std::vector<Tensor> dx;
    layer.combine_backward(random.ctx, dispatcher, std::move(dy), saved);
    layer.experts_backward(random.ctx, dispatcher, test.inputs[0], saved);
    dx.push_back(layer.dispatch_backward(random.ctx, dispatcher, saved));
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

// A token's output depends on no other token, whichever kernel its experts' rows call for.
TEST(Moe, ATokenIsTheSameInAnyCompany) {
  RandomModel random(odd_config(), 25);
  const Moe& moe = *random.model.layers[1].moe();
  LocalDispatcher dispatcher;
  const auto forward = [&](const Tensor& x) {
    const Pass pass = Pass::over(Sequences::equal(1, x.dim(0)), random.model.rope);
    Moe::Saved saved;
    moe.dispatch(random.ctx, dispatcher, x, 1, pass, saved);
    moe.experts(random.ctx, dispatcher, x, pass, saved);
    return moe.combine(random.ctx, dispatcher, saved);
  };
  const Tensor x = random.random_rows(200, 40, 26);
  Tensor alone = random.ctx.empty(x.shape());
  const auto first = [&](int64_t begin, int64_t end) {
    Tensor rows = random.ctx.empty({end - begin, 40});
    copy_rows(random.ctx, rows.mat(), x.mat().rows(begin, end));
    return rows;
  };
  for (int64_t t = 0; t < 200; ++t) {
    copy_rows(random.ctx, alone.mat().rows(t, t + 1), forward(first(t, t + 1)).mat());
  }
  for (int64_t n = 1; n <= 200; ++n) {
    const Tensor y = forward(first(200 - n, 200));
    ASSERT_EQ(elements(y.mat()), elements(std::as_const(alone).mat().rows(200 - n, 200))) << n;
  }
}

// Keeps what was sent.
class WatchedDispatcher final : public TokenDispatcher {
 public:
  Dispatch plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                const HeldExperts& experts) override {
    return local_.plan(ctx, indices, gates, experts);
  }
  void start_dispatch(Context& ctx, KeptRows tokens, Dispatch& dispatch) override {
    sent.push_back(tokens.share());
    local_.start_dispatch(ctx, std::move(tokens), dispatch);
  }
  KeptRows finish_dispatch(Context& ctx, Dispatch& dispatch) override {
    return local_.finish_dispatch(ctx, dispatch);
  }
  void start_combine(Context& ctx, Tensor rows, Tensor numbers, Weights weights,
                     Dispatch& dispatch) override {
    ++combines;
    local_.start_combine(ctx, std::move(rows), std::move(numbers), weights, dispatch);
  }
  Tensor finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) override {
    return local_.finish_combine(ctx, y, dispatch);
  }

  std::vector<KeptRows> sent;
  int combines = 0;

 private:
  LocalDispatcher local_;
};

// F, B and W of one layer.
void forward_and_back(Context& ctx, Moe& moe, TokenDispatcher& dispatcher, const Tensor& x,
                      const Tensor& dy, const Pass& pass) {
  Moe::Saved saved;
  moe.dispatch(ctx, dispatcher, x, 1, pass, saved);
  moe.experts(ctx, dispatcher, x, pass, saved);
  moe.combine(ctx, dispatcher, saved);
  moe.combine_backward(ctx, dispatcher, dy.share(), saved);
  moe.experts_backward(ctx, dispatcher, x, saved);
  moe.dispatch_backward(ctx, dispatcher, saved);
  moe.backward_weight(ctx, std::move(saved));
}

// Tokens forward and gradients back travel once each, as codes, and nothing travels for W.
TEST(Moe, WhatTravelsInFp8IsRoundedBefore) {
  RandomModel random(odd_config());
  Context& ctx = random.ctx;
  Moe& moe = *random.model.layers[1].moe();
  const LinearPrecision fp8 = Precision::kFp8;
  for (GroupedLinear* each : {&moe.w_gate, &moe.w_up, &moe.w_down}) each->precision = fp8;
  allocate_gradients(random.model, random.arena);
  const Tensor x = random.random_rows(kMoeTokens, 40, 31);
  const Tensor dy = random.random_rows(kMoeTokens, 40, 32);
  const Pass pass = Pass::over(Sequences::equal(1, kMoeTokens), random.model.rope);
  WatchedDispatcher dispatcher;
  forward_and_back(ctx, moe, dispatcher, x, dy, pass);
  const Tensor x_codes = fp8.rounded_input(ctx, x).f32(ctx);
  const Tensor dy_codes = fp8.rounded_gradient(ctx, dy).f32(ctx);
  ASSERT_EQ(dispatcher.sent.size(), 2U);
  EXPECT_EQ(dispatcher.combines, 2);
  for (const KeptRows& sent : dispatcher.sent) EXPECT_TRUE(sent.is_fp8());
  expect_close(dispatcher.sent[0].f32(ctx), x_codes, Tolerance::exact(), "x");
  expect_close(dispatcher.sent[1].f32(ctx), dy_codes, Tolerance::exact(), "dy");
}

// [precision] shared = "fp32", experts = "fp8": nothing of the shared expert's way back is rounded.
TEST(Moe, SharedExpertsReadTheirOwnGradient) {
  RandomModel random(odd_config());
  Context& ctx = random.ctx;
  Moe& moe = *random.model.layers[1].moe();
  Ffn& shared = *moe.shared;
  for (GroupedLinear* each : {&moe.w_gate, &moe.w_up, &moe.w_down}) {
    each->precision = Precision::kFp8;
  }
  allocate_gradients(random.model, random.arena);
  const Tensor x = random.random_rows(kMoeTokens, 40, 31),
               dy = random.random_rows(kMoeTokens, 40, 32);
  const Pass pass = Pass::over(Sequences::equal(1, kMoeTokens), random.model.rope);
  LocalDispatcher dispatcher;
  forward_and_back(ctx, moe, dispatcher, x, dy, pass);
  const Tensor in_moe = shared.w_down.weight.grad.clone(random.arena);
  allocate_gradients(random.model, random.arena);
  Ffn::Saved alone;
  shared.forward(ctx, x, {}, alone);
  shared.backward_input(ctx, dy.share(), x, alone);
  Products products{ctx};
  shared.backward_weight(products, std::move(alone));
  products.run();
  expect_close(in_moe, shared.w_down.weight.grad, Tolerance::exact(), "dW of the shared expert");
}

// y = shared(x) + sum over the chosen of gate * expert(x), token by token with plain layers.
TEST(Moe, ForwardIsTheSumOverTheChosenExperts) {
  RandomModel random(odd_config());
  Context& ctx = random.ctx;
  const Moe& moe = *random.model.layers[1].moe();
  const Tensor x = random.random_rows(kMoeTokens, 40, 31);
  const Pass pass = Pass::over(Sequences::equal(1, kMoeTokens), random.model.rope);
  LocalDispatcher dispatcher;
  Moe::Saved saved;
  const RoutingResult routing = moe.dispatch(ctx, dispatcher, x, 1, pass, saved);
  moe.experts(ctx, dispatcher, x, pass, saved);
  const Tensor y = moe.combine(ctx, dispatcher, saved);
  const auto indices = std::as_const(saved.indices).view<int32_t, 2>();
  Ffn::Saved dropped;
  Tensor want = moe.shared->forward(ctx, x, {}, dropped);
  for (int64_t t = 0; t < kMoeTokens; ++t) {
    for (int64_t k = 0; k < moe.config.top_k; ++k) {
      const auto expert = static_cast<size_t>(indices(t, k));
      Ffn ffn;
      ffn.w_gate.weight.master = moe.w_gate.weights[expert].master.share();
      ffn.w_up.weight.master = moe.w_up.weights[expert].master.share();
      ffn.w_down.weight.master = moe.w_down.weights[expert].master.share();
      const Tensor out = ffn.forward(ctx, x, {}, dropped);
      for (int64_t i = 0; i < 40; ++i) {
        want.mat()(t, i) += std::as_const(saved.gates).mat()(t, k) * out.mat()(t, i);
      }
    }
  }
  expect_close(y, want, Tolerance::for_sum(40), "y");
  EXPECT_EQ(std::accumulate(routing.load.begin(), routing.load.end(), int64_t{0}),
            kMoeTokens * moe.config.top_k);
}

}  // namespace
}  // namespace hadal::test
