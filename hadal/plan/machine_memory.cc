// Memory of a training step on the CPU, as hadal's trainer lays it out: everything is F32.
//
// From forward to backward a layer keeps (nn/decoder_layer.h, nn/mla.h, nn/moe.h): its input and
// the one of its feed-forward network, the latents, attention's output and log-sum-exp, gate and up
// of the network; a layer with experts also its scores, their gradient and the rows' indices.
// Queries, keys, values, normed inputs and SwiGLU outputs are kept, too, or with `recompute` formed
// again (nn/recompute.h). Logits exist for 256 rows at a time. Freed blocks wait for the next request of their size, so what different moments
// need adds up (tensor/arena.h).
#include "hadal/plan/machine_cells.h"

namespace hadal {

namespace {

// What `hadal train` needs besides its steps. Held-out sequences are read as many at a time as have
// 2^24 logits, MTP's included (train/evaluate.cc), and these blocks have sizes of their own.
void add_rest_of_run(Worksheet& sheet) {
  sheet.formula(
      "evaluation_tokens",
      "sequence_length * max(1, floor(2 ^ 24 / (sequence_length * vocab_size * (1 + n_mtp))))",
      "tokens", "of one pass over held-out text");
  sheet.formula("memory_evaluation",
                "4 * evaluation_tokens * (vocab_size * (1 + n_mtp) + passing_attention / 2"
                " + passing_ffn + 6 * d_model)",
                "B", "logits of held-out sequences, and a layer's tensors");
  // Hashing a finished checkpoint maps its largest file: resident, yet the system can drop it.
  sheet.formula("memory_mapped", "(4 + 2 * moment_bytes + 4 * keeps_average) * parameters_trained",
                "B", "training_state.safetensors, mapped while it is hashed");
}

}  // namespace

void add_machine_memory(Worksheet& sheet) {
  sheet.section("memory", "Memory of the run");
  const auto floats = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "values/token", note);
  };
  const auto bytes = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "B", note);
  };
  sheet.formula("parameters_trained", "parameters_total + parameters_mtp", "parameters",
                "MTP modules included");
  bytes("memory_weights", "4 * parameters_trained", "F32 master weights");
  bytes("memory_gradients", "4 * parameters_trained", "F32");
  bytes("memory_moments", "2 * moment_bytes * parameters_trained", "AdamW's m and v");
  bytes("memory_average", "4 * keeps_average * parameters_trained",
        "moving average of the weights");

  floats("saved_by_attention",
         "2 * d_model + 2 + (q_lora_rank > 0 ? q_lora_rank + 1 : 0) + kv_lora_rank"
         " + qk_rope_head_dim + 1 + n_heads * (v_head_dim + 1)"
         " + (1 - recompute) * (2 * d_model + q_lora_rank + kv_lora_rank"
         " + n_heads * (d_qk + qk_nope_head_dim + v_head_dim))",
         "inputs of both halves of a layer, latents, attention's operands and output");
  floats("saved_by_dense", "(3 - recompute) * d_ff", "gate, up and their product of a dense layer");
  floats("saved_by_experts",
         "2 * n_routed_experts + 5 * top_k"
         " + (3 - recompute) * (top_k + n_shared_experts) * d_expert",
         "scores and their gradient, gates and indices, gate, up and product of the experts");
  floats("saved_per_token",
         "n_layers * saved_by_attention + n_dense_layers * saved_by_dense"
         " + n_moe_layers * saved_by_experts + 2 * d_model"
         " + n_mtp * (saved_by_attention + saved_by_experts + 4 * d_model)",
         "all layers, the final norm and MTP modules");
  bytes("memory_saved", "4 * micro_batch_tokens * saved_per_token", "from forward to backward");
  bytes("memory_logits", "4 * min(256, micro_batch_tokens) * vocab_size", "of 256 rows at a time");
  floats("passing_attention",
         "n_heads * ((1 + recompute) * (d_qk + qk_nope_head_dim + v_head_dim) + v_head_dim)",
         "gradients of queries, keys and values of one layer, and these where they are not kept");
  floats(
      "passing_ffn",
      "n_moe_layers + n_mtp > 0 ? 2 * top_k * d_model + 3 * (top_k + n_shared_experts) * d_expert"
      " : 3 * d_ff",
      "rows of the experts and gradients of gate and up, of one layer");
  bytes("memory_passing",
        "4 * micro_batch_tokens * (passing_attention + passing_ffn + (6 + n_mtp) * d_model)",
        "needed within one layer, then reused by the next");
  sheet.input("memory_program", 12e6, "B", Origin::kMeasured,
              "the program itself, its threads' stacks and packing buffers");
  bytes("step_memory",
        "memory_weights + memory_gradients + memory_moments + memory_average + memory_saved"
        " + memory_logits + memory_passing + memory_program",
        "what `hadal bench train` reports as its peak");
  add_rest_of_run(sheet);
  bytes("run_memory", "step_memory + memory_evaluation", "what the run needs");
  bytes("resident_memory", "run_memory + memory_mapped",
        "what the system shows at most; mapped pages can be dropped");
  sheet.input("usable_memory_share", 0.9, "fraction", Origin::kAssumed,
              "of the machine's memory, the rest for the system");
  bytes("usable_memory", "machine_memory * usable_memory_share", "what the run may take");
}

}  // namespace hadal
