#include "hadal/plan/training_plan.h"

#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

const char* const kV3Source = "DeepSeek-V3 report, sections 3 and 4";
const char* const kV2Source = "DeepSeek-V2 report, section 3.1";

TrainingRecipe v3_recipe() {
  TrainingRecipe recipe;
  recipe.tokens = 14.8e12;
  recipe.batch_sequences = 15360;
  recipe.ramp_start_sequences = 3072;
  recipe.ramp_tokens = 469e9;
  recipe.has_context_extension = true;
  recipe.post_training_gpu_hours = 5000;
  recipe.origin = Origin::kPublished;
  recipe.source = kV3Source;
  return recipe;  // the layout's defaults are DeepSeek-V3's
}

TrainingRecipe v2_recipe() {
  TrainingRecipe recipe;
  recipe.tokens = 8.1e12;
  recipe.batch_sequences = 9216;
  recipe.ramp_start_sequences = 2304;
  recipe.ramp_tokens = 225e9;
  recipe.layout = {.pp = 16, .ep = 8, .schedule = ScheduleKind::kZb1p, .fp8 = false};
  recipe.origin = Origin::kPublished;
  recipe.source = kV2Source;
  return recipe;
}

// What the chunk times and the pipeline need, calibration apart.
void add_base(Worksheet& sheet, const TrainingPlan& plan) {
  add_model(sheet, plan.config);
  add_cluster(sheet, plan.cluster);
  add_recipe(sheet, plan.recipe);
  const bool from_recipe = plan.layout_source.empty();
  add_layout(sheet, plan.recipe.layout, from_recipe ? plan.recipe.origin : plan.layout_origin,
             from_recipe ? plan.recipe.source : plan.layout_source);
  add_flops(sheet);
  add_memory(sheet);
  add_traffic(sheet);
  add_chunk_work(sheet);
}

// DeepSeek-V3 on its own cluster, with chunk times as published.
std::shared_ptr<Worksheet> make_reference() {
  const ModelConfig v3;
  const TrainingPlan plan = {.config = v3,
                             .cluster = find_cluster("h800-2048"),
                             .recipe = recipe_for(v3),
                             .layout_source = {}};
  auto sheet = std::make_shared<Worksheet>();
  add_base(*sheet, plan);
  add_published_step(*sheet);
  sheet->formula("forward_seconds", "v3_forward", "s", "");
  sheet->formula("backward_input_seconds", "v3_backward_input", "s", "");
  sheet->formula("weight_seconds", "v3_weight", "s", "");
  sheet->formula("pair_seconds", "v3_pair", "s", "");
  add_pipeline(*sheet);
  return sheet;
}

void add_published_counts(Worksheet& sheet, const ModelConfig& config) {
  if (has_shape_of(config, "deepseek-v3")) {
    sheet.published("parameters_total", 671e9, kV3Source);
    sheet.published("parameters_active", 37e9, kV3Source);
    sheet.published("flops_per_token", 250e9, "arXiv:2505.09343, table 2");
  }
  if (has_shape_of(config, "deepseek-v2")) {
    sheet.published("parameters_total", 236e9, kV2Source);
    sheet.published("parameters_active", 21e9, kV2Source);
    sheet.published("flops_per_token", 155e9, "arXiv:2505.09343, table 2");
  }
}

void add_published_run(Worksheet& sheet, const TrainingPlan& plan) {
  const bool h800 = plan.cluster.gpu.name == "h800";
  if (h800 && has_shape_of(plan.config, "deepseek-v2")) {
    sheet.published("gpu_hours_per_trillion_tokens", 172.8e3, kV2Source);
  }
  if (!h800 || plan.cluster.gpus() != 2048 || !has_shape_of(plan.config, "deepseek-v3")) return;
  const char* const paper = "arXiv:2505.09343, table 4";
  const char* const table1 = "DeepSeek-V3 report, table 1";
  // Gradients and weights of a step over the NIC; the calibration does not know this number.
  sheet.published("data_parallel_seconds", 0.29, paper);
  const auto calibrated = [&](const char* name, double value, const char* source) {
    sheet.published(name, value, source, /*calibrated=*/true);
  };
  calibrated("step_seconds", 19.926, paper);
  calibrated("tokens_per_day", 272.80e9, paper);
  calibrated("flops_per_gpu", 385e12, paper);
  calibrated("flops_per_gpu_full", 432e12, paper);
  calibrated("mfu", 0.3894, paper);
  calibrated("mfu_full", 0.4373, paper);
  calibrated("gpu_hours_per_trillion_tokens", 180e3, table1);
  calibrated("days_per_trillion_tokens", 3.7, table1);
  calibrated("gpu_hours_pretraining", 2664e3, table1);
  calibrated("gpu_hours_context_extension", 119e3, table1);
  calibrated("gpu_hours_post_training", 5e3, table1);
  calibrated("gpu_hours", 2788e3, table1);
  calibrated("cost_pretraining", 5.328e6, table1);
  calibrated("cost_context_extension", 0.238e6, table1);
  calibrated("cost_post_training", 0.010e6, table1);
  calibrated("cost_usd", 5.576e6, table1);
}

}  // namespace

bool has_shape_of(const ModelConfig& config, const std::string& preset) {
  const ModelConfig& known = find_preset(preset).config;
  return config.d_model == known.d_model && config.n_layers == known.n_layers &&
         config.router.n_routed_experts == known.router.n_routed_experts &&
         count_parameters(config).total == count_parameters(known).total;
}

TrainingRecipe recipe_for(const ModelConfig& config) {
  if (has_shape_of(config, "deepseek-v3")) return v3_recipe();
  if (has_shape_of(config, "deepseek-v2")) return v2_recipe();
  TrainingRecipe recipe = v3_recipe();
  recipe.has_context_extension = false;
  recipe.post_training_gpu_hours = 0;
  recipe.tokens = 20.0 * static_cast<double>(count_parameters(config).total);
  recipe.ramp_start_sequences = recipe.batch_sequences;
  recipe.ramp_tokens = 0;
  recipe.origin = Origin::kAssumed;
  recipe.source = "as DeepSeek-V3; 20 tokens per parameter";
  return recipe;
}

void add_recipe(Worksheet& sheet, const TrainingRecipe& recipe) {
  sheet.section("recipe", "Training recipe");
  const auto cell = [&](const char* name, double value, const char* unit, const char* note) {
    sheet.input(name, value, unit, recipe.origin,
                concat(note, note[0] == '\0' ? "" : "; ", recipe.source));
  };
  cell("tokens", recipe.tokens, "tokens", "of pre-training");
  cell("sequence_length", static_cast<double>(recipe.sequence_length), "tokens", "");
  cell("batch_sequences", static_cast<double>(recipe.batch_sequences), "sequences",
       "of one optimizer step");
  cell("ramp_start_sequences", static_cast<double>(recipe.ramp_start_sequences), "sequences",
       "of the first step");
  cell("ramp_tokens", recipe.ramp_tokens, "tokens", "until the batch is full");
  cell("has_context_extension", recipe.has_context_extension ? 1 : 0, "",
       "1: DeepSeek-V3's two phases to 32K and 128K");
  cell("gpu_hours_post_training", recipe.post_training_gpu_hours, "GPU-hours",
       "an input: token counts of post-training are not public");
}

Worksheet make_training_sheet(const TrainingPlan& plan) {
  Worksheet sheet;
  add_base(sheet, plan);
  add_published_step(sheet);
  add_calibration(sheet, make_reference());
  add_chunk_times(sheet);
  add_pipeline(sheet);
  add_step(sheet);
  add_cost(sheet);
  add_published_counts(sheet, plan.config);
  add_published_run(sheet, plan);
  return sheet;
}

}  // namespace hadal
