// One optimizer step and what follows from it.
#include "hadal/plan/training_sections.h"

namespace hadal {

void add_step(Worksheet& sheet) {
  sheet.section("step", "One step");
  sheet.formula("stall_seconds", "stall_share * busy_seconds", "s",
                "idle beyond the simulation: imbalance, jitter");
  sheet.formula("optimizer_seconds",
                "v3_data_parallel_seconds > 0 ? v3_optimizer_seconds * data_parallel_seconds"
                " / v3_data_parallel_seconds : 0",
                "s", "as DeepSeek-V3's, by the time that gradients and weights travel");
  sheet.formula("exposed_all_to_all_seconds",
                "micro_batches * stages_per_rank * (overlaps"
                " ? max(0, pair_seconds - pair_compute_seconds) : chunk_all_to_all)",
                "s", "part of the busy time: all-to-all that no computation hides (about)");
  sheet.formula("step_seconds", "busy_seconds + bubble_seconds + stall_seconds + optimizer_seconds",
                "s", "one optimizer step");
  sheet.formula("tokens_per_step", "batch_sequences * sequence_length", "tokens", "");
  sheet.formula("tokens_per_second", "tokens_per_step / step_seconds", "tokens/s", "all GPUs");
  sheet.formula("tokens_per_second_per_gpu", "tokens_per_second / gpus", "tokens/s", "each");
  sheet.formula("tokens_per_day", "86400 * tokens_per_second", "tokens/day", "all GPUs");
  sheet.formula("flops_per_gpu", "flops_per_token * tokens_per_second / gpus", "FLOP/s",
                "causal attention");
  sheet.formula("flops_per_gpu_full", "flops_per_token_full * tokens_per_second / gpus", "FLOP/s",
                "full attention");
  sheet.formula("mfu", "flops_per_gpu / gpu_bf16_flops", "fraction",
                "model FLOPs utilisation of the BF16 peak, causal attention");
  sheet.formula("mfu_full", "flops_per_gpu_full / gpu_bf16_flops", "fraction",
                "of the BF16 peak, full attention");
  sheet.formula("mfu_fp8", "gpu_fp8_flops > 0 ? flops_per_gpu / gpu_fp8_flops : 0", "fraction",
                "of the FP8 peak, causal attention");
}

}  // namespace hadal
