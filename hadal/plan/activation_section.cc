// Bytes that one token leaves in one layer between forward and backward, by tensor and by
// recomputation policy (docs/plan.md, "Memory and traffic"): under the report's policy RMSNorm
// outputs, the MLA up-projections and SwiGLU's output are computed again.
#include "hadal/plan/training_sections.h"

namespace hadal {

void add_activation_bytes(Worksheet& sheet) {
  sheet.section("activations", "Activations of one token in one layer with experts");
  const auto cell = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "B", note);
  };
  cell("cached_value_bytes", "uses_fp8 ? 1 + 4 / 128 : 2", "FP8 in tiles of 1 x 128, or BF16");
  cell("saved_attention_input", "d_model * cached_value_bytes", "input of the projections down");
  cell("saved_latents", "2 * (q_lora_rank + kv_lora_rank + qk_rope_head_dim)",
       "before their norms, BF16");
  cell("saved_attention_output", "n_heads * v_head_dim * (uses_fp8 ? 1.5 : 2)",
       "input of the output projection: E5M6, 12 bits");
  cell("saved_softmax", "4 * n_heads", "log of the softmax's sum, FP32");
  cell("saved_router", "4 * n_routed_experts + 8 * top_k", "scores FP32, ids and gates");
  cell("saved_dispatched", "top_k * d_model * cached_value_bytes", "inputs of the routed experts");
  cell("saved_shared_input", "(n_shared_experts > 0 ? 1 : 0) * d_model * cached_value_bytes",
       "input of the shared experts");
  cell("saved_swiglu_inputs", "(top_k + n_shared_experts) * 2 * d_expert * cached_value_bytes",
       "gate and up of every expert visited");
  cell("saved_residual", "2 * d_model * 2", "inputs of attention and FFN, BF16");
  cell("activation_bytes_selective",
       "saved_attention_input + saved_latents + saved_attention_output + saved_softmax"
       " + saved_router + saved_dispatched + saved_shared_input + saved_swiglu_inputs"
       " + saved_residual",
       "with the report's recomputation");
  cell("recomputed_norms", "2 * d_model * 2 + 2 * (q_lora_rank + kv_lora_rank)", "BF16");
  cell("recomputed_up_projections", "2 * n_heads * (2 * d_qk + v_head_dim)",
       "queries, keys, values, BF16");
  cell("recomputed_swiglu", "(top_k + n_shared_experts) * d_expert * cached_value_bytes",
       "inputs of the projections down");
  cell("activation_bytes_none",
       "activation_bytes_selective + recomputed_norms + recomputed_up_projections"
       " + recomputed_swiglu",
       "everything saved");
  cell("activation_bytes_per_token",
       "recompute == 0 ? activation_bytes_none : recompute == 1 ? activation_bytes_selective"
       " : 2 * d_model",
       "under the policy of this layout; full: the layer's input alone");
  cell("activation_bytes_of_dense_layer",
       "recompute == 2 ? 2 * d_model : saved_attention_input + saved_latents"
       " + saved_attention_output + saved_softmax + saved_residual"
       " + (d_model + 2 * d_ff) * cached_value_bytes"
       " + (recompute == 0 ? recomputed_norms + recomputed_up_projections"
       " + d_ff * cached_value_bytes : 0)",
       "a layer without experts: one FFN's input, gate and up in place of the experts'");
  cell("activation_bytes_unsaved", "activation_bytes_none - activation_bytes_per_token",
       "what one layer needs besides while it goes backward");
}

}  // namespace hadal
