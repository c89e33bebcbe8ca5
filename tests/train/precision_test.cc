// Training in BF16 and FP8: as good as in F32 on a small model, repeatable bit for bit, and no more
// memory than the recipe says.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "hadal/measure/measure_train.h"
#include "hadal/measure/saved_activations.h"
#include "hadal/model/checkpoint.h"
#include "hadal/model/forward.h"
#include "hadal/model/precision.h"
#include "hadal/ops/quantize.h"
#include "hadal/train/config.h"
#include "hadal/train/ema.h"
#include "hadal/train/metrics.h"
#include "hadal/train/train_step.h"
#include "hadal/train/training_checkpoint.h"
#include "tests/support/compare.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::small_batch;
using test::small_shape;
using test::SmallRun;

struct Trained {
  explicit Trained(const ModelPrecision& precision, int n_threads = 2,
                   const ModelConfig& config = small_shape())
      : pool(n_threads), state(arena, fresh(config), {}, false, 16) {
    set_precision(state.model, precision);
    remake_working_weights(ctx, state.model);
  }
  DeepseekV3 fresh(const ModelConfig& config) {
    DeepseekV3 model = make_model(config, arena);
    initialise_weights(model, arena, 3, 0.05F);
    return model;
  }
  double steps(int n) {
    StepPlan plan;
    plan.learning_rate = 3e-3;
    plan.micro_batch_sequences = 2;
    double loss = 0.0;
    for (int i = 0; i < n; ++i) {
      loss = train_step(ctx, state, small_batch(4, 16, static_cast<uint64_t>(i % 3)), plan).loss.ce;
    }
    return loss;
  }
  ThreadPool pool;
  Arena arena;
  Context ctx{pool, arena};
  TrainState state;
};

ModelPrecision all(Precision precision, WeightGradientTiles tiles = WeightGradientTiles::kRetiled,
                   KeptNorms norms = KeptNorms::kInputs) {
  return ModelPrecision::all({precision, tiles, norms});
}
ModelPrecision fp8_with_norm_outputs() {
  return all(Precision::kFp8, WeightGradientTiles::kRetiled, KeptNorms::kOutputs);
}

// Over twenty steps. Later a rounding that sends a token to another expert has parted the runs by as much
// as another order of the batches does.
TEST(TrainingPrecision, EveryPrecisionLearnsAsF32Does) {
  const double f32_first = Trained(all(Precision::kF32)).steps(1);
  const double f32 = Trained(all(Precision::kF32)).steps(20);
  ASSERT_LT(f32, 0.8 * f32_first);
  const ModelPrecision mixed{Precision::kBf16, Precision::kF32, Precision::kFp8, Precision::kFp8};
  for (const ModelPrecision& precision :
       {all(Precision::kBf16), all(Precision::kFp8), all(Precision::kFp8F32Scales),
        all(Precision::kFp8, WeightGradientTiles::kColumns), fp8_with_norm_outputs(), mixed}) {
    Trained rounded(precision);
    const double first = Trained(precision).steps(1);
    EXPECT_NE(first, f32_first);  // something was rounded
    EXPECT_NEAR(first, f32_first, 2e-3 * f32_first);
    EXPECT_NEAR(rounded.steps(20), f32, 0.02 * f32);
  }
}

// The gradient of every parameter points where F32's does. A value rounded to E4M3 is off by 2.6 % of
// itself (root mean square over a binade), one rounded to BF16 by 0.16 %; some forty such roundings
// without a common sign lie on the way through three layers and back, which makes 16 % and 1 %. Twice that.
// Every expert is chosen by every token: rounding cannot turn a choice, which would be no small change.
TEST(TrainingPrecision, GradientsAreCloseToThoseOfF32) {
  const auto gradient = [](Trained& of) {
    const Batch batch = small_batch(4, 16, 1);
    const MicroBatch micro{batch.tokens, batch.targets, 4, 16, 64, 4};
    forward_backward(of.ctx, of.state.model, micro, LossWeights{});
  };
  ModelConfig config = small_shape();
  config.router.n_group = config.router.topk_group = 1;
  config.router.top_k = config.router.n_routed_experts;
  Trained f32(all(Precision::kF32), 2, config);
  gradient(f32);
  struct Case {
    ModelPrecision precision;
    double error;
  };
  for (const Case& c : {Case{all(Precision::kBf16), 0.02}, Case{all(Precision::kFp8), 0.33},
                        Case{all(Precision::kFp8, WeightGradientTiles::kColumns), 0.33},
                        Case{fp8_with_norm_outputs(), 0.33}}) {
    Trained rounded(c.precision, 2, config);
    gradient(rounded);
    const std::vector<Trainable>& params = f32.state.optimizer.params();
    for (size_t i = 0; i < params.size(); ++i) {
      const auto want = std::as_const(params[i].param->grad).flat<float>();
      const auto got = std::as_const(rounded.state.optimizer.params()[i].param->grad).flat<float>();
      double difference = 0.0, norm = 0.0;
      for (size_t j = 0; j < want.size(); ++j) {
        difference += std::pow(double{got[j]} - double{want[j]}, 2);
        norm += std::pow(double{want[j]}, 2);
      }
      EXPECT_LE(std::sqrt(difference), c.error * std::sqrt(norm)) << params[i].name;
    }
  }
}

TEST(TrainingPrecision, ThreadsChangeNoBit) {
  for (const ModelPrecision& precision :
       {all(Precision::kBf16), all(Precision::kFp8), all(Precision::kFp8F32Scales),
        all(Precision::kFp8, WeightGradientTiles::kColumns), fp8_with_norm_outputs()}) {
    Trained one(precision, 1), three(precision, 3);
    EXPECT_EQ(one.steps(3), three.steps(3));
    for (size_t i = 0; i < one.state.params.size(); ++i) {
      test::expect_close(three.state.params[i].param->master, one.state.params[i].param->master,
                         test::Tolerance::exact(), one.state.params[i].name);
    }
  }
}

// train.recompute = "auto" keeps everything only where nothing waits rounded.
TEST(TrainingPrecision, RecomputationByItselfIsOfRoundedActivations) {
  const auto forms_again = [](const std::string& recompute,
                              const TrainConfig::Precision& settings) {
    return recompute_policy(recompute, model_precision(settings)).norm_outputs;
  };
  TrainConfig::Precision f32, mixed;
  mixed.experts = "fp8";
  EXPECT_FALSE(forms_again("auto", f32));
  EXPECT_TRUE(forms_again("selective", f32));
  EXPECT_TRUE(forms_again("auto", mixed));
  EXPECT_FALSE(forms_again("none", mixed));
}

// precision.shared = ... and its like.
TEST(TrainingPrecision, EveryClassHasItsOwn) {
  TrainConfig::Precision settings;
  settings.compute = "bf16";
  settings.dense = "fp32";
  settings.shared = "fp8";
  settings.weight_gradient = "columns";
  Trained mixed(model_precision(settings));
  const LinearPrecision columns{Precision::kFp8, WeightGradientTiles::kColumns};
  int n_dense = 0, n_sparse = 0;
  for (DecoderLayer& layer : mixed.state.model.layers) {
    EXPECT_EQ(layer.attn.w_o.precision, LinearPrecision(Precision::kBf16));
    if (const Moe* moe = layer.moe()) {
      ++n_sparse;
      EXPECT_EQ(moe->w_up.precision, LinearPrecision(Precision::kBf16));
      EXPECT_EQ(moe->shared->w_up.precision, columns);
    } else {
      ++n_dense;
      EXPECT_EQ(std::get<Ffn>(layer.ffn).w_down.precision, LinearPrecision(Precision::kF32));
    }
  }
  EXPECT_GT(n_dense, 0);
  EXPECT_GT(n_sparse, 0);
}

// Products of the averaged model read the average, and those after it the weights again.
TEST(TrainingPrecision, WorkingWeightsFollowTheAverage) {
  Trained trained(all(Precision::kFp8));
  TrainState averaged(trained.arena, trained.fresh(small_shape()), {}, /*with_ema=*/true, 16);
  set_precision(averaged.model, Precision::kFp8);
  remake_working_weights(trained.ctx, averaged.model);
  StepPlan plan;
  plan.learning_rate = 3e-3;
  plan.micro_batch_sequences = 2;
  plan.ema_decay = 0.5;
  for (uint64_t i = 0; i < 2; ++i) {
    train_step(trained.ctx, averaged, small_batch(4, 16, i), plan);
  }
  const auto expect_fresh_codes = [&](const char* when) {
    for (const NamedParam& each : averaged.params) {
      const auto* codes = std::get_if<Quantized>(&each.param->working);
      if (!codes) continue;
      const Tensor before = dequantized(trained.ctx, *codes);
      remake_working_weight(trained.ctx, *each.param, Precision::kFp8);
      test::expect_close(dequantized(trained.ctx, std::get<Quantized>(each.param->working)), before,
                         test::Tolerance::exact(), concat(each.name, when));
    }
  };
  expect_fresh_codes(" after a step");
  swap_ema(trained.ctx, averaged);
  expect_fresh_codes(" of the average");
  swap_ema(trained.ctx, averaged);
  expect_fresh_codes(" after the average");
}

// Bytes of a parameter are those of its master, gradient, moments and working codes: no BF16 copy.
TEST(TrainingPrecision, Fp8WeightsTakeOneByteBesideTheMaster) {
  int64_t projections = 0;
  Trained of_f32(all(Precision::kF32)), of_fp8(all(Precision::kFp8));
  for (const NamedParam& each : of_fp8.state.params) {
    if (const auto* codes = std::get_if<Quantized>(&each.param->working)) {
      projections += each.param->master.size();
      EXPECT_EQ(codes->codes.bytes(), each.param->master.size()) << each.name;
    } else {
      EXPECT_TRUE(std::holds_alternative<std::monostate>(each.param->working)) << each.name;
    }
  }
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    for (const NamedParam& each : of_fp8.state.params) {
      if (each.name != name) continue;
      EXPECT_EQ(each.param->weight().form, WeightForm::kF32) << name;
    }
  }
  of_f32.steps(2);
  of_fp8.steps(2);
  const int64_t more = of_fp8.arena.bytes_in_use() - of_f32.arena.bytes_in_use();
  EXPECT_GE(more, projections);
  EXPECT_LT(more, 2 * projections);
}

TEST(TrainingPrecision, SavedActivationsShrinkWithThePrecision) {
  const auto bytes = [](const ModelPrecision& precision) {
    Trained of(precision);
    return saved_activations(of.ctx, of.state.model, 256, 1).total();
  };
  const double f32 = bytes(all(Precision::kF32)), bf16 = bytes(all(Precision::kBf16));
  const double fp8 = bytes(all(Precision::kFp8));
  EXPECT_LT(bf16, 0.65 * f32);  // routing and norms of attention stay F32
  EXPECT_LT(fp8, 0.85 * bf16);
}

// The figures of docs/precision.md: inputs of norms are BF16 in both, and the rest is about half.
TEST(TrainingPrecision, SavedActivationsOfThePeerShape) {
  Arena arena;
  ThreadPool pool(2);
  Context ctx{pool, arena};
  DeepseekV3 model = make_model(training_peer_shape(), arena);
  initialise_weights(model, arena, 1, 0.02F);
  const auto bytes = [&](const ModelPrecision& precision) {
    set_precision(model, precision);
    remake_working_weights(ctx, model);
    return saved_activations(ctx, model, 256, 1).total();
  };
  const double bf16 = bytes(all(Precision::kBf16));
  EXPECT_LE(bytes(all(Precision::kFp8)), 0.70 * bf16);
  EXPECT_LE(bytes(fp8_with_norm_outputs()), 0.55 * bf16);
}

TEST(TrainingPrecision, RetilingIsCountedWhenAskedForAndChangesNothing) {
  const SmallRun run;
  const std::vector<std::string> fp8 = {"precision.compute=fp8", "train.steps=2"};
  const auto trained = [&](const char* name, std::vector<std::string> more) {
    more.insert(more.end(), fp8.begin(), fp8.end());
    run.train(name, more);
    return read_metrics(run.path(name), 1).front();
  };
  const Json plain = trained("plain", {});
  const Json counted = trained("counted", {"log.retiling=true"});
  const Json columns =
      trained("columns", {"log.retiling=true", "precision.weight_gradient=columns"});
  EXPECT_EQ(plain.find("fp8/retiled_values"), nullptr);
  EXPECT_EQ(counted.at("train/loss").as_number(), plain.at("train/loss").as_number());
  EXPECT_EQ(counted.at("train/grad_norm").as_number(), plain.at("train/grad_norm").as_number());
  const int64_t values = counted.at("fp8/retiled_values").as_integer();
  EXPECT_GT(values, 0);
  EXPECT_LE(counted.at("fp8/retiled_values_changed").as_integer(), values / 20);
  EXPECT_EQ(columns.at("fp8/retiled_values").as_integer(), 0);
}

// Tensor by tensor, nothing left out: the arena holds no more than was counted, but for blocks
// that are a little larger, and the rows on the host beside. What attention gave waits once in every precision.
TEST(TrainingPrecision, WhatWaitsIsCountedWhole) {
  const ModelConfig config = small_shape();
  constexpr int64_t kTokens = 512;
  const auto n_layers = static_cast<double>(config.n_layers);
  const double on_host = 8.0 * static_cast<double>(config.router.top_k) * (n_layers - 1.0);
  for (const ModelPrecision& precision :
       {all(Precision::kF32), all(Precision::kBf16), all(Precision::kFp8)}) {
    Trained of(precision);
    const SavedActivations saved = saved_activations(of.ctx, of.state.model, kTokens, 1);
    ASSERT_EQ(std::ssize(saved.layers), config.n_layers);
    const double counted = saved.total() - on_host;
    EXPECT_GE(saved.arena_bytes, counted);
    EXPECT_LE(saved.arena_bytes, 1.06 * counted);
    const double values = static_cast<double>(config.n_heads * config.v_head_dim);
    const double bytes = saved.layers[0].at("attention_output") / values;
    EXPECT_EQ(bytes, precision.attention == Precision::kF32    ? 4.0
                     : precision.attention == Precision::kBf16 ? 2.0
                                                               : 1.5 + 2.0 / values);
  }
}

TEST(TrainingPrecision, ResumedFp8RunsEndAsIfNeverInterrupted) {
  const SmallRun run;
  const std::vector<std::string> fp8 = {"precision.compute=fp8", "optimizer.moment_dtype=bf16"};
  run.train("whole", fp8);
  fs::copy(run.path("whole"), run.path("cut"),
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::remove_all(run.path("cut") + "/checkpoints/" + checkpoint_name(8));
  run.train("cut", fp8, /*resume=*/true);
  const std::string last = "/checkpoints/" + checkpoint_name(8);
  EXPECT_EQ(test::differing_files(run.path("whole") + last, run.path("cut") + last),
            std::vector<std::string>{});
}

TEST(TrainingPrecision, CheckpointsMoveBetweenPrecisions) {
  const SmallRun run;
  run.train("moves", {"train.steps=4", "precision.compute=fp8"});
  for (const char* precision : {"bf16", "fp32", "fp8"}) {
    const int64_t steps = precision == std::string("bf16")   ? 6
                          : precision == std::string("fp32") ? 7
                                                             : 8;
    const Json end = run.train(
        "moves", {concat("train.steps=", steps), concat("precision.compute=", precision)}, true);
    EXPECT_EQ(end.at("step").as_integer(), steps) << precision;
  }
}

// What was trained in FP8 and saved in FP8 is multiplied as the trainer multiplied it.
TEST(TrainingPrecision, TheSavedModelGivesTheTrainersLogits) {
  const test::TemporaryFolder folder;
  Trained trained(all(Precision::kFp8));
  trained.steps(3);
  trained.state.model.config.fp8_power_of_two_scales = true;
  for (const NamedParam& each : trained.state.params) {  // BF16 in the file
    if (!std::holds_alternative<std::monostate>(each.param->working)) continue;
    if (each.kind == ParamKind::kRouteBias) continue;
    for (float& value : each.param->master.flat<float>()) value = to_float(to_bf16(value));
  }
  save_model(trained.ctx, folder / "fp8", trained.state.model, {.dtype = SaveDType::kFP8});
  DeepseekV3 loaded = load_model(trained.ctx, folder / "fp8", {.dtype = LoadAs::kAsStored});
  set_precision(loaded, Precision::kFp8);
  const Batch batch = small_batch(2, 16, 7);
  const Sequences sequences = Sequences::equal(2, 16);
  const Tensor want =
      forward_logits(trained.ctx, trained.state.model, batch.tokens, sequences, false).logits;
  const Tensor got = forward_logits(trained.ctx, loaded, batch.tokens, sequences, false).logits;
  test::expect_close(got, want, test::Tolerance::exact(), "logits");
}

}  // namespace
}  // namespace hadal
