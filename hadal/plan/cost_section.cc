// The stages of a training run in steps, GPU-hours, days and money (docs/plan.md, "How a step is
// timed").
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

void add_context_extension(Worksheet& sheet) {
  sheet.section("context_extension", "Context extension");
  const struct {
    int number;
    double length, batch;
  } phases[] = {{1, 32768, 1920}, {2, 131072, 480}};
  std::string tokens, work;
  for (const auto& phase : phases) {
    const std::string name = concat("context_", phase.number);
    sheet.input(name + "_steps", 1000, "", Origin::kPublished, "report section 4.3");
    sheet.input(name + "_sequences", phase.batch, "", Origin::kPublished, "report section 4.3");
    sheet.input(name + "_length", phase.length, "tokens", Origin::kPublished, "report section 4.3");
    sheet.formula(name + "_tokens",
                  concat("has_context_extension * ", name, "_steps * ", name, "_sequences * ", name,
                         "_length"),
                  "tokens", "of the phase");
    sheet.formula(
        name + "_flops_per_token",
        concat("flops_linear_per_token + flops_attention_per_position * ", name, "_length / 2"),
        "FLOP/token", "causal attention at that length");
    tokens += concat(tokens.empty() ? "" : " + ", name, "_tokens");
    work += concat(work.empty() ? "" : " + ", name, "_tokens * ", name, "_flops_per_token");
  }
  sheet.formula("context_extension_tokens", tokens, "tokens", "both phases");
  sheet.formula("context_extension_flops", work, "FLOP", "both phases");
  sheet.input("context_extension_mfu", 0.2475, "fraction", Origin::kMeasured,
              "what the published 119K GPU-hours imply; not derived: long sequences were laid out"
              " in an unpublished way");
  sheet.formula("gpu_hours_context_extension",
                "context_extension_flops / (context_extension_mfu * gpu_bf16_flops * 3600)",
                "GPU-hours", "");
}

}  // namespace

void add_cost(Worksheet& sheet) {
  add_context_extension(sheet);
  sheet.section("cost", "Time and money");
  sheet.formula("ramp_tokens_used", "min(ramp_tokens, tokens)", "tokens", "with a growing batch");
  sheet.formula("steps_ramp",
                "ramp_tokens_used / ((ramp_start_sequences + batch_sequences) / 2"
                " * sequence_length)",
                "", "the batch grows evenly from step to step");
  sheet.formula("steps_full", "(tokens - ramp_tokens_used) / tokens_per_step", "",
                "at the full batch");
  sheet.formula("steps", "steps_ramp + steps_full", "", "optimizer steps of pre-training");
  sheet.formula("gpu_hours_per_trillion_tokens", "1e12 / tokens_per_second * gpus / 3600",
                "GPU-hours", "at the full batch");
  sheet.formula("days_per_trillion_tokens", "gpu_hours_per_trillion_tokens / gpus / 24", "days",
                "");
  sheet.formula("gpu_hours_pretraining", "gpu_hours_per_trillion_tokens * tokens / 1e12",
                "GPU-hours", "the ramp's smaller batches are counted as full ones");
  sheet.formula("gpu_hours",
                "gpu_hours_pretraining + gpu_hours_context_extension + gpu_hours_post_training",
                "GPU-hours", "all stages");
  for (const char* stage : {"pretraining", "context_extension", "post_training"}) {
    sheet.formula(concat("cost_", stage), concat("gpu_hours_", stage, " * gpu_price"), "USD", "");
  }
  sheet.formula("cost_usd", "gpu_hours * gpu_price", "USD", "all stages");
  sheet.formula("days_pretraining", "gpu_hours_pretraining / gpus / 24", "days", "");
  sheet.formula("days", "gpu_hours / gpus / 24", "days", "all stages, one after another");
}

}  // namespace hadal
