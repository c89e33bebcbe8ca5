// The prefill pool: large batches of prompt tokens, MHA form, all-to-all as in training (IB to a
// node once, then NVLink). Two micro-batches hide each other's communication, so that a layer takes
// the longest of computing, reading weights and communicating (docs/serving_plan.md).
#include <algorithm>

#include "hadal/plan/serving_cells.h"

namespace hadal {
namespace {

void add_layer_times(Worksheet& sheet) {
  sheet.formula("prefill_attention_seconds",
                "prefill_batch_tokens * (2 * attention_parameters"
                " / serving_linear_flops + n_heads * (qk_nope_head_dim"
                " + qk_rope_head_dim + v_head_dim) * prefill_prompt"
                " / serving_attention_flops)",
                "s", "projections in FP8, causal core in BF16, of one layer");
  sheet.formula("prefill_moe_compute_seconds",
                "prefill_attention_seconds + prefill_batch_tokens * 2"
                " * (top_k + n_shared_experts) * expert_parameters"
                " / serving_linear_flops",
                "s", "computing of a layer with experts");
  sheet.formula("prefill_dense_compute_seconds",
                "prefill_attention_seconds + prefill_batch_tokens * 2"
                " * serving_dense_parameters / serving_linear_flops",
                "s", "computing of a dense layer");
  sheet.formula("prefill_moe_memory_seconds",
                "(attention_parameters / prefill_tensor_parallel + (prefill_experts_per_gpu"
                " + prefill_shared_per_gpu * n_shared_experts) * expert_parameters)"
                " * serving_bytes_per_weight / serving_bandwidth",
                "s", "reading the weights of a layer with experts once");
  sheet.formula("prefill_nodes_reached", "min(n_group > 1 ? topk_group : top_k, prefill_nodes)",
                "nodes", "at most, by a token; routing is limited to nodes when groups are");
  sheet.formula("prefill_nic_seconds",
                "prefill_batch_tokens * prefill_nodes_reached * (prefill_nodes - 1) / prefill_nodes"
                " * (serving_dispatch_bytes + serving_combine_bytes)"
                " / serving_nic_bandwidth",
                "s", "dispatch and combine between nodes, one copy per node");
  sheet.formula("prefill_nvlink_seconds",
                "prefill_batch_tokens * (top_k * (gpus_per_node - 1) / gpus_per_node"
                " * (serving_dispatch_bytes + serving_combine_bytes)"
                " + 4 * (prefill_tensor_parallel - 1) * d_model) / nvlink_bandwidth",
                "s", "a copy per expert within nodes; gather and scatter of tensor parallelism");
  sheet.formula("prefill_moe_layer_seconds",
                "max(prefill_moe_compute_seconds, prefill_moe_memory_seconds, prefill_nic_seconds,"
                " prefill_nvlink_seconds)",
                "s", "the longest hides the others");
}

}  // namespace

void add_prefill(Worksheet& sheet, const ModelConfig& config, const ServingPool& pool,
                 const std::string& source) {
  sheet.section("prefill", "Serving: prefill pool");
  add_serving_pool(sheet, "prefill", pool, source);
  sheet.input("prefill_batch_tokens", pool.batch, "tokens", Origin::kPublished,
              "per GPU; published prefill profile");
  sheet.input("prefill_prompt",
              static_cast<double>(std::min<int64_t>(4096, config.max_position_embeddings)),
              "tokens", Origin::kPublished,
              "length of a prompt, as in the published prefill profile");
  add_layer_times(sheet);
  sheet.formula("prefill_batch_seconds",
                "n_moe_layers * prefill_moe_layer_seconds"
                " + (n_layers - n_moe_layers) * prefill_dense_compute_seconds",
                "s", "one batch through all layers");
  sheet.formula("prefill_tokens_per_s_per_gpu", "prefill_batch_tokens / prefill_batch_seconds",
                "tokens/s", "computed tokens, the limit of the hardware");
  sheet.formula("prefill_tokens_per_s_per_node", "prefill_tokens_per_s_per_gpu * gpus_per_node",
                "tokens/s", "computed tokens");
  sheet.input("prefill_hit_rate", 342.0 / 608, "", Origin::kPublished,
              "prompt tokens found in the context cache on disk; the published day");
  sheet.formula("prefill_tokens_per_s_per_node_with_hits",
                "prefill_tokens_per_s_per_node / (1 - prefill_hit_rate)", "tokens/s",
                "prompt tokens served, cached ones included");
  sheet.formula("prefill_usd_per_million", "gpu_price / 3600 / prefill_tokens_per_s_per_gpu * 1e6",
                "USD", "of computed tokens, at the hardware's limit");
}

}  // namespace hadal
