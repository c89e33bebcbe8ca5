// plan/serving.h against what is published about serving DeepSeek-V3.
#include "hadal/plan/serving.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/core/error.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Worksheet serve(const std::string& preset, const std::string& deployment = "production") {
  Worksheet sheet;
  add_serving(sheet, find_preset(preset).config, find_serving_deployment(deployment));
  return sheet;
}

TEST(Serving, ProductionUnitsAreThePublishedOnes) {
  const Worksheet s = serve("deepseek-v3");
  EXPECT_EQ(s.value("prefill_nodes"), 4);
  EXPECT_EQ(s.value("prefill_gpus"), 32);
  EXPECT_EQ(s.value("prefill_redundant_experts"), 32);
  EXPECT_EQ(s.value("prefill_experts_per_gpu"), 9);
  EXPECT_EQ(s.value("decode_nodes"), 18);
  EXPECT_EQ(s.value("decode_gpus"), 144);
  EXPECT_EQ(s.value("decode_redundant_experts"), 32);
  EXPECT_EQ(s.value("decode_experts_per_gpu"), 2);
}

TEST(Serving, ReportUnitsAreThePublishedOnes) {
  const Worksheet s = serve("deepseek-v3", "report");
  EXPECT_EQ(s.value("prefill_gpus"), 32);
  EXPECT_EQ(s.value("decode_nodes"), 40);
  EXPECT_EQ(s.value("decode_gpus"), 320);
  EXPECT_EQ(s.value("decode_experts_per_gpu"), 1);
  EXPECT_EQ(s.value("decode_redundant_experts"), 64);   // redundant and shared
  EXPECT_EQ(s.value("decode_copies"), 9);               // the shared expert counts as chosen
  EXPECT_EQ(s.value("decode_tokens_per_expert"), 320);  // 32 tokens x 8 x 320 GPUs / 256
}

// docs/serving_plan.md: 12.6 GB replicated, 10 x 58 experts 25.5 GB, 3 x 58 7.7 GB, tables 3.7 GB.
TEST(Serving, WeightsPerGpu) {
  const Worksheet s = serve("deepseek-v3");
  EXPECT_NEAR(s.value("decode_replicated_bytes"), 12.6e9, 0.05e9);
  EXPECT_NEAR(s.value("prefill_expert_bytes"), 25.5e9, 0.1e9);
  EXPECT_NEAR(s.value("decode_expert_bytes"), 7.7e9, 0.1e9);
  EXPECT_NEAR(s.value("decode_table_bytes"), 3.7e9, 0.05e9);
  EXPECT_EQ(s.value("kv_bytes_per_token"), 70272);
}

TEST(Serving, PublishedDay) {
  Worksheet s = serve("deepseek-v3");
  EXPECT_EQ(s.value("day_cost"), 87072);
  EXPECT_NEAR(s.value("day_income"), 562100, 1e-6);  // 47.88e3 + 146.3e3 + 367.92e3
  EXPECT_NEAR(s.value("day_margin"), 545, 1);
  EXPECT_EQ(s.value("day_decode_rate_per_gpu"), 1850);
  EXPECT_NEAR(s.value("day_sequences_per_gpu"), 88, 0.5);
  EXPECT_NEAR(s.value("day_cache_per_gpu"), 31e9, 0.2e9);
  EXPECT_NEAR(s.value("day_computed_rate_per_gpu"), 4030, 5);
  EXPECT_NEAR(s.value("day_prefill_flops_per_gpu"), 295e12, 1e12);
  // Three published figures agree: tokens of a day, nodes, and either rate per node.
  EXPECT_NEAR(s.value("day_prefill_rate_check"), 73700, 0.002 * 73700);
  EXPECT_NEAR(s.value("day_decode_rate_check"), 14800, 0.002 * 14800);

  s.set("day_gpu_price", 3);
  EXPECT_EQ(s.value("day_cost"), 87072 * 1.5);
  s.set("day_output_tokens", 0);  // income of the prompts alone
  EXPECT_NEAR(s.value("day_income"), 342e3 * 0.14 + 266e3 * 0.55, 1e-6);
}

TEST(Serving, PublishedSpeedLimits) {
  Worksheet s = serve("deepseek-v3");
  EXPECT_NEAR(s.value("limit_network_seconds"), 120.96e-6, 1e-12);
  EXPECT_NEAR(s.value("limit_network_tpot"), 14.76e-3, 0.005e-3);
  EXPECT_NEAR(s.value("limit_network_tokens_per_s"), 67, 1);
  EXPECT_NEAR(s.value("limit_nvlink_seconds"), 6.72e-6, 1e-12);
  EXPECT_NEAR(s.value("limit_nvlink_tpot"), 0.82e-3, 0.0005e-3);
  EXPECT_NEAR(s.value("limit_nvlink_tokens_per_s"), 1200, 25);
  s.set("limit_tokens", 64);
  EXPECT_NEAR(s.value("limit_network_seconds"), 2 * 120.96e-6, 1e-12);
}

// The published means must be below what the plan calls the hardware's limit, and not far below.
TEST(Serving, PublishedMeansAreAFairShareOfTheLimit) {
  const Worksheet s = serve("deepseek-v3");
  for (const char* name : {"day_prefill_share_of_limit", "day_decode_share_of_limit"}) {
    EXPECT_GT(s.value(name), 0.25) << name;
    EXPECT_LT(s.value(name), 0.8) << name;
  }
}

// One layer worked by hand: 88 tokens of 8 copies, 143/144 of them remote, 7392 + 14336 B each,
// at 0.85 x 50 GB/s.
TEST(Serving, DecodeAllToAllByHand) {
  Worksheet s = serve("deepseek-v3");
  EXPECT_NEAR(s.value("decode_all_to_all_seconds"), 88.0 * 8 * 143 / 144 * 21728 / 42.5e9, 1e-9);
  s.set("serving_nic_share", 0.425);
  EXPECT_NEAR(s.value("decode_all_to_all_seconds"), 88.0 * 8 * 143 / 144 * 21728 / 21.25e9, 1e-9);
}

TEST(Serving, EachInputMovesItsOutputs) {
  Worksheet s = serve("deepseek-v3");
  const auto moved = [&](const std::string& input, double factor, const std::string& output) {
    const double before = s.value(output), value = s.value(input);
    s.set(input, value * factor);
    const double after = s.value(output);
    s.reset(input);
    EXPECT_EQ(s.value(output), before) << input;
    return after / before;
  };
  EXPECT_LT(moved("decode_context", 2, "decode_max_batch"), 0.51);
  EXPECT_DOUBLE_EQ(moved("cache_bytes_per_value", 0.5, "kv_bytes_per_token"), 0.5);
  EXPECT_DOUBLE_EQ(moved("decode_batch_wanted", 0.5, "decode_cache_bytes"), 0.5);
  EXPECT_LT(moved("nic_bandwidth", 0.5, "decode_tokens_per_s_per_gpu"), 0.55);
  EXPECT_LT(moved("nic_bandwidth", 0.5, "prefill_tokens_per_s_per_gpu"), 0.55);
  EXPECT_GT(moved("decode_context", 8, "decode_moe_memory_seconds"), 1);
  EXPECT_DOUBLE_EQ(moved("gpu_price", 2, "decode_usd_per_million"), 2);
  EXPECT_NEAR(moved("prefill_hit_rate", 1e-9, "prefill_tokens_per_s_per_node_with_hits"),
              1 - 342.0 / 608, 1e-6);
  EXPECT_LT(moved("gpu_memory_bandwidth", 0.1, "decode_tokens_per_s_per_user"), 0.2);
  EXPECT_GT(moved("serving_linear_share", 0.1, "prefill_moe_layer_seconds"), 2);
}

TEST(Serving, WhatDoesNotFitServesNothing) {
  Worksheet s = serve("deepseek-v3");
  s.set("gpu_memory", 20e9);
  EXPECT_EQ(s.value("decode_max_batch"), 0);
  EXPECT_EQ(s.value("decode_tokens_per_s_per_user"), 0);
  EXPECT_EQ(s.value("decode_usd_per_million"), 0);
}

TEST(Serving, EveryPresetHasFiniteCells) {
  for (const Preset& preset : presets()) {
    for (const ServingDeployment& deployment : serving_deployments()) {
      Worksheet s;
      const std::vector<std::string> notes = add_serving(s, preset.config, deployment);
      // value() refuses what is not finite, naming the cell.
      for (const Worksheet::Cell& cell : s.cells()) EXPECT_NO_THROW(s.value(cell.name));
      EXPECT_EQ(s.has("day_cost"), preset.name == "deepseek-v3") << preset.name;
      EXPECT_THAT(notes, SizeIs(preset.name == "deepseek-v3" ? 0 : 2)) << preset.name;
    }
  }
}

TEST(Serving, AModelWithoutExpertsNeedsOneNodeAndNoNetwork) {
  ModelConfig dense = find_preset("nano").config;
  dense.first_k_dense_replace = dense.n_layers;
  dense.n_mtp = 0;
  Worksheet s;
  add_serving(s, dense);
  EXPECT_EQ(s.value("decode_gpus"), 8);
  EXPECT_EQ(s.value("decode_expert_bytes"), 0);
  EXPECT_EQ(
      s.value("decode_step_seconds"),
      s.value("n_layers") * s.value("decode_dense_layer_seconds") + s.value("decode_head_seconds"));
}

TEST(Serving, AnUnknownDeploymentNamesTheNearest) {
  try {
    find_serving_deployment("produktion");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean production?"));
  }
}

}  // namespace
}  // namespace hadal
