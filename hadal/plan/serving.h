// plan/serving.h: what it takes to serve a model: prefill and decode on separate pools of GPUs.
// docs/serving_plan.md says what is assumed.
//
// The model and the cluster are cells of the same sheet (training_sections.h, cluster.h); a sheet
// without a cluster gets an H800 one.
#pragma once

#include <string>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/plan/worksheet.h"

namespace hadal {

// One pool: GPUs that hold all experts between them. How many nodes that takes follows, and for
// DeepSeek-V3's 256 experts it is the published number.
struct ServingPool {
  double slots_per_gpu = 1;    // routed experts that one GPU holds, redundant ones included
  double redundant_share = 0;  // redundant slots per routed expert
  double shared_per_gpu = 1;   // 1: shared experts on every GPU; 0: in some of the redundant slots
  double tensor_parallel = 1;  // GPUs that share the heads of one attention layer
  double batch = 1;            // prefill: tokens per GPU; decode: sequences per attention group
};

struct ServingDeployment {
  std::string name, source;
  ServingPool prefill, decode;
};
// "production", of February 2025 (EP32, EP144), and "report", the technical report's (EP32, EP320).
const std::vector<ServingDeployment>& serving_deployments();
const ServingDeployment& find_serving_deployment(const std::string& name);  // ConfigError

// Adds the sections "serving", "prefill" and "decode"; for DeepSeek-V3's shape also the published
// checks, "speed_limits" and "serving_day". Returns what was left out and why, a line each.
std::vector<std::string> add_serving(
    Worksheet& sheet, const ModelConfig& config,
    const ServingDeployment& deployment = serving_deployments().front());

}  // namespace hadal
