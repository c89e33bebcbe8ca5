// The training plan against published figures, and against formulas written out a second time.
#include "hadal/plan/training_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include "tests/plan/sheet_of.h"

namespace hadal {
namespace {

struct Figure {
  const char* cell;
  double expected, tolerance;  // relative
};

void expect_figures(const Worksheet& sheet, const std::vector<Figure>& figures) {
  for (const Figure& each : figures) {
    EXPECT_NEAR(sheet.value(each.cell) / each.expected, 1.0, each.tolerance)
        << each.cell << " = " << sheet.value(each.cell);
  }
}

TEST(TrainingPlan, DeepseekV3LandsOnThePublishedFigures) {
  const Worksheet sheet = sheet_of("deepseek-v3", "h800-2048");
  expect_figures(sheet, {{"gpu_hours_per_trillion_tokens", 180e3, 0.005},
                         {"gpu_hours_pretraining", 2664e3, 0.005},
                         {"gpu_hours_context_extension", 119e3, 0.005},
                         {"gpu_hours_post_training", 5e3, 1e-12},
                         {"gpu_hours", 2788e3, 0.005},
                         {"cost_pretraining", 5.328e6, 0.005},
                         {"cost_usd", 5.576e6, 0.005},
                         {"days_per_trillion_tokens", 3.66, 0.005},
                         {"days_pretraining", 54.25, 0.001},
                         {"step_seconds", 19.926, 1e-9},
                         {"tokens_per_day", 272.80e9, 1e-4},
                         {"flops_per_gpu", 385e12, 0.005},
                         {"flops_per_gpu_full", 432e12, 0.005},
                         {"mfu", 0.3894, 0.005},
                         {"mfu_full", 0.4373, 0.005},
                         {"steps_full", 227.8e3, 0.001},
                         {"steps_ramp", 12.4e3, 0.005}});
}

TEST(TrainingPlan, EveryPublishedFigureOfTheRunIsWithinOnePercent) {
  const Worksheet sheet = sheet_of("deepseek-v3", "h800-2048");
  EXPECT_GE(sheet.published_values().size(), 19U);
  for (const Worksheet::Published& each : sheet.published_values()) {
    // 37.55B is advertised as 37B, 0.286 s as 0.29 (the traffic has a test of its own below).
    if (each.name == "parameters_active" || each.name == "data_parallel_seconds") continue;
    EXPECT_NEAR(sheet.value(each.name) / each.value, 1.0, 0.01) << each.name;
  }
}

// What an efficiency was chosen to meet is no evidence, and is marked.
TEST(TrainingPlan, CalibratedFiguresAreMarked) {
  const auto calibrated = [](const char* preset) {
    std::map<std::string, bool> marks;
    const Worksheet sheet = sheet_of(preset, "h800-2048");
    for (const Worksheet::Published& each : sheet.published_values()) {
      marks[each.name] = each.calibrated;
    }
    return marks;
  };
  const auto v3 = calibrated("deepseek-v3");
  for (const char* name : {"step_seconds", "mfu", "gpu_hours_pretraining", "cost_usd",
                           "gpu_hours_context_extension", "gpu_hours_post_training"}) {
    EXPECT_TRUE(v3.at(name)) << name;
  }
  for (const char* name : {"flops_per_token", "parameters_total", "data_parallel_seconds"}) {
    EXPECT_FALSE(v3.at(name)) << name;
  }
  EXPECT_FALSE(calibrated("deepseek-v2").at("gpu_hours_per_trillion_tokens"));
}

// docs/plan.md, "Work per token", to the digits given there.
TEST(TrainingPlan, WorkPerTokenOfDeepseekV3AndV2) {
  expect_figures(sheet_of("deepseek-v3", "h800-2048"),
                 {{"flops_linear_per_token", 219.754e9, 3e-6},
                  {"flops_attention_full_per_token", 61.405e9, 1e-5},
                  {"flops_attention_causal_per_token", 30.702e9, 2e-5},
                  {"flops_per_token", 250.456e9, 2e-6},
                  {"flops_per_token_full", 281.158e9, 2e-6},
                  {"flops_mtp_per_token", 10.19e9, 1e-3},
                  {"context_1_flops_per_token", 465.37e9, 2e-5},
                  {"context_2_flops_per_token", 1202.23e9, 1e-5},
                  {"context_extension_flops", 1.049e23, 1e-3}});
  expect_figures(sheet_of("deepseek-v2", "h800-2048"),
                 {{"flops_linear_per_token", 125.11e9, 1e-4},
                  {"flops_attention_causal_per_token", 30.20e9, 1e-4},
                  {"flops_per_token", 155.3e9, 1e-3}});
}

TEST(TrainingPlan, ParametersEqualTheExactCountOfEveryPreset) {
  for (const Preset& preset : presets()) {
    const Worksheet sheet = sheet_of(preset.name, "h800-256");
    const ParameterCount count = count_parameters(preset.config);
    EXPECT_EQ(sheet.value("parameters_total"), static_cast<double>(count.total)) << preset.name;
    EXPECT_EQ(sheet.value("parameters_active"), static_cast<double>(count.active)) << preset.name;
    EXPECT_EQ(sheet.value("parameters_multiplied"),
              static_cast<double>(count.active_without_embedding))
        << preset.name;
    EXPECT_EQ(sheet.value("parameters_mtp"), static_cast<double>(count.mtp)) << preset.name;
    double sum = 0;
    for (const char* part : {"attention", "dense_ffn", "routed_experts", "shared_experts", "router",
                             "norms", "embedding", "head"}) {
      sum += sheet.value(std::string("parameters_") + part);
    }
    EXPECT_EQ(sum, sheet.value("parameters_total")) << preset.name;
  }
}

// docs/plan.md, "Memory and traffic", of DeepSeek-V3's layout.
TEST(TrainingPlan, MemoryAndTrafficOfDeepseekV3) {
  const Worksheet sheet = sheet_of("deepseek-v3", "h800-2048");
  expect_figures(sheet, {{"expert_parameters_per_gpu", 1.277e9, 1e-3},
                         {"other_parameters_per_gpu", 1.908e9, 1e-3},
                         {"memory_optimizer_experts", 2.55e9 * 8 / 7.25, 3e-3},  // of 58 / 8
                         {"activation_bytes_selective", 0.17e6, 0.01},
                         {"chunk_activation_bytes", 45e9 / 17 * 4 * 16 / 61, 0.02},
                         {"dispatch_bytes", 7392, 1e-12},
                         {"combine_bytes", 14336, 1e-12},
                         {"dispatch_nic_bytes", 106e6, 2e-3},
                         {"combine_nic_bytes", 206e6, 3e-3},
                         {"nic_seconds_per_layer", 6.2e-3, 6e-3},
                         {"pipeline_bytes", 58.7e6, 1e-3},
                         {"replicas", 128, 1e-12},
                         {"micro_batches", 120, 1e-12},
                         {"expert_replicas", 2, 1e-12},
                         {"in_flight_chunks", 17, 1e-12},
                         {"inner_moe_layers", 8, 1e-12},
                         {"end_moe_layers", 2, 1e-12},
                         {"end_dense_layers", 3, 1e-12}});
  EXPECT_EQ(sheet.value("inner_dense_layers"), 0);
  EXPECT_GT(sheet.value("memory_headroom"), 0);  // it did fit
  EXPECT_GT(sheet.value("memory_per_gpu"), 0.8 * 72e9);
}

// DeepSeek-V2's 8 devices with experts stand in one node, a token reaches three of them.
TEST(TrainingPlan, TrafficOfDeepseekV2StaysInTheNode) {
  const Worksheet sheet = sheet_of("deepseek-v2", "h800-2048");
  const double devices = 3 * (1 - std::pow(2.0 / 3, 6));  // of three, hit by one of six at least
  const double bytes = 4096 * devices * 7 / 8 * (2 * 5120 + 2 * 5120);
  expect_figures(sheet, {{"nvlink_bytes", bytes, 1e-9},
                         {"all_to_all_seconds_per_layer", bytes / 160e9, 1e-9},
                         {"micro_batches", 72, 1e-12}});
  EXPECT_EQ(sheet.value("dispatch_nic_bytes"), 0);
}

// 64 of the 72 GPUs of a domain share the experts: nothing crosses the NIC, and NVLink carries a token
// to the GPUs that 8 choices among the 32 of its four groups hit.
TEST(TrainingPlan, ADomainOf72HoldsAWholeExpertGroup) {
  const char* const layout = "pp=16,ep=64,schedule=interleaved,stages-per-rank=4";
  const Worksheet sheet = sheet_of("deepseek-v3", "gb200-256", layout);
  const double reached = 32 * (1 - std::pow(31.0 / 32, 8));
  const double bytes = 4096 * reached * 63 / 64 * (7392 + 14336);
  expect_figures(sheet, {{"gpus_per_node", 64, 1e-12},
                         {"expert_nodes", 1, 1e-12},
                         {"nvlink_bytes", bytes, 1e-9},
                         {"all_to_all_seconds_per_layer", bytes / 720e9, 1e-9},
                         {"data_parallel_bandwidth", 720e9, 1e-12}});  // 64 replicas
  EXPECT_EQ(sheet.value("dispatch_nic_bytes"), 0);
  EXPECT_TRUE(layout_problem(layout_of(sheet), layout_facts(sheet)).empty());
  // In nodes of 8 the same group spans eight of them.
  EXPECT_GT(sheet_of("deepseek-v3", "b200-256", layout).value("dispatch_nic_bytes"), 0);
  EXPECT_EQ(sheet_of("deepseek-v3", "gb300-256", layout).value("nvlink_bytes"),
            sheet.value("nvlink_bytes"));
  // Two domains: half of what a token sends goes to the other one.
  const Worksheet two = sheet_of("deepseek-v3", "gb300-256", "pp=4,ep=128,schedule=interleaved");
  expect_figures(two, {{"expert_nodes", 2, 1e-12},
                       {"dispatch_nic_bytes", 4096 * 2 * 0.5 * 7392, 1e-9},
                       {"data_parallel_bandwidth", 100e9, 1e-12}});
}

// Every part of the memory once more, in numbers alone: 8 layers with experts on a middle rank (two
// stages of 4), 3 without and 2 with on the end rank, 17 chunks in flight.
TEST(TrainingPlan, MemoryPartsOfDeepseekV3WrittenOutAgain) {
  const Worksheet sheet = sheet_of("deepseek-v3", "h800-2048");
  const double expert = 3 * 7168.0 * 2048, dense_ffn = 3 * 7168.0 * 18432;
  const double attention = (671026419200.0 - 58 * (257 * expert + 256 * 7169) - 3 * dense_ffn -
                            2 * 129280 * 7168.0 - 7168) /
                           61;                   // with the layer's two norms
  const double experts = 8 * 256 * expert / 64;  // parameters on the rank
  const double others = 8 * (attention + expert + 256 * 7169);
  const double fp8 = 1 + 4.0 / 16384;
  const double token = 7168 * (1 + 1.0 / 32) + 2 * (1536 + 576) + 16384 * 1.5 + 4 * 128 +
                       (4 * 256 + 8 * 8) + 8 * 7168 * (1 + 1.0 / 32) + 7168 * (1 + 1.0 / 32) +
                       9 * 4096 * (1 + 1.0 / 32) + 4 * 7168;  // bytes in a layer
  const double dense_token = 7168 * (1 + 1.0 / 32) + 2 * (1536 + 576) + 16384 * 1.5 + 4 * 128 +
                             (7168 + 2 * 18432) * (1 + 1.0 / 32) + 4 * 7168;
  const double unsaved = 4 * 7168 + 2 * (1536 + 512) + 2 * 128 * 512 + 9 * 2048 * (1 + 1.0 / 32);
  const double activations = 17 * token * 4096 * 4;
  const double states = 8 * (experts / 4 + others / 256);  // 2 replicas x 2 copies; 128 x 2
  const double common =
      4096 * unsaved + 2 * 4096 * 4 * (7392 + 14336.0) + 4 * 4096 * 7168 * 2.0 + 3e9;
  const double inner = (experts + others) * (fp8 + 4) + states + activations + common;
  const double tables = 2 * 129280 * 7168.0;
  const double mtp = 256.0 / 64 * 3 * 7168 * 2048 + 688100608 - 8 * 3 * 7168.0 * 2048;
  const double end = (inner - common) * 2 / 8 +
                     3 * (attention + dense_ffn) * (fp8 + 4 + 8.0 / 256) +
                     3 * 17.0 / 2 * 4096 * dense_token + tables * (2 + 4 + 8.0 / 256) +
                     mtp * (fp8 + 4) + 17.0 / 2 * 4096 * token + 4096 * 129280 * 4.0 + common;
  expect_figures(sheet, {{"memory_gradients", 4 * (experts + others), 1e-9},
                         {"memory_expert_weights", experts * fp8, 1e-9},
                         {"memory_other_weights", others * fp8, 1e-9},
                         {"memory_weights_if_fp8", (experts + others) * fp8, 1e-9},
                         {"memory_weights_if_bf16", (experts + others) * 2, 1e-9},
                         {"memory_weights_if_fp32", (experts + others) * 4, 1e-9},
                         {"memory_activations", activations, 1e-9},
                         {"memory_inner_rank", inner, 1e-9},
                         {"memory_end_rank", end, 1e-9},
                         {"memory_per_gpu", inner, 1e-9},
                         {"host_memory_ema", 4 * (671026419200.0 + 11610068224.0) / 256, 1e-9}});
}

// 40 dense layers of 61: the last stages hold experts alone, whatever the mean says.
TEST(TrainingPlan, LayersAreCountedRankByRank) {
  Worksheet sheet = sheet_of("deepseek-v3", "h800-2048", "schedule=1f1b");
  const double of_three = sheet.value("memory_expert_weights");
  sheet.set("n_dense_layers", 40);
  expect_figures(sheet, {{"inner_moe_layers", 4, 1e-12},
                         {"end_moe_layers", 2, 1e-12},
                         {"memory_expert_weights", of_three, 1e-12}});
  EXPECT_EQ(sheet.value("inner_dense_layers") + sheet.value("end_dense_layers"), 0);
  sheet.set("n_dense_layers", 61);
  EXPECT_EQ(sheet.value("inner_moe_layers"), 0);
  EXPECT_EQ(sheet.value("inner_dense_layers"), 4);
}

// One rank has the whole pipeline: embedding and head are both on it, with or without MTP.
TEST(TrainingPlan, OneRankHoldsBothTables) {
  const struct {
    const char* layout;
    double tables;
  } cases[] = {{"pp=1,ep=8,schedule=1f1b", 2},
               {"pp=1,ep=8,schedule=zb1p", 2},
               {"pp=4,ep=8,schedule=interleaved,stages-per-rank=4", 2},
               {"pp=2,ep=8,schedule=zbv", 2},
               {"pp=2,ep=8,schedule=1f1b", 1},
               {"pp=4,ep=8,schedule=interleaved,stages-per-rank=2", 1}};
  for (const auto& each : cases) {
    Worksheet sheet = sheet_of("deepseek-v3", "h800-2048", each.layout);
    EXPECT_EQ(sheet.value("end_table_parameters"), 2 * 129280 * 7168.0) << each.layout;  // MTP
    sheet.set("n_mtp", 0);
    EXPECT_EQ(sheet.value("end_table_parameters"), each.tables * 129280 * 7168) << each.layout;
  }
  Worksheet one = sheet_of("deepseek-v3", "h800-2048", "pp=1,ep=8,schedule=1f1b");
  EXPECT_EQ(one.value("inner_moe_layers") + one.value("inner_dense_layers"), 61);
  EXPECT_EQ(one.value("end_moe_layers"), 58);
}

// The gradient and weight traffic alone, over the NIC, takes what was published for the optimizer:
// a check of the traffic model by a number that it was not made from.
TEST(TrainingPlan, DataParallelTrafficExplainsThePublishedOptimizerTime) {
  const Worksheet sheet = sheet_of("deepseek-v3", "h800-2048");
  EXPECT_NEAR(sheet.value("data_parallel_seconds"), 0.29, 0.01);
}

// 172.8K GPU-hours are published. docs/plan.md says why hadal's prediction, with kernels as
// efficient as DeepSeek-V3's, is 5.3 % below.
TEST(TrainingPlan, DeepseekV2IsPredictedFromDeepseekV3sStep) {
  const Worksheet sheet = sheet_of("deepseek-v2", "h800-2048");
  EXPECT_EQ(layout_text(layout_of(sheet)),
            "pp=16,ep=8,micro-batch=1,schedule=zb1p,recompute=selective,precision=bf16");
  const double ratio = sheet.value("gpu_hours_per_trillion_tokens") / 172.8e3;
  EXPECT_GT(ratio, 0.94);
  EXPECT_LT(ratio, 1.0);
}

TEST(TrainingPlan, EveryCellOfEveryPresetHasAFiniteValueAndSaysWhereItComesFrom) {
  for (const Preset& preset : presets()) {
    const Worksheet sheet = sheet_of(preset.name, "h800-256", "pp=2,ep=1,schedule=1f1b");
    for (const Worksheet::Cell& cell : sheet.cells()) {
      EXPECT_TRUE(std::isfinite(sheet.value(cell.name))) << preset.name << " " << cell.name;
      EXPECT_FALSE(cell.note.empty() && cell.formula.empty()) << preset.name << " " << cell.name;
    }
  }
}

// The chunk times of DeepSeek-V3's own plan are the measured ones: calibration and prediction are
// each other's inverse.
TEST(TrainingPlan, CalibrationGivesBackTheMeasuredChunks) {
  const Worksheet sheet = sheet_of("deepseek-v3", "h800-2048");
  // Rank 0 of DualPipe(16, 120), the eight steps of docs/schedules.md with H = 8, h = 0, m = 60:
  const double forwards = 14 + 2 + 7, pairs = 2 * 45 + 7, weights = 7 + 7 + 1;
  const double full_backwards = 7 + 1, backward_inputs = 7 + 1 + 7;
  EXPECT_NEAR(sheet.value("forward_seconds"), 1.13 / forwards, 1e-12);
  EXPECT_NEAR(sheet.value("weight_seconds"), 0.48 / weights, 1e-12);
  EXPECT_NEAR(sheet.value("pair_seconds"), 13.95 / pairs, 1e-12);
  EXPECT_NEAR(sheet.value("backward_input_seconds"),
              (1.99 - full_backwards * 0.48 / weights) / (full_backwards + backward_inputs), 1e-12);
  // The published bubble, 2.06 s, is the simulated one and the stall, but for what the published
  // parts leave unnamed: 19.926 - 19.90 s.
  EXPECT_NEAR(sheet.value("bubble_seconds") + sheet.value("stall_seconds"), 2.06, 0.08);
}

}  // namespace
}  // namespace hadal
