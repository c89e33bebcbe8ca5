// Training operations per token by part (docs/plan.md, "Work per token"): six per multiplied
// parameter (two forward, four backward) and the attention core in its MHA form. By convention MTP
// and recomputation do not count towards FLOP/token and MFU; the time model does count them.
#include "hadal/plan/training_sections.h"

namespace hadal {

void add_flops(Worksheet& sheet) {
  sheet.section("flops", "Operations per token (training)");
  const auto cell = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "FLOP/token", note);
  };
  cell("flops_linear_per_token", "6 * parameters_multiplied", "products with weights");
  cell("flops_attention_per_position", "6 * n_heads * (d_qk + v_head_dim) * n_layers",
       "scores and weighted values, for every position attended to");
  cell("flops_attention_full_per_token", "flops_attention_per_position * sequence_length",
       "attention core, as if every token saw the whole sequence");
  cell("flops_attention_causal_per_token", "flops_attention_full_per_token / 2",
       "attention core, half of the positions on average");
  cell("flops_per_token", "flops_linear_per_token + flops_attention_causal_per_token",
       "the convention of the published 250 GFLOP");
  cell("flops_per_token_full", "flops_linear_per_token + flops_attention_full_per_token",
       "with full attention, the other convention");
  cell("flops_forward_per_token", "flops_per_token / 3", "the forward third");
  cell("flops_mtp_per_token",
       "n_mtp * (6 * (mtp_active_parameters + vocab_size * d_model)"
       " + flops_attention_causal_per_token / n_layers)",
       "MTP modules: a layer, a projection and the head once more; not in the convention");
  cell("flops_recompute_per_token",
       "recompute == 0 ? 0 : recompute == 1"
       " ? 2 * (n_layers + n_mtp) * (query_up_parameters + key_value_up_parameters)"
       " : (flops_per_token + flops_mtp_per_token) / 3",
       "done again in the backward pass: up-projections of MLA, or everything");
  cell("flops_executed_per_token",
       "flops_per_token + flops_mtp_per_token + flops_recompute_per_token", "what the GPUs do");
  cell("flops_fp8_per_token",
       "uses_fp8 * (6 * (parameters_attention + parameters_dense_ffn + parameters_active_experts"
       " + parameters_shared_experts + n_mtp * mtp_active_parameters)"
       " * (recompute == 2 ? 4 / 3 : 1) + (recompute == 1 ? flops_recompute_per_token : 0))",
       "of those, products in FP8: all Linears but router and head");
}

}  // namespace hadal
