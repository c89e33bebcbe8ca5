// That a run does at every step what its schedules say, from its first step and after it is resumed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numbers>

#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/io/safetensors.h"
#include "hadal/train/held_out.h"
#include "hadal/train/metrics.h"
#include "hadal/train/run_plan.h"
#include "hadal/train/step_figures.h"
#include "tests/support/small_run.h"

namespace hadal {
namespace {

using test::SmallRun;

constexpr int64_t kStepTokens = 4 * 24;  // of a SmallRun

double largest_route_bias(const std::string& checkpoint) {
  const SafetensorsFile file = SafetensorsFile::open(checkpoint + "/training_state.safetensors");
  double largest = 0;
  for (const TensorInfo& info : file.tensors()) {
    if (info.name.find("e_score_correction_bias") == std::string::npos) continue;
    const Tensor bias = file.tensor(info);
    for (const float value : bias.flat<float>())
      largest = std::max(largest, std::abs(double{value}));
  }
  return largest;
}

TEST(RunSchedules, WeightsAndSpeedsChangeAtTheirTokens) {
  const SmallRun run;
  const Json result =
      run.train("a", {"loss.balance_alpha=0", "loss.mtp_weight=0.3", "loss.mtp_weight_late=0.1",
                      "loss.mtp_late_from_tokens=300", "loss.bias_gamma=0.001",
                      "loss.bias_gamma_late=0.01", "loss.bias_late_from_tokens=500"});
  int64_t n_steps = 0;
  for (const Json& line : read_metrics(run.path("a"), std::numeric_limits<int64_t>::max())) {
    if (line.at("split") != Json("train")) continue;
    const int64_t step = line.at("step").as_integer(), before = (step - 1) * kStepTokens;
    const double ce = line.at("train/loss").as_number(), mtp = line.at("mtp/loss_1").as_number();
    EXPECT_NEAR(line.at("train/total_loss").as_number(), ce + (before < 300 ? 0.3 : 0.1) * mtp,
                1e-6)
        << "step " << step;
    // Three steps of warm-up; the cosine begins at 67.6 % of 768 tokens.
    if (before < 519) {
      EXPECT_NEAR(line.at("train/learning_rate").as_number(),
                  2e-3 * std::min(1.0, static_cast<double>(step) / 3), 1e-12)
          << "step " << step;
    }
    ++n_steps;
  }
  EXPECT_EQ(n_steps, 8);
  // Six steps of 0.001 and two of 0.01 in the same direction at most; eight early ones are 0.008.
  const double bias = largest_route_bias(result.at("checkpoint").as_string());
  EXPECT_GT(bias, 0.0085);
  EXPECT_LT(bias, 0.0265);
}

TEST(RunSchedules, AResumedRunLimitedByTimeCountsTheTimeBefore) {
  const SmallRun run;
  const std::vector<std::string> limits = {"train.max_seconds=5000", "train.steps=4"};
  const std::string first = run.train("a", limits).at("checkpoint").as_string();
  Json state = parse_json_file(first + "/state.json");
  EXPECT_LT(state.at("elapsed_seconds").as_number(), 4000);
  state["elapsed_seconds"] = 4000.0;  // as if it had been slow
  write_file_atomically(first + "/state.json", state.dump(2) + "\n");
  std::filesystem::remove(first + "/manifest.json");
  write_manifest(first);
  const std::string last = run.train("a", {"train.max_seconds=5000", "train.steps=6"}, true)
                               .at("checkpoint")
                               .as_string();
  EXPECT_NE(last, first);
  const double elapsed = parse_json_file(last + "/state.json").at("elapsed_seconds").as_number();
  EXPECT_GT(elapsed, 4000);
  EXPECT_LT(elapsed, 5000);
}

TEST(RunSchedules, APlanByTimeAloneIsTakenFromTheCheckpointAndNoOtherIs) {
  const SmallRun run;
  const TrainConfig by_time = run.config("x", {"train.steps=0", "train.max_seconds=100"});
  RunPlan plan(by_time);
  EXPECT_EQ(plan.planned_tokens(), 0);
  plan.restore(12345, 10);
  EXPECT_EQ(plan.planned_tokens(), 12345);
  const TrainConfig by_steps = run.config("x", {"train.steps=10"});
  RunPlan longer(by_steps);
  longer.restore(4 * kStepTokens, 10);
  EXPECT_EQ(longer.planned_tokens(), 10 * kStepTokens);
}

// Also where its steps were smaller than those the plan was made of.
TEST(RunSchedules, ARunOfEightStepsEndsAfterTheEighth) {
  const SmallRun run;
  const TrainConfig eight = run.config("x", {"train.steps=8"});
  const RunPlan plan(eight);
  EXPECT_FALSE(plan.finished({7, 7 * kStepTokens / 2, 0}, 0));
  EXPECT_TRUE(plan.finished({8, 8 * kStepTokens / 2, 0}, 0));
}

// A second update that comes at once, while the average still reads the first one's weights.
TEST(RunSchedules, TheAverageTakesTheWeightsOfItsOwnStep) {
  ThreadPool pool(2);
  Arena arena;
  Context ctx{pool, arena};
  ModelConfig shape = test::small_shape();
  shape.vocab_size = 100'000;  // milliseconds for the average
  DeepseekV3 model = make_model(shape, arena);
  initialise_weights(model, arena, 3, 0.05F);
  TrainState state(arena, std::move(model), {}, /*with_ema=*/true, 16);
  const Param& param = *state.optimizer.params().front().param;
  StepPlan plan;
  plan.learning_rate = 1.0;  // no gradient: the weights decay by a tenth
  plan.ema_decay = 0.5;
  const Tensor first = param.master.clone(arena);
  const Batch batch = test::small_batch(2, 16, 1);
  StepReport report;
  report.load.resize(state.model.layers.size() + state.model.mtp.size());
  for (size_t i = 0; i < report.load.size(); ++i) {
    report.load[i].assign(static_cast<size_t>(shape.router.n_routed_experts), 1);
  }
  update_state(ctx, state, batch, plan, report);
  update_state(ctx, state, batch, plan, report);
  const auto old = first.flat<float>();
  const auto average = std::as_const(state.average->tensors().front()).flat<float>();
  for (size_t i = 0; i < old.size(); ++i) {
    const float after_one = 0.5F * (1.0F + 0.9F) * old[i];
    ASSERT_NEAR(average[i], 0.5F * (after_one + 0.81F * old[i]), 1e-6) << i;
  }
}

TEST(RunSchedules, TheAverageBeginsWithTheFirstStep) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  DeepseekV3 model = make_model(test::small_shape(), arena);
  initialise_weights(model, arena, 3, 0.05F);
  TrainState state(arena, std::move(model), {}, /*with_ema=*/true, 16);
  const Param& param = *state.optimizer.params().front().param;
  const Tensor before = param.master.clone(arena);
  StepPlan plan;
  plan.learning_rate = 1e-2;
  plan.ema_decay = 0.75;
  plan.micro_batch_sequences = 2;
  train_step(ctx, state, test::small_batch(2, 16, 1), plan);
  const auto old = before.flat<float>();
  const auto now = std::as_const(param.master).flat<float>();
  const auto average = std::as_const(state.average->tensors().front()).flat<float>();
  double moved = 0;
  for (size_t i = 0; i < old.size(); ++i) {
    EXPECT_NEAR(average[i], 0.75F * old[i] + 0.25F * now[i], 1e-7) << i;
    moved = std::max(moved, std::abs(double{now[i]} - double{old[i]}));
  }
  EXPECT_GT(moved, 1e-3);
}

// An average that forgets at once is the weights themselves, and scores as they do.
TEST(RunSchedules, TheAverageIsScoredOnTheSameText) {
  const SmallRun run;
  const Json result = run.train("a", {"optimizer.ema_decay=1e-9"});
  EXPECT_NEAR(result.at("ema_val_loss").as_number(), result.at("val_loss").as_number(), 1e-6);
  EXPECT_NEAR(result.at("ema_val_bits_per_byte").as_number(),
              result.at("val_bits_per_byte").as_number(), 1e-6);
}

TEST(RunSchedules, BitsPerByteAreOfTheTargetsThatCount) {
  StepReport report;
  report.loss.ce = 2.0;
  const Batch batch{2, 3, {1, 2, 3, 4, 5, 6}, {2, 3, -1, -1, 6, 7}};
  const StepFigures figures = step_figures(report, batch, /*text_bytes=*/10, /*seconds=*/0.5);
  EXPECT_DOUBLE_EQ(figures.bits_per_byte, 2.0 * 4 / std::numbers::ln2 / 10);
  EXPECT_DOUBLE_EQ(figures.tokens_per_s, 12.0);
}

// Few rows of a long text: from its beginning to its end, not its first pages.
TEST(RunSchedules, HeldOutRowsLieAllOverTheHeldOutText) {
  const SmallRun run;
  TrainConfig config = run.config("x");
  config.data.seq_len = config.train.seq_len;
  ThreadPool pool(1);
  const PreparedData data = prepare_data(config.data, pool);
  const int64_t rows = data.validation_rows();
  ASSERT_GT(rows, 6);
  std::vector<int32_t> tokens;
  int64_t bytes = 0;
  for (const HeldOutBatch& held_out : held_out_rows(data, test::small_shape(), 3, 24)) {
    tokens.insert(tokens.end(), held_out.batch.tokens.begin(), held_out.batch.tokens.end());
    bytes += held_out.bytes;
  }
  std::vector<int32_t> expected;
  int64_t expected_bytes = 0;
  for (const int64_t row : {int64_t{0}, rows / 3, 2 * rows / 3}) {
    const Batch one = data.validation_batch(row, 1);
    expected.insert(expected.end(), one.tokens.begin(), one.tokens.end());
    expected_bytes += data.target_bytes(one);
  }
  EXPECT_EQ(tokens, expected);
  EXPECT_EQ(bytes, expected_bytes);
}

}  // namespace
}  // namespace hadal
