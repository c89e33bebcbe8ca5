// tests/plan/sheet_of.h: the sheet of a preset on a cluster, with a layout of its own or the usual one.
#pragma once

#include <string>

#include "hadal/plan/layout.h"
#include "hadal/plan/training_plan.h"

namespace hadal {

inline Worksheet sheet_of(const std::string& preset, const std::string& cluster,
                          const std::string& layout = "") {
  TrainingPlan plan;
  plan.config = find_preset(preset).config;
  plan.cluster = find_cluster(cluster);
  plan.recipe = recipe_for(plan.config);
  plan.recipe.layout = parse_layout(layout, plan.recipe.layout);
  return make_training_sheet(plan);
}

}  // namespace hadal
