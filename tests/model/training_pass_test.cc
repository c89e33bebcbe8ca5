// Losses and gradients of whole models that no reference has: softmax routers, several MTP modules
// with either state, tied heads, sparse MoE layers.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/support/compare.h"
#include "tests/support/trainee.h"

namespace hadal::test {
namespace {

// Every expert is chosen by every token: differences cannot flip a choice.
ModelConfig all_chosen(ModelConfig config) {
  config.router.n_group = config.router.topk_group = 1;
  config.router.top_k = config.router.n_routed_experts;
  return config;
}

// d loss / d (a random direction of all parameters), central differences of fourth order.
void expect_gradient_matches_differences(const ModelConfig& config, uint64_t seed,
                                         const std::string& what,
                                         const LossWeights& weights = kTestWeights) {
  SCOPED_TRACE(what);
  Trainee trainee(config, seed, 2, 6);
  for (NamedParam& each : named_params(trainee.model)) {  // biases that decide every choice
    if (each.kind != ParamKind::kRouteBias) continue;
    for (size_t e = 0; e < 8; ++e)
      each.param->master.flat<float>()[e] = 2.0F * static_cast<float>(e);
  }
  trainee.at_once(weights);

  std::vector<NamedParam> params;
  std::vector<std::vector<float>> start, u;
  double analytic = 0.0, grad_norm = 0.0, u_mean = 0.0;
  size_t count = 0;
  for (NamedParam& each : named_params(trainee.model)) {
    if (each.kind == ParamKind::kRouteBias) continue;
    const auto values = std::as_const(each.param->master).flat<float>();
    const auto grad = std::as_const(each.param->grad).flat<float>();
    start.emplace_back(values.begin(), values.end());
    u.push_back(random_values(static_cast<int64_t>(values.size()), seed + 10 + params.size(), 0.1));
    for (size_t i = 0; i < grad.size(); ++i) {
      analytic += double{grad[i]} * double{u.back()[i]};
      grad_norm += double{grad[i]} * double{grad[i]};
      u_mean += double{u.back()[i]} * double{u.back()[i]};
    }
    count += grad.size();
    params.push_back(each);
  }
  ExpertLoad chosen;
  const auto loss_at = [&](double step) {
    for (size_t p = 0; p < params.size(); ++p) {
      const auto values = params[p].param->master.flat<float>();
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(double{start[p][i]} + step * double{u[p][i]});
      }
    }
    const auto [loss, load] = training_loss(trainee.ctx, trainee.model, trainee.whole(), weights);
    if (chosen.empty()) chosen = load;
    EXPECT_EQ(load, chosen) << "the choice of experts flips";
    return loss.total(weights);
  };
  const auto derivative = [&](double h) {
    return (8.0 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12.0 * h);
  };
  constexpr double kStep = 2e-3;
  const double numeric = derivative(kStep);
  // Rounding of the loss over the step (a few dozen roundings of values near ln V), and what
  // doubling the step changes, which bounds the truncation.
  const double bound = 1.5 * 32.0 * 1.2e-7 * loss_at(0.0) / std::sqrt(12.0) / kStep +
                       std::abs(derivative(2 * kStep) - numeric);
  EXPECT_NEAR(analytic, numeric, bound);
  const double typical = std::sqrt(grad_norm * u_mean / static_cast<double>(count));
  EXPECT_LT(bound, 0.1 * typical) << "the comparison has no power";
}

TEST(TrainingPass, GradientOfTwoMtpModules) {
  expect_gradient_matches_differences(all_chosen(two_mtp_config()), 1, "n_mtp 2");
}

TEST(TrainingPass, GradientWithUnnormalisedMtpStates) {
  ModelConfig config = two_mtp_config();
  config.mtp_hidden = MtpHidden::kPreNorm;
  expect_gradient_matches_differences(all_chosen(config), 2, "pre-norm states");
}

TEST(TrainingPass, GradientWithTiedHead) {
  ModelConfig config = odd_config();
  config.tie_word_embeddings = true;
  expect_gradient_matches_differences(all_chosen(config), 3, "tied");
}

TEST(TrainingPass, GradientWithSoftmaxRouter) {
  expect_gradient_matches_differences(all_chosen(softmax_config()), 4, "softmax");
}

TEST(TrainingPass, GradientWithoutQueryLatentAndWithSparseMoeLayers) {
  ModelConfig config = odd_config();
  config.q_lora_rank = 0;
  config.n_layers = 4;
  config.moe_layer_freq = 2;  // layers 2 only: 1 and 3 are dense again
  expect_gradient_matches_differences(all_chosen(config), 5, "no latent, moe_layer_freq 2");
}

TEST(TrainingPass, GradientOfTheBalanceLossAlone) {
  LossWeights weights{.mtp = 0.0F, .balance = 3.0F};
  weights.balance_count = BalanceCount::kChosen;
  expect_gradient_matches_differences(odd_config(), 6, "balance", weights);
}

TEST(TrainingPass, AtOnceEqualsTheSeparateSteps) {
  ModelConfig pre_norm = two_mtp_config();
  pre_norm.mtp_hidden = MtpHidden::kPreNorm;
  ModelConfig tied = odd_config();
  tied.tie_word_embeddings = true;
  for (const ModelConfig& config : {two_mtp_config(), pre_norm, tied, softmax_config()}) {
    Trainee split(config, 7, 3, 9), fused(config, 7, 3, 9);
    const LossParts want = split.in_steps(kTestWeights).loss,
                    got = fused.at_once(kTestWeights).loss;
    EXPECT_EQ(got.ce, want.ce);
    EXPECT_EQ(got.mtp, want.mtp);
    EXPECT_EQ(got.balance, want.balance);
    expect_close(fused.gradient(), split.gradient(), Tolerance::exact(), "gradient");
  }
}

// More rows than the head's chunk: its gradient is then a sum of several products.
TEST(TrainingPass, HeadInChunksEqualsHeadsOfFewRows) {
  Trainee split(odd_config(), 8, 4, 150), fused(odd_config(), 8, 4, 150);
  const LossParts in_steps = split.in_steps(kTestWeights).loss,
                  got = fused.at_once(kTestWeights).loss,
                  alone = training_loss(fused.ctx, fused.model, fused.whole(), kTestWeights).loss;
  for (const LossParts* each : {&in_steps, &alone}) {
    EXPECT_EQ(got.ce, each->ce);
    EXPECT_EQ(got.mtp, each->mtp);
    EXPECT_EQ(got.balance, each->balance);
  }
  expect_close(fused.gradient(), split.gradient(), Tolerance::exact(), "gradient");

  Trainee parts(odd_config(), 8, 4, 150);
  LossParts want;
  for (int64_t s = 0; s < 4; ++s) {
    want.add(forward_backward(parts.ctx, parts.model, parts.micro_batch(s, 1), kTestWeights).loss);
  }
  EXPECT_NEAR(got.ce, want.ce, 1e-6 * want.ce);
  EXPECT_NEAR(got.mtp[0], want.mtp[0], 1e-6 * want.mtp[0]);
  fused.expect_gradient_of(parts, Tolerance::for_sum(600));
}

TEST(TrainingPass, MicroBatchesAddUpToTheBatch) {
  Trainee whole(two_mtp_config(), 9, 3, 8), parts(two_mtp_config(), 9, 3, 8);
  const auto [want, want_load] = whole.at_once(kTestWeights);
  LossParts got;
  ExpertLoad got_load;
  for (int64_t s = 0; s < 3; ++s) {
    const auto [loss, load] =
        forward_backward(parts.ctx, parts.model, parts.micro_batch(s, 1), kTestWeights);
    got.add(loss);
    add_load(got_load, load);
  }
  EXPECT_NEAR(got.total(kTestWeights), want.total(kTestWeights), 1e-6 * want.total(kTestWeights));
  EXPECT_EQ(got_load, want_load);
  parts.expect_gradient_of(whole, Tolerance::for_sum(100));
}

// Counts the tokens of each expert from what the routers offer.
class LoadCounter final : public Probe {
 public:
  LoadCounter(size_t n_layers, size_t n_experts)
      : load(n_layers, std::vector<int64_t>(n_experts, 0)) {}
  void offer(std::string_view name, int layer, const Tensor& value) override {
    if (name != "router.indices") return;
    for (const int32_t e : value.flat<int32_t>()) {
      ++load[static_cast<size_t>(layer)][static_cast<size_t>(e)];
    }
  }
  ExpertLoad load;
};

// sum_s share_s sum_i f_i P_i of equal sequences (arXiv:2412.19437 eq. 17-20), counted on the
// chosen experts.
double recounted_balance(const Moe::Saved& saved, const Sequences& sequences) {
  const auto scores = saved.scores.mat();
  const auto indices = saved.indices.view<int32_t, 2>();
  const int64_t n_experts = scores.dim(1);
  double loss = 0.0;
  for (int64_t s = 0; s < sequences.n(); ++s) {
    const auto length = static_cast<double>(sequences.length(s));
    std::vector<double> f(static_cast<size_t>(n_experts)), p(f.size());
    for (int64_t t = sequences.begin(s); t < sequences.end(s); ++t) {
      for (const int32_t e : indices.row(t)) {
        f[static_cast<size_t>(e)] +=
            static_cast<double>(n_experts) / static_cast<double>(indices.dim(1)) / length;
      }
      double sum = 0.0;
      for (const float score : scores.row(t)) sum += double{score};
      for (size_t e = 0; e < p.size(); ++e) p[e] += double{scores.row(t)[e]} / sum / length;
    }
    for (size_t e = 0; e < p.size(); ++e) loss += f[e] * p[e];
  }
  return loss / static_cast<double>(sequences.n());
}

TEST(TrainingPass, LoadAndBalanceLossAreThoseOfTheRouters) {
  Trainee trainee(two_mtp_config(), 15, 3, 9), looked_into(two_mtp_config(), 15, 3, 9);
  LossWeights weights = kTestWeights;
  weights.balance_count = BalanceCount::kChosen;
  LoadCounter counter(5, 8);
  counter.load[0].clear();  // a dense layer has no experts
  trainee.ctx.probe = &counter;
  const TrainingResult result = trainee.at_once(weights);
  EXPECT_EQ(result.load, counter.load);

  StageSaved saved;
  const StageOutput output =
      StageForward(looked_into.ctx, looked_into.dispatcher, looked_into.model, looked_into.cut, {},
                   looked_into.rows(weights), Keep::kForBackward, saved)
          .run();
  double want = 0.0;
  for (const DecoderLayer::Saved& layer : saved.layers) {
    if (const auto* moe = std::get_if<Moe::Saved>(&layer.ffn)) {
      want += recounted_balance(*moe, saved.pass.sequences);
    }
  }
  for (const StageSaved::Mtp& mtp : saved.mtp) {
    want += recounted_balance(std::get<Moe::Saved>(mtp.block.layer.ffn), mtp.pass.sequences);
  }
  EXPECT_EQ(output.load, result.load);
  EXPECT_EQ(std::accumulate(output.balance.begin(), output.balance.end(), 0.0),
            result.loss.balance);
  EXPECT_NEAR(result.loss.balance, want, 1e-6 * want);
}

TEST(TrainingPass, ResultDoesNotDependOnTheThreads) {
  std::vector<float> want;
  for (const int n_threads : {1, 2, 3}) {
    RandomModel random(two_mtp_config(), 10, n_threads);
    allocate_gradients(random.model, random.arena);
    const std::vector<int32_t> tokens = random.random_tokens(40, 1);
    forward_backward(random.ctx, random.model, {tokens, tokens, 4, 10, 40, 4}, kTestWeights);
    const auto grad = std::as_const(random.model.embedding.grad).flat<float>();
    const std::vector<float> got(grad.begin(), grad.end());
    if (want.empty()) want = got;
    EXPECT_EQ(got, want) << n_threads << " threads";
  }
}

TEST(TrainingPass, NothingIsKeptAfterW) {
  Trainee trainee(two_mtp_config(), 11, 2, 8);
  const int64_t before = trainee.arena.bytes_in_use();
  trainee.at_once(kTestWeights);
  EXPECT_EQ(trainee.arena.bytes_in_use(), before);
  StageSaved saved;
  StageForward(trainee.ctx, trainee.dispatcher, trainee.model, trainee.cut, {},
               trainee.rows(kTestWeights), Keep::kForBackward, saved)
      .run();
  StageBackward(trainee.ctx, trainee.dispatcher, trainee.model, nullptr, trainee.cut, {}, saved)
      .run();
  EXPECT_GT(trainee.arena.bytes_in_use(), before);
  stage_backward_weight(trainee.ctx, trainee.model, trainee.cut, std::move(saved));
  EXPECT_EQ(trainee.arena.bytes_in_use(), before);
}

TEST(TrainingPass, AtOncePeaksBelowTheSeparateSteps) {
  Trainee split(odd_config(), 12, 4, 100), fused(odd_config(), 12, 4, 100);
  const int64_t before = split.arena.bytes_in_use();
  split.in_steps(kTestWeights);
  fused.at_once(kTestWeights);
  EXPECT_LT(2 * (fused.arena.peak_bytes_in_use() - before),
            split.arena.peak_bytes_in_use() - before);
}

TEST(TrainingPass, IgnoredTargetsAddNothing) {
  Trainee some(odd_config(), 13, 1, 8), none(odd_config(), 13, 1, 8);
  for (int32_t& target : none.targets) target = -1;
  const LossParts loss = none.at_once({.mtp = 0.3F, .balance = 0.0F}).loss;
  EXPECT_EQ(loss.ce, 0.0);
  EXPECT_EQ(loss.mtp[0], 0.0);
  for (const float g : none.gradient()) ASSERT_EQ(g, 0.0F);
  some.targets[3] = -1;  // one target less: the rest counts as before
  const LossParts fewer = some.at_once(kTestWeights).loss;
  EXPECT_GT(fewer.ce, 0.0);
}

// Sequences shorter than the MTP depth have no row there; their loads are zeros, not missing.
TEST(TrainingPass, SequencesShorterThanTheMtpDepth) {
  for (const int64_t length : {1, 2}) {
    Trainee trainee(two_mtp_config(), 14, 2, length);
    const auto [loss, load] = trainee.at_once(kTestWeights);
    EXPECT_EQ(loss.mtp.size(), 2U);
    EXPECT_EQ(loss.mtp[0] > 0.0, length == 2);
    EXPECT_EQ(loss.mtp[1], 0.0);
    ASSERT_EQ(load.size(), 5U);
    EXPECT_TRUE(load[0].empty());
    EXPECT_EQ(load[4], std::vector<int64_t>(8, 0));
    for (const float g : trainee.gradient()) ASSERT_TRUE(std::isfinite(g));
  }
}

// What backward has kept or forms again: a matter of memory alone, in MTP modules, too.
TEST(TrainingPass, RecomputationChangesNoBit) {
  Trainee again(odd_config(), 3, 2, 7), kept(odd_config(), 3, 2, 7);
  again.at_once(kTestWeights);
  const int64_t least = again.arena.peak_bytes_in_use();
  forward_backward(kept.ctx, kept.model, kept.whole(), kTestWeights, {false, false, false});
  EXPECT_EQ(kept.gradient(), again.gradient());
  EXPECT_GT(kept.arena.peak_bytes_in_use(), least);
}

TEST(TrainingPass, UntrainedModelKnowsNothing) {
  ModelConfig config = odd_config();
  Arena arena;
  ThreadPool pool(1);
  Context ctx{pool, arena};
  DeepseekV3 model = make_model(config, arena);
  initialise_weights(model, arena, 1);
  allocate_gradients(model, arena);
  std::vector<int32_t> tokens(60);
  std::iota(tokens.begin(), tokens.end(), 0);
  for (int32_t& token : tokens) token %= 53;
  const auto [loss, load] =
      forward_backward(ctx, model, {tokens, tokens, 3, 20, 60, 3}, kTestWeights);
  // Logits have a variance of d_model * 0.006^2: ln V up to half of that.
  const double uniform = std::log(53.0);
  EXPECT_NEAR(loss.ce, uniform, 0.02);
  EXPECT_NEAR(loss.mtp[0], uniform * 19.0 / 20.0, 0.02);
  EXPECT_EQ(std::accumulate(load[1].begin(), load[1].end(), int64_t{0}), 60 * 3);
}

}  // namespace
}  // namespace hadal::test
