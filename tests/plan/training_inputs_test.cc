// Every input of a training plan moves what depends on it, in the right direction and by the amount
// that a derivation by hand gives. Nothing in a plan is a stored answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "hadal/plan/training_plan.h"

namespace hadal {
namespace {

Worksheet v3() {
  TrainingPlan plan;
  plan.cluster = find_cluster("h800-2048");
  plan.recipe = recipe_for(plan.config);
  return make_training_sheet(plan);
}

using Value = std::function<double(const std::string&)>;  // a cell before the change

struct Change {
  std::vector<std::pair<const char*, double>> factors;  // inputs multiplied
  const char* output;
  std::function<double(const Value&)> expected;
};

double pair_of(double compute, double travel, double efficiency) {
  return std::max(compute, travel) + (1 - efficiency) * std::min(compute, travel);
}

std::function<double(const Value&)> times(const char* cell, double factor) {
  return [cell, factor](const Value& was) { return factor * was(cell); };
}

// Reduce-scatter and all-gather of FP8 plans move 5 B a parameter, but for the own share.
double data_parallel_bytes(const Value& was, double expert_group, double dense_group) {
  return 5 * (was("expert_parameters_per_gpu") * (1 - 1 / expert_group) +
              was("other_parameters_per_gpu") * (1 - 1 / dense_group));
}

const std::vector<Change>& changes() {
  static const std::vector<Change> list = {
      // money
      {{{"gpu_price", 1.5}}, "cost_usd", times("cost_usd", 1.5)},
      {{{"gpu_price", 1.5}}, "gpu_hours", times("gpu_hours", 1)},
      {{{"tokens", 2}}, "gpu_hours_pretraining", times("gpu_hours_pretraining", 2)},
      {{{"tokens", 2}},
       "gpu_hours",
       [](const Value& was) { return was("gpu_hours") + was("gpu_hours_pretraining"); }},
      {{{"tokens", 2}}, "gpu_hours_per_trillion_tokens", times("gpu_hours_per_trillion_tokens", 1)},
      {{{"tokens", 2}},
       "steps",
       [](const Value& was) { return was("steps") + 14.8e12 / (15360.0 * 4096); }},
      {{{"ramp_start_sequences", 0.5}},
       "steps_ramp",
       [](const Value&) { return 469e9 / ((1536 + 15360) / 2.0 * 4096); }},
      {{{"gpu_hours_post_training", 3}},
       "cost_usd",
       [](const Value& was) { return was("cost_usd") + 2 * 5000 * 2.0; }},
      {{{"context_extension_mfu", 0.5}},
       "gpu_hours_context_extension",
       times("gpu_hours_context_extension", 2)},
      {{{"context_2_steps", 2}},
       "gpu_hours_context_extension",
       [](const Value& was) {
         const double phase_2 = 1000 * 480 * 131072.0 * 1202.23e9;  // docs/plan.md
         return was("gpu_hours_context_extension") + phase_2 / (0.2475 * 989.5e12 * 3600);
       }},
      {{{"has_context_extension", 0}},
       "gpu_hours",
       [](const Value& was) { return was("gpu_hours") - was("gpu_hours_context_extension"); }},
      // speed of everything: time scales with it
      {{{"gpu_bf16_flops", 2}, {"gpu_fp8_flops", 2}, {"nic_bandwidth", 2}, {"nvlink_bandwidth", 2}},
       "step_seconds",
       times("step_seconds", 0.5)},
      {{{"gpu_bf16_flops", 2}, {"gpu_fp8_flops", 2}, {"nic_bandwidth", 2}, {"nvlink_bandwidth", 2}},
       "mfu",
       times("mfu", 1)},
      // peak alone: computation halves, the all-to-all stays
      {{{"gpu_bf16_flops", 2}, {"gpu_fp8_flops", 2}},
       "compute_seconds",
       times("compute_seconds", 0.5)},
      {{{"gpu_bf16_flops", 2}, {"gpu_fp8_flops", 2}},
       "pair_seconds",
       [](const Value& was) {
         return pair_of(was("pair_compute_seconds") / 2, was("chunk_all_to_all"),
                        was("overlap_efficiency"));
       }},
      {{{"gpu_fp8_flops", 2}},
       "chunk_peak_seconds",
       [](const Value& was) {
         return was("chunk_peak_seconds") -
                0.5 * 4096.0 / 16 * was("flops_fp8_per_token") / 1979e12;
       }},
      // network: at twice the speed NVLink's leg is the slower one
      {{{"nic_bandwidth", 2}},
       "all_to_all_seconds_per_layer",
       times("nvlink_seconds_per_layer", 1)},
      {{{"nic_bandwidth", 0.5}},
       "all_to_all_seconds_per_layer",
       times("all_to_all_seconds_per_layer", 2)},
      {{{"nic_bandwidth", 0.5}}, "optimizer_seconds", times("optimizer_seconds", 2)},
      {{{"nic_bandwidth", 0.5}},
       "forward_seconds",
       [](const Value& was) { return was("forward_seconds") + was("chunk_all_to_all_forward"); }},
      // shape
      {{{"n_layers", 2}, {"n_dense_layers", 2}},
       "parameters_total",
       [](const Value& was) {
         const double outside = 2 * was("parameters_embedding") + 7168;  // tables, final norm
         return 2 * (was("parameters_total") - outside) + outside;
       }},
      {{{"n_layers", 2}, {"n_dense_layers", 2}},
       "flops_per_token",
       [](const Value& was) {
         const double outside = 6 * (was("parameters_embedding") + 7168);  // head, final norm
         return 2 * (was("flops_per_token") - outside) + outside;
       }},
      {{{"top_k", 2}},
       "parameters_active",
       [](const Value& was) { return was("parameters_active") + 58 * 8 * 3 * 7168.0 * 2048; }},
      {{{"top_k", 2}}, "parameters_total", times("parameters_total", 1)},
      {{{"n_routed_experts", 2}},
       "parameters_total",
       [](const Value& was) {
         return was("parameters_total") + 58 * 256 * (3 * 7168.0 * 2048 + 7168 + 1);
       }},
      {{{"vocab_size", 2}},
       "parameters_total",
       [](const Value& was) { return was("parameters_total") + 2 * 129280 * 7168.0; }},
      {{{"n_heads", 2}},
       "flops_attention_full_per_token",
       times("flops_attention_full_per_token", 2)},
      {{{"sequence_length", 2}},
       "flops_per_token",
       [](const Value& was) {
         return was("flops_per_token") + was("flops_attention_causal_per_token");
       }},
      {{{"sequence_length", 2}}, "memory_activations", times("memory_activations", 2)},
      {{{"n_mtp", 0}},
       "flops_executed_per_token",
       [](const Value& was) {
         const double ups = 1536 * 128 * 192.0 + 512 * 128 * 256.0;  // recomputed in the MTP layer
         return was("flops_executed_per_token") - was("flops_mtp_per_token") - 2 * ups;
       }},
      // layout
      {{{"micro_batch_sequences", 2}}, "micro_batches", times("micro_batches", 0.5)},
      {{{"micro_batch_sequences", 2}}, "pair_seconds", times("pair_seconds", 2)},
      {{{"micro_batch_sequences", 2}}, "memory_activations", times("memory_activations", 2)},
      {{{"ep", 0.5}}, "expert_parameters_per_gpu", times("expert_parameters_per_gpu", 2)},
      {{{"ep", 0.5}},
       "dispatch_nic_bytes",
       [](const Value& was) {
         return was("dispatch_nic_bytes") * (3.0 / 4) / (7.0 / 8);  // 4 nodes, still 4 reached
       }},
      {{{"ep", 1.0 / 8}}, "dispatch_nic_bytes", times("dispatch_nic_bytes", 0)},
      {{{"recompute", 0}},
       "chunk_activation_bytes",
       [](const Value& was) {
         const double norms = 2 * (2 * 7168 + 1536 + 512), ups = 2 * 128 * (192 + 192 + 128);
         const double swiglu = 9 * 2048 * (1 + 4.0 / 128);
         return was("chunk_activation_bytes") + (norms + ups + swiglu) * 4096 * 4;
       }},
      {{{"recompute", 0}}, "flops_recompute_per_token", times("flops_recompute_per_token", 0)},
      {{{"recompute", 2}},
       "flops_recompute_per_token",
       [](const Value& was) { return (was("flops_per_token") + was("flops_mtp_per_token")) / 3; }},
      {{{"uses_fp8", 0}}, "memory_gradients", times("memory_gradients", 1)},
      {{{"uses_fp8", 0}},
       "memory_expert_weights",
       [](const Value& was) { return was("memory_expert_weights") * 2 / (1 + 4.0 / 16384); }},
      {{{"uses_fp8", 0}}, "dispatch_bytes", times("combine_bytes", 1)},
      {{{"schedule", 0.5}}, "parameter_copies", times("parameter_copies", 0.5)},  // zb1p
      {{{"schedule", 0.5}}, "in_flight_chunks", [](const Value&) { return 16.0; }},
      {{{"schedule", 2}},
       "in_flight_chunks",
       [](const Value&) { return 16.0 + 8; }},  // interleaved
      {{{"schedule", 2}}, "inner_moe_layers", [](const Value&) { return 4.0 + 4; }},
      {{{"schedule", 2}, {"interleaved_stages", 2}},
       "pipeline_ranks",
       [](const Value&) { return 4.0; }},
      // more GPUs at the same work for each: only gradients and weights travel further
      {{{"nodes", 2}, {"batch_sequences", 2}},
       "step_seconds",
       [](const Value& was) {
         return was("step_seconds") - 0.29 +
                0.29 * data_parallel_bytes(was, 8, 512) / data_parallel_bytes(was, 4, 256);
       }},
      {{{"nodes", 2}, {"batch_sequences", 2}},
       "memory_optimizer_experts",
       times("memory_optimizer_experts", 0.5)},
      {{{"nodes", 2}, {"batch_sequences", 2}},
       "memory_activations",
       times("memory_activations", 1)},
      {{{"gpu_memory", 2}},
       "memory_headroom",
       [](const Value& was) { return was("memory_headroom") + 80e9; }},
      {{{"memory_reserved", 2}},
       "memory_per_gpu",
       [](const Value& was) { return was("memory_per_gpu") + 3e9; }},
      {{{"state_bytes_per_parameter", 2}},
       "memory_optimizer_experts",
       times("memory_optimizer_experts", 2)},
      // results that somebody knows better
      {{{"bubble_seconds", 0}},
       "step_seconds",
       [](const Value& was) { return was("step_seconds") - was("bubble_seconds"); }},
      {{{"step_seconds", 2}},
       "gpu_hours_per_trillion_tokens",
       times("gpu_hours_per_trillion_tokens", 2)},
      {{{"step_seconds", 2}}, "mfu", times("mfu", 0.5)},
      // calibration
      {{{"v3_step_seconds", 1.1}}, "step_seconds", times("step_seconds", 1.1)},
      {{{"v3_optimizer_seconds", 2}}, "optimizer_seconds", times("optimizer_seconds", 2)},
      {{{"v3_optimizer_seconds", 2}},
       "stall_seconds",
       [](const Value& was) {
         return was("stall_seconds") - 0.29;  // the published step stays what it is
       }},
      {{{"v3_pairs_seconds", 1.01}}, "step_seconds", times("step_seconds", 1)},
      {{{"v3_pairs_seconds", 1.01}}, "pair_seconds", times("pair_seconds", 1.01)},
      {{{"v3_lone_weight_seconds", 1.25}}, "weight_seconds", times("weight_seconds", 1.25)},
      {{{"kernel_efficiency", 2}}, "compute_seconds", times("compute_seconds", 0.5)},
      {{{"overlap_efficiency", 0}},
       "pair_seconds",
       [](const Value& was) { return was("pair_compute_seconds") + was("chunk_all_to_all"); }},
      {{{"communication_sm_share", 0}}, "pair_compute_seconds", times("compute_seconds", 1)},
      {{{"stall_share", 2}},
       "step_seconds",
       [](const Value& was) { return was("step_seconds") + was("stall_seconds"); }},
  };
  return list;
}

TEST(TrainingInputs, EachMovesWhatDependsOnItByTheRightAmount) {
  Worksheet sheet = v3();
  const Worksheet before = v3();
  const Value was = [&](const std::string& cell) { return before.value(cell); };
  for (const Change& change : changes()) {
    std::string what = change.output;
    for (const auto& [name, factor] : change.factors) {
      sheet.set(name, before.value(name) * factor);
      what += std::string(" after ") + name + " x " + std::to_string(factor);
    }
    const double expected = change.expected(was);
    EXPECT_NEAR(sheet.value(change.output), expected, 1e-5 * std::abs(expected) + 1e-9) << what;
    for (const auto& [name, factor] : change.factors) sheet.reset(name);
  }
  for (const char* cell : {"cost_usd", "memory_per_gpu", "step_seconds"}) {
    EXPECT_EQ(sheet.value(cell), before.value(cell));  // nothing stays behind
  }
}

// Micro-batches beyond those that fill the pipeline each cost one pair on the slowest rank, which
// holds 4 + 4 of 61 layers and a head's worth.
TEST(TrainingInputs, MoreMicroBatchesCostOnePairEachOnTheSlowestRank) {
  Worksheet sheet = v3();
  sheet.set("pipeline_bytes", 0);  // neighbours in lock step would wait for transfers too
  const double makespan = sheet.value("pipeline_makespan");
  sheet.set("batch_sequences", 2 * 15360);
  const double mean_stage = (61 + sheet.value("head_in_layers")) / 16;
  EXPECT_NEAR(sheet.value("pipeline_makespan") - makespan,
              120 * sheet.value("pair_seconds") * 4 / mean_stage, 0.01);
}

// An input that moves nothing would be a number that is shown but not used.
TEST(TrainingInputs, NoneIsDead) {
  Worksheet sheet = v3();
  const Worksheet before = v3();
  for (const Worksheet::Cell& input : before.cells()) {
    if (!input.inputs.empty() || input.origin == Origin::kSimulated) continue;
    if (input.name == "gpu_memory_bandwidth") continue;  // read by serving alone
    if (input.name == "interleaved_stages") continue;  // of that schedule alone, changes() above
    const double value = before.value(input.name);
    const bool to_one = value == 0 || input.name == "schedule" || input.name == "n_group";
    sheet.set(input.name, to_one ? 1 : 2 * value);
    const auto moved = [&](const Worksheet::Cell& cell) {
      return !cell.inputs.empty() && sheet.value(cell.name) != before.value(cell.name);
    };
    EXPECT_TRUE(std::any_of(before.cells().begin(), before.cells().end(), moved)) << input.name;
    sheet.reset(input.name);
  }
}

}  // namespace
}  // namespace hadal
