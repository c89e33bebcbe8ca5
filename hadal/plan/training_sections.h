// plan/training_sections.h: the parts of a training plan, each a function that adds one section of
// cells. They read each other's cells by name; plan/training_plan.cc puts them together.
#pragma once

#include <memory>

#include "hadal/model/config.h"
#include "hadal/plan/training_plan.h"
#include "hadal/plan/worksheet.h"

namespace hadal {

void add_model(Worksheet& sheet, const ModelConfig& config);      // "model", "parameters"
void add_recipe(Worksheet& sheet, const TrainingRecipe& recipe);  // "recipe"
void add_flops(Worksheet& sheet);                                 // "flops"
void add_memory(Worksheet& sheet);                                // "memory"
void add_activation_bytes(Worksheet& sheet);                      // "activations"
void add_traffic(Worksheet& sheet);                               // "traffic"
// "calibration": what DeepSeek-V3's published step says about kernels, overlap and stalls.
// `reference` is DeepSeek-V3 on its own cluster, with every section but this one's consumers.
void add_chunk_work(Worksheet& sheet);  // "chunks": a chunk at peak speed, and its all-to-all
void add_published_step(Worksheet& sheet);
void add_calibration(Worksheet& sheet, std::shared_ptr<Worksheet> reference);
void add_chunk_times(Worksheet& sheet);  // F, B_in, W and F&B of this plan
void add_pipeline(Worksheet& sheet);     // "pipeline": simulated makespan, busy time and bubble
void add_step(Worksheet& sheet);         // "step": step time, tokens per second, MFU
void add_cost(Worksheet& sheet);         // "cost": stages, GPU-hours, days, money

}  // namespace hadal
