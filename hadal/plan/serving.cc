#include "hadal/plan/serving.h"

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/nearest.h"
#include "hadal/plan/serving_cells.h"
#include "hadal/plan/training_plan.h"

namespace hadal {

const std::vector<ServingDeployment>& serving_deployments() {
  // Batches: prefill profile of 16K tokens per GPU; decode as many sequences as the published day
  // implies, and 32 tokens per GPU (256 per expert) for one expert per GPU.
  static const std::vector<ServingDeployment> deployments = {
      {"production",
       "inference system overview, February 2025",
       {.slots_per_gpu = 9, .redundant_share = 1.0 / 8, .batch = 16384},
       {.slots_per_gpu = 2, .redundant_share = 1.0 / 8, .batch = 88}},
      {"report",
       "DeepSeek-V3 report, section 3.4",
       {.slots_per_gpu = 9, .redundant_share = 1.0 / 8, .tensor_parallel = 4, .batch = 16384},
       {.slots_per_gpu = 1,
        .redundant_share = 1.0 / 4,
        .shared_per_gpu = 0,
        .tensor_parallel = 4,
        .batch = 128}}};
  return deployments;
}

const ServingDeployment& find_serving_deployment(const std::string& name) {
  std::vector<std::string> names;
  for (const ServingDeployment& each : serving_deployments()) {
    if (each.name == name) return each;
    names.push_back(each.name);
  }
  throw ConfigError({.field = "deployment",
                     .problem = "no such deployment",
                     .found = in_quotes(name),
                     .expected = "production or report",
                     .advice = did_you_mean(name, names)});
}

std::vector<std::string> add_serving(Worksheet& sheet, const ModelConfig& config,
                                     const ServingDeployment& deployment) {
  add_serving_basis(sheet, config);
  add_prefill(sheet, config, deployment.prefill, deployment.source);
  add_decode(sheet, config, deployment.decode, deployment.source);
  if (!has_shape_of(config, "deepseek-v3")) {
    return {
        "the published day and the published speed limits are left out: they are about "
        "DeepSeek-V3's shape",
        "pools are sized as DeepSeek-V3's are: the same experts per GPU and share of redundant "
        "ones; no publication says so for this model"};
  }
  add_speed_limits(sheet);
  add_serving_day(sheet);
  return {};
}

}  // namespace hadal
