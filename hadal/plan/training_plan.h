// plan/training_plan.h: what it takes to train a model on a cluster, as one sheet of cells.
//
// The step time of DeepSeek-V3 on 2048 H800 is published in parts. Those parts calibrate two
// assumptions that every other plan shares: how efficient kernels are while they run, and how much
// longer a step takes than its simulated pipeline. docs/plan.md explains both.
#pragma once

#include <cstdint>
#include <string>

#include "hadal/model/config.h"
#include "hadal/plan/cluster.h"
#include "hadal/plan/layout.h"
#include "hadal/plan/worksheet.h"

namespace hadal {

// How a model is trained: published for DeepSeek-V3 and V2, assumed otherwise.
struct TrainingRecipe {
  double tokens = 0;
  int64_t sequence_length = 4096, batch_sequences = 0;
  int64_t ramp_start_sequences = 0;  // first batch; equal to batch_sequences: no ramp
  double ramp_tokens = 0;
  bool has_context_extension = false;  // DeepSeek-V3's two phases
  double post_training_gpu_hours = 0;
  Layout layout;
  Origin origin = Origin::kAssumed;
  std::string source;
};
TrainingRecipe recipe_for(const ModelConfig& config);
bool has_shape_of(const ModelConfig& config, const std::string& preset);

struct TrainingPlan {
  ModelConfig config;
  Cluster cluster;
  TrainingRecipe recipe;
  // Where recipe.layout comes from; empty: from the recipe.
  Origin layout_origin = Origin::kGiven;
  std::string layout_source;
};

// The sheet, with the published figures of the same model and cluster beside it. The layout is not
// judged: layout_problem(layout_of(sheet), layout_facts(sheet)) does.
Worksheet make_training_sheet(const TrainingPlan& plan);

}  // namespace hadal
