// plan/serving.h: what it takes to serve a model: prefill and decode on separate pools of GPUs.
// Spec 05 sections 1 to 3, spec 07 section 7.
//
// Of a cluster it reads these cells, and defines those that the sheet lacks as an H800's:
//   gpu_bf16_flops, gpu_fp8_flops (FLOP/s)   gpu_memory (B)   gpu_memory_bandwidth (B/s)
//   nic_bandwidth (B/s, per GPU)             gpus_per_node    gpu_price (USD/GPU-hour)
#pragma once

#include <string>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/plan/worksheet.h"

namespace hadal {

// One pool: the expert-parallel group that serves requests together.
struct ServingPool {
  double slots_per_gpu;    // experts that one GPU holds, redundant ones included
  double redundant_share;  // redundant expert slots per routed expert
  double shared_per_gpu;   // 1: every GPU has the shared experts; 0: they sit in redundant slots
  double attention_tensor_parallel;  // GPUs that share one attention layer
};

// Units of nodes follow from the pool: DeepSeek-V3's 256 experts give the published ones.
struct ServingDeployment {
  std::string name;
  std::string source;  // where it is published
  ServingPool prefill, decode;
};
// The technical report's (EP32 and EP320) and the production system's of February 2025 (EP32 and
// EP144).
const std::vector<ServingDeployment>& serving_deployments();
const ServingDeployment& find_serving_deployment(const std::string& name);  // ConfigError

// Adds the sections "serving", "prefill", "decode", and for DeepSeek-V3's shape "serving_limits"
// and "serving_day" (the published checks). Returns what was left out, and why; one line each.
std::vector<std::string> add_serving(Worksheet& sheet, const ModelConfig& config,
                                     const ServingDeployment& deployment);
std::vector<std::string> add_serving(Worksheet& sheet, const ModelConfig& config);  // production's

}  // namespace hadal
