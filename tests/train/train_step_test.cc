// One step: accumulation, memory, router biases, messages.
#include "hadal/train/train_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "hadal/nn/moe.h"
#include "hadal/train/evaluate.h"
#include "tests/support/compare.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

using test::small_batch;
using test::small_shape;

TEST(SmallRun, TrainsTheSmallShape) {
  ModelConfig shape = model_shape(test::SmallRun().config("run"), 80);
  shape.vocab_size = small_shape().vocab_size;  // the tokenizer's there
  EXPECT_EQ(shape, small_shape());
}

class TrainStepTest : public ::testing::Test {
 protected:
  DeepseekV3 fresh() {
    DeepseekV3 model = make_model(small_shape(), arena_);
    initialise_weights(model, arena_, 3, 0.05F);
    return model;
  }
  StepPlan plan(int64_t micro_batch_sequences, double learning_rate = 1e-3) const {
    StepPlan result;
    result.learning_rate = learning_rate;
    result.micro_batch_sequences = micro_batch_sequences;
    return result;
  }
  ThreadPool pool_{2};
  Arena arena_;
  Context ctx_{pool_, arena_};
};

TEST_F(TrainStepTest, MicroBatchesAddUpToTheBatch) {
  TrainState whole(arena_, fresh(), {}, false, 16), parts(arena_, fresh(), {}, false, 16);
  const Batch batch = small_batch(5, 16, 1);
  const StepReport one = train_step(ctx_, whole, batch, plan(5));
  const StepReport many = train_step(ctx_, parts, batch, plan(2));  // 2 + 2 + 1
  EXPECT_NEAR(one.total_loss, many.total_loss, 1e-6 * one.total_loss);
  EXPECT_NEAR(one.loss.mtp[0], many.loss.mtp[0], 1e-6 * one.loss.mtp[0]);
  EXPECT_NEAR(one.loss.balance, many.loss.balance, 1e-5 * one.loss.balance);
  EXPECT_NEAR(one.grad_norm, many.grad_norm, 1e-5 * one.grad_norm);
  EXPECT_EQ(one.load, many.load);
  // After the first step the first moment is the clipped gradient times 1 - beta1.
  for (size_t i = 0; i < whole.optimizer.params().size(); ++i) {
    test::expect_close(parts.optimizer.moments()[i].m, whole.optimizer.moments()[i].m,
                       test::Tolerance::for_sum(5 * 16), whole.optimizer.params()[i].name);
  }
}

// As if the sequence were not there, in losses and gradients. The router sees its rows all the same:
// they count in the load and, where it has a weight, in the balance loss.
TEST_F(TrainStepTest, PaddingCountsInNoLossButInTheRoutersLoad) {
  TrainState state(arena_, fresh(), {}, false, 16);
  Batch batch = small_batch(2, 16, 1);
  for (size_t t = 16; t < 32; ++t) batch.targets[t] = -1;  // the second sequence is padding
  StepPlan of_targets = plan(1);
  of_targets.loss.balance = 0.0F;
  const StepReport both = train_step(ctx_, state, batch, of_targets);
  TrainState single(arena_, fresh(), {}, false, 16);
  const StepReport alone = train_step(ctx_, single, small_batch(1, 16, 1), of_targets);
  EXPECT_NEAR(both.loss.ce, alone.loss.ce, 1e-6);
  EXPECT_NEAR(both.loss.mtp[0], alone.loss.mtp[0], 1e-6);
  EXPECT_NEAR(both.grad_norm, alone.grad_norm, 1e-6 * alone.grad_norm);
  ASSERT_EQ(both.load.size(), alone.load.size());
  for (size_t layer = 0; layer < alone.load.size(); ++layer) {
    const auto sum = [&](const ExpertLoad& load) {
      return std::accumulate(load[layer].begin(), load[layer].end(), int64_t{0});
    };
    EXPECT_EQ(sum(both.load), 2 * sum(alone.load)) << layer;
  }
  for (size_t i = 0; i < state.optimizer.params().size(); ++i) {
    test::expect_close(state.optimizer.moments()[i].m, single.optimizer.moments()[i].m,
                       test::Tolerance::for_sum(5 * 16), state.optimizer.params()[i].name);
  }
}

TEST_F(TrainStepTest, TakesNoMemoryAfterTheSecondStep) {
  TrainState state(arena_, fresh(), {}, true, 16);
  for (uint64_t step = 0; step < 2; ++step) {
    train_step(ctx_, state, small_batch(4, 16, step), plan(2));
  }
  const int64_t reserved = arena_.bytes_reserved(), in_use = arena_.bytes_in_use();
  for (uint64_t step = 2; step < 12; ++step) {
    train_step(ctx_, state, small_batch(4, 16, step), plan(2));
    EXPECT_EQ(arena_.bytes_reserved(), reserved) << step;
    EXPECT_EQ(arena_.bytes_in_use(), in_use) << step;
  }
}

TEST_F(TrainStepTest, BiasesMoveASkewedLoadTowardsUniform) {
  TrainState state(arena_, fresh(), {}, false, 16);
  for (DecoderLayer& layer : state.model.layers) {
    if (Moe* moe = layer.moe()) {
      moe->route_bias.master.vec()(0) = 0.6F;  // nearly every token takes experts 0 and 1
      moe->route_bias.master.vec()(1) = 0.5F;
    }
  }
  StepPlan frozen = plan(8, 0.0);  // only the biases learn
  const Batch batch = small_batch(8, 16, 9);
  const double before = violations(train_step(ctx_, state, batch, frozen).load)[0];
  for (const double gamma : {0.02, 0.005, 0.001}) {  // sign steps circle the goal at their own size
    frozen.bias_gamma = gamma;
    for (int step = 0; step < 30; ++step) train_step(ctx_, state, batch, frozen);
  }
  const double after = violations(train_step(ctx_, state, batch, frozen).load)[0];
  EXPECT_GT(before, 2.5);  // 8 experts, 2 chosen: 3.0 is the worst there is
  EXPECT_LT(after, 0.6);
}

TEST_F(TrainStepTest, NoBiasMovesWhenGammaIsZero) {
  TrainState state(arena_, fresh(), {}, false, 16);
  StepPlan still = plan(4);
  still.bias_gamma = 0.0;
  train_step(ctx_, state, small_batch(4, 16, 1), still);
  const Tensor& bias = state.model.layers[1].moe()->route_bias.master;
  for (const float value : bias.flat<float>()) EXPECT_EQ(value, 0.0F);
}

TEST_F(TrainStepTest, NamesTheLayerThatIsNotFinite) {
  TrainState state(arena_, fresh(), {}, false, 16);
  state.model.layers[1].attn.w_o.weight.master.mat()(0, 0) = NAN;
  const float untouched = state.model.embedding.master.mat()(1, 1);
  try {
    train_step(ctx_, state, small_batch(4, 16, 1), plan(4));
    FAIL() << "took the step";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("the loss of step 1 is not finite"), std::string::npos) << text;
    EXPECT_NE(text.find("of layer 1 ("), std::string::npos) << text;
  }
  EXPECT_EQ(state.model.embedding.master.mat()(1, 1), untouched);
  EXPECT_EQ(state.steps, 0);
}

TEST_F(TrainStepTest, NamesTheParameterWhoseGradientIsNotFinite) {
  TrainState state(arena_, fresh(), {}, false, 16);
  // Gradients add up; a NaN that is there before the step stays.
  state.model.layers[0].attn.w_uq.weight.grad.mat()(0, 1) = NAN;
  try {
    train_step(ctx_, state, small_batch(4, 16, 1), plan(4));
    FAIL() << "took the step";
  } catch (const Error& error) {
    EXPECT_NE(
        std::string(error.what()).find("1 of 384 elements of model.layers.0.self_attn.q_b_proj"),
        std::string::npos)
        << error.what();
  }
  EXPECT_EQ(state.steps, 0);
}

TEST_F(TrainStepTest, AModelThatKnowsNothingScoresLnV) {
  DeepseekV3 model = fresh();
  model.ensure_rope(arena_, 16);
  for (float& w : model.head.master.flat<float>()) w = 0.0F;
  const Batch batch = small_batch(3, 16, 4);
  const Evaluation result = evaluate(ctx_, model, {{batch, 100}});
  EXPECT_EQ(result.tokens, 48);
  EXPECT_NEAR(result.loss, std::log(80.0), 1e-6);
  EXPECT_NEAR(result.bits_per_byte, 48 * std::log2(80.0) / 100, 1e-5);
  ASSERT_EQ(result.mtp_acceptance.size(), 1U);
  EXPECT_EQ(result.mtp_acceptance[0], 1.0);  // all logits are equal, so both choose token 0
}

// Every token is the one before plus three: once main model and MTP know that, they agree on a
// token, and would never agree if predictions of neighbouring tokens were compared.
Batch counting_batch(int64_t first) {
  Batch batch{8, 16, {}, {}};
  for (int64_t row = 0; row < 8 * 16; ++row) {
    const int64_t id = first + 9 * (row / 16) + 3 * (row % 16);
    batch.tokens.push_back(static_cast<int32_t>(id % 80));
    batch.targets.push_back(static_cast<int32_t>((id + 3) % 80));
  }
  return batch;
}

TEST_F(TrainStepTest, AcceptanceComparesPredictionsOfTheSameToken) {
  TrainState state(arena_, fresh(), {}, false, 16);
  for (int64_t step = 0; step < 150; ++step) {
    train_step(ctx_, state, counting_batch(step), plan(8, 1e-2));
  }
  const Evaluation result = evaluate(ctx_, state.model, {{counting_batch(5), 100}});
  EXPECT_GT(result.mtp_acceptance[0], 0.9);
}

}  // namespace
}  // namespace hadal
