// plan/machine.h against the trainer itself: what a step keeps in memory is measured on the arena
// that every tensor comes from.
#include "hadal/plan/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/measure/measure_train.h"
#include "hadal/measure/model_flops.h"
#include "hadal/train/config.h"
#include "hadal/train/train_step.h"
#include "tests/plan/laptop.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Bytes that the arena took from the system for one training step.
double arena_bytes(const ModelConfig& config, int64_t batch, int64_t micro_batch, int64_t length,
                   const RecomputePolicy& recompute) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{.pool = pool, .arena = arena};
  DeepseekV3 model = make_model(config, arena);
  initialise_weights(model, arena, 1, 0.02F);
  TrainState state(arena, std::move(model), AdamwConfig{}, /*with_ema=*/false, length);
  Batch tokens{.n_sequences = batch, .length = length, .tokens = {}, .targets = {}};
  for (int64_t i = 0; i < batch * length; ++i) {
    tokens.tokens.push_back(static_cast<int32_t>((i * 7) % config.vocab_size));
    tokens.targets.push_back(static_cast<int32_t>((i * 11) % config.vocab_size));
  }
  StepPlan plan;
  plan.learning_rate = 1e-3;
  plan.micro_batch_sequences = micro_batch;
  plan.recompute = recompute;
  train_step(ctx, state, tokens, plan);
  return static_cast<double>(arena.bytes_reserved());
}

TEST(Machine, MemoryIsTheTrainersOwn) {
  struct Case {
    ModelConfig config;
    int64_t batch, micro_batch, length;
  };
  const Case cases[] = {{find_preset("nano").config, 4, 4, 256},
                        {find_preset("nano").config, 2, 1, 64},
                        {find_preset("tiny").config, 2, 2, 128},
                        {find_preset("tiny-v2-lite").config, 4, 2, 128},
                        {training_peer_shape(), 4, 4, 128}};
  for (const Case& c : cases) {
    Worksheet sheet = make_machine_sheet(c.config, laptop(),
                                         {.tokens = 1e6,
                                          .sequence_length = c.length,
                                          .batch_sequences = c.batch,
                                          .micro_batch_sequences = c.micro_batch});
    for (const std::string recompute : {"auto", "selective"}) {
      if (recompute == "selective") sheet.set("recompute", 1);
      // Weights, gradients and moments are certain and would hide an error in the rest.
      const double states = sheet.value("memory_weights") + sheet.value("memory_gradients") +
                            sheet.value("memory_moments");
      const double planned = sheet.value("step_memory") - sheet.value("memory_program") - states;
      const double measured = arena_bytes(c.config, c.batch, c.micro_batch, c.length,
                                          recompute_policy(recompute, model_precision({}))) -
                              states;
      // Which freed blocks are reused depends on sizes: the plan is an estimate.
      EXPECT_NEAR(planned / measured, 1, 0.18)
          << c.config.d_model << " " << c.micro_batch << " " << recompute;
    }
  }
}

TEST(Machine, TheBenchmarksOwnShapeTakesTheBenchmarksTime) {
  const MachineFigures machine = laptop();
  const Worksheet sheet =
      make_machine_sheet(machine.bench_config, machine,
                         {.tokens = 2.5e6, .sequence_length = 256, .batch_sequences = 8});
  EXPECT_NEAR(sheet.value("tokens_per_s"), 2500, 1e-6);
  EXPECT_EQ(sheet.value("steps"), 1221);  // 2.5e6 / 2048, rounded up
  EXPECT_NEAR(sheet.value("run_seconds"), 1221 * 2048 / 2500.0, 1e-6);
}

// Without MTP and latent queries the work is the published convention's, plus what is formed again.
TEST(Machine, WorkByHand) {
  ModelConfig c = training_peer_shape();
  Worksheet sheet = make_machine_sheet(c, laptop(), {.tokens = 1, .sequence_length = 256});
  const double scores = 6 * 4 * 48 * 256.0;  // of six layers
  EXPECT_DOUBLE_EQ(sheet.value("flops_done_per_token"), training_flops_per_token(c, 256) + scores);
  sheet.set("recompute", 1);
  const double up = 128.0 * 4 * 48 + 64.0 * 4 * (32 + 32);  // W_UQ and W_UKV
  EXPECT_DOUBLE_EQ(sheet.value("flops_done_per_token"),
                   training_flops_per_token(c, 256) + 6 * 2 * up + scores);
}

TEST(Machine, InputsMoveOutputs) {
  Worksheet s = make_machine_sheet(find_preset("nano").config, laptop(), {.tokens = 20e6});
  const double seconds = s.value("run_seconds"), memory = s.value("run_memory");
  s.set("tokens", 40e6);
  EXPECT_NEAR(s.value("run_seconds") / seconds, 2, 1e-3);
  s.reset("tokens");
  s.set("bench_tokens_per_s", 5000);
  EXPECT_LT(s.value("run_seconds"), 0.52 * seconds);
  s.reset("bench_tokens_per_s");
  s.set("moment_bytes", 2);
  EXPECT_DOUBLE_EQ(memory - s.value("run_memory"), 4 * s.value("parameters_trained"));
  s.reset("moment_bytes");
  s.set("keeps_average", 1);
  EXPECT_DOUBLE_EQ(s.value("run_memory") - memory, 4 * s.value("parameters_trained"));
}

TEST(Machine, ReadsWhatTheBenchmarkPrints) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{.pool = pool, .arena = arena};
  MeasureTrainOptions options;
  options.model = find_preset("tiny").config;
  options.preset = "tiny";
  options.batch = 2;
  options.seq = 32;
  options.steps = 2;
  const Json bench = parse_json(report_json(measure_train(ctx, options)).dump(), "bench.json");
  const MachineFigures m = read_machine_figures(
      bench, "bench.json", 1e9, [](const std::string& name) { return find_preset(name).config; });
  EXPECT_EQ(m.bench_config, options.model);
  EXPECT_EQ(m.bench_sequence, 32);
  EXPECT_EQ(m.bench_batch, 2);
  EXPECT_EQ(m.threads, 1);
  EXPECT_EQ(m.bench_tokens_per_s, bench.at("tok_s_best").as_number());
  EXPECT_GT(m.memory_bandwidth, 1e8);
  const Worksheet sheet = make_machine_sheet(options.model, m, {.tokens = 1e6});
  EXPECT_GT(sheet.value("training_share_of_peak"), 0);
  EXPECT_LT(sheet.value("training_share_of_peak"), 1);
}

TEST(Machine, RefusesOtherFiles) {
  const auto error = [](const std::string& text) -> std::string {
    try {
      read_machine_figures(parse_json(text, "x.json"), "x.json", 1e9,
                           [](const std::string&) { return training_peer_shape(); });
    } catch (const FormatError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error("[]"), HasSubstr("x.json: does not say what was trained"));
  EXPECT_THAT(error("{\"preset\": 3}"), HasSubstr("does not say what was trained"));
  EXPECT_THAT(error("{\"preset\": \"\"}"), HasSubstr("no usable \"tok_s_best\" (found nothing"));
  for (const char* value : {"0", "-3", "1e300", "\"fast\"", "null"}) {
    EXPECT_THAT(error(std::string("{\"preset\": \"\", \"tok_s_best\": ") + value + "}"),
                HasSubstr("no usable \"tok_s_best\""))
        << value;
  }
}

}  // namespace
}  // namespace hadal
