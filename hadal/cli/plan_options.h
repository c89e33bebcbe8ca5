// cli/plan_options.h: the options that name a plan, shared by `hadal plan` and `hadal plan sweep`.
#pragma once

#include <string>
#include <vector>

#include "hadal/command/command.h"
#include "hadal/plan/plan.h"

namespace hadal::cli {

struct PlanOptions {
  std::string model = "deepseek-v3", cluster = "h800-2048";
  std::string tokens;  // "14.8e12", "14.8T"; empty: the recipe's
  std::string layout;
  std::string deployment = "production";
  std::vector<std::string> sets;
};

void bind_plan_options(Flags& flags, PlanOptions& options);
// Loads the model's shape and the cluster. ConfigError and FormatError name the option or file.
PlanRequest plan_request(const PlanOptions& options);

}  // namespace hadal::cli
