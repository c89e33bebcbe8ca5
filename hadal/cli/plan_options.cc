#include "hadal/cli/plan_options.h"

#include "hadal/command/quantity.h"
#include "hadal/core/error.h"
#include "hadal/model/checkpoint.h"
#include "hadal/plan/serving.h"

namespace hadal::cli {

void bind_plan_options(Flags& flags, PlanOptions& o) {
  flags.option("model,-m", o.model, "preset, Hugging Face folder or config.json");
  flags.option("cluster", o.cluster, "GPU-COUNT (h800-2048, h200-256, gb300-256) or a TOML file");
  flags.option("tokens", o.tokens,
               "tokens of pre-training, as 14.8e12 or 14.8T (default: the model's own, if "
               "published, else 20 per parameter)");
  flags.option(
      "layout", o.layout,
      "pp=N,ep=N,micro-batch=N,schedule=S,recompute=none|selective|full,precision=fp8|bf16,"
      "stages-per-rank=V (of interleaved)"
      " (default: the model's own; what is not named stays; searched if it does not fit)");
  std::vector<std::string> deployments;
  for (const ServingDeployment& each : serving_deployments()) deployments.push_back(each.name);
  flags.choice("deployment", o.deployment, deployments, "how serving divides the experts");
  flags.option("set", o.sets, "NAME=VALUE: another value for any number of the plan; repeatable");
}

PlanRequest plan_request(const PlanOptions& o) {
  PlanRequest request;
  request.model_name = o.model;
  request.config = load_config(o.model);
  request.cluster = find_cluster(o.cluster);
  if (!o.tokens.empty()) {
    const double tokens = parse_quantity("--tokens", o.tokens);
    require(tokens > 0 && tokens <= 1e18, {.field = "--tokens",
                                           .problem = "out of range",
                                           .found = o.tokens,
                                           .expected = "more than 0, at most 1e18"});
    request.tokens = tokens;
  }
  request.layout = o.layout;
  request.layout_given_as = "--layout";
  request.deployment = o.deployment;
  for (const std::string& set : o.sets) request.sets.push_back(parse_assignment("--set", set));
  return request;
}

}  // namespace hadal::cli
