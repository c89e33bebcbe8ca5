// Times of one chunk (one micro-batch on one stage, the mean over stages). pipeline/chunk_times.h has
// the model: computation alone is followed by its all-to-all; in an overlapped pair the all-to-all
// hides under the computation, which then runs on the SMs that communication leaves.
#include "hadal/plan/training_sections.h"

namespace hadal {

void add_chunk_work(Worksheet& sheet) {
  sheet.section("chunks", "One micro-batch on one stage");
  sheet.formula("chunk_peak_seconds",
                "tokens_per_micro_batch / pp"
                " * ((flops_executed_per_token - flops_fp8_per_token) / gpu_bf16_flops"
                " + (uses_fp8 ? flops_fp8_per_token / gpu_fp8_flops : 0))",
                "s", "forward and backward, recomputation and MTP included, at peak speed");
  sheet.formula("chunk_all_to_all_forward", "n_moe_layers / pp * all_to_all_seconds_per_layer", "s",
                "dispatch and combine of the chunk's layers");
  sheet.formula("chunk_all_to_all_backward", "chunk_all_to_all_forward * (recompute == 2 ? 2 : 1)",
                "s", "the same, of gradients; full recomputation dispatches once more");
}

void add_chunk_times(Worksheet& sheet) {
  sheet.section("times", "Times of a chunk");
  const auto seconds = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "s", note);
  };
  seconds("compute_seconds", "chunk_peak_seconds / kernel_efficiency", "without communication");
  seconds("chunk_all_to_all", "chunk_all_to_all_forward + chunk_all_to_all_backward", "both ways");
  seconds("forward_seconds", "compute_seconds * forward_share + chunk_all_to_all_forward",
          "F alone: every layer waits for its dispatch and combine");
  seconds("backward_input_seconds",
          "compute_seconds * (1 - forward_share - weight_share) + chunk_all_to_all_backward",
          "B_in alone");
  seconds("weight_seconds", "compute_seconds * weight_share", "W: no communication");
  seconds("pair_compute_seconds",
          "chunk_all_to_all > 0 ? compute_seconds / (1 - communication_sm_share) : compute_seconds",
          "on the SMs that communication leaves");
  seconds("pair_seconds",
          "max(pair_compute_seconds, chunk_all_to_all)"
          " + (1 - overlap_efficiency) * min(pair_compute_seconds, chunk_all_to_all)",
          "F&B: a forward and a full backward of the other direction, interleaved");
}

}  // namespace hadal
