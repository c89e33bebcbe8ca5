// The decode pool: absorbed attention over the latent cache, direct point-to-point all-to-all. Two
// micro-batches hide each other's communication: per layer the longest of reading memory, computing
// and communicating, summed over layers (docs/serving_plan.md).
#include <algorithm>

#include "hadal/plan/serving_cells.h"

namespace hadal {
namespace {

void add_batch(Worksheet& sheet, const ModelConfig& config, const ServingPool& pool) {
  sheet.input("decode_context",
              std::min<double>(4989, static_cast<double>(config.max_position_embeddings)), "tokens",
              Origin::kPublished, "mean cache length of an output token; published day");
  sheet.input("decode_batch_wanted", pool.batch, "sequences", Origin::kAssumed,
              "per attention group: as the published day implies, or 32 tokens per GPU");
  sheet.formula(
      "decode_cache_room",
      "max(0, gpu_memory * serving_usable_memory - decode_weight_bytes - serving_buffers)", "B",
      "memory left for the cache on one GPU");
  sheet.formula("decode_max_batch",
                "floor(decode_cache_room / (decode_context * kv_bytes_per_token))", "sequences",
                "that fit an attention group: its GPUs all hold the latents, which have no heads");
  sheet.formula("decode_batch", "min(decode_batch_wanted, decode_max_batch)", "sequences",
                "of one attention group");
  sheet.formula("decode_cache_bytes", "decode_batch * decode_context * kv_bytes_per_token", "B",
                "cache on one GPU");
  sheet.formula("decode_tokens_per_gpu", "decode_batch / decode_tensor_parallel", "tokens",
                "of one step; an attention group shares its sequences");
  sheet.formula("decode_tokens_per_expert",
                "n_moe_layers > 0 ? decode_tokens_per_gpu * top_k * decode_gpus / n_routed_experts"
                " : 0",
                "tokens", "mean per routed expert in one step");
}

void add_memory_time(Worksheet& sheet) {
  const std::string bandwidth = " / serving_bandwidth";
  sheet.formula("decode_touched_experts",
                "decode_experts_per_gpu"
                " * (1 - (1 - top_k / n_routed_experts) ^ (decode_tokens_per_gpu * decode_gpus))",
                "", "experts of a GPU that at least one token of the step chose");
  sheet.formula("decode_attention_bytes",
                "attention_parameters / decode_tensor_parallel * serving_bytes_per_weight"
                " + decode_cache_bytes / n_layers",
                "B", "weights and cache read by one attention layer");
  sheet.formula("decode_moe_memory_seconds",
                "(decode_attention_bytes + (decode_touched_experts"
                " + decode_shared_per_gpu * n_shared_experts) * expert_parameters"
                " * serving_bytes_per_weight)" +
                    bandwidth,
                "s", "reading of a layer with experts");
  sheet.formula(
      "decode_dense_memory_seconds",
      "(decode_attention_bytes + serving_dense_parameters * serving_bytes_per_weight)" + bandwidth,
      "s", "reading of a dense layer");
}

void add_compute_time(Worksheet& sheet) {
  sheet.formula("decode_attention_seconds",
                "decode_tokens_per_gpu * (2 * attention_parameters"
                " / serving_linear_flops + 2 * n_heads * (2 * kv_lora_rank"
                " + qk_rope_head_dim) * decode_context / serving_attention_flops)",
                "s", "projections and absorbed core of one layer");
  sheet.formula("decode_moe_compute_seconds",
                "decode_attention_seconds + decode_tokens_per_gpu * 2 * (top_k + n_shared_experts)"
                " * expert_parameters / serving_linear_flops",
                "s", "computing of a layer with experts");
  sheet.formula("decode_dense_compute_seconds",
                "decode_attention_seconds + decode_tokens_per_gpu * 2 * serving_dense_parameters"
                " / serving_linear_flops",
                "s", "computing of a dense layer");
}

void add_communication_time(Worksheet& sheet) {
  sheet.formula("decode_copies", "top_k + (1 - decode_shared_per_gpu) * n_shared_experts", "",
                "of a token on their way: shared experts elsewhere count as chosen ones");
  sheet.formula("decode_link_bandwidth",
                "decode_gpus <= gpus_per_node ? nvlink_bandwidth"
                " : serving_nic_bandwidth",
                "B/s", "of one GPU, one way; a pool within one node needs no network");
  sheet.formula("decode_all_to_all_seconds",
                "decode_tokens_per_gpu * decode_copies * (decode_gpus - 1) / decode_gpus"
                " * (serving_dispatch_bytes + serving_combine_bytes) / decode_link_bandwidth",
                "s", "dispatch and combine of one layer, every copy on its own");
  sheet.formula("decode_tensor_parallel_seconds",
                "4 * (decode_tensor_parallel - 1) * decode_tokens_per_gpu * d_model"
                " / nvlink_bandwidth",
                "s", "gather and scatter around one attention layer, BF16");
  sheet.formula("decode_communication_seconds",
                "decode_all_to_all_seconds + decode_tensor_parallel_seconds", "s",
                "of a layer with experts");
}

}  // namespace

void add_decode(Worksheet& sheet, const ModelConfig& config, const ServingPool& pool,
                const std::string& source) {
  sheet.section("decode", "Serving: decode pool");
  add_serving_pool(sheet, "decode", pool, source);
  add_batch(sheet, config, pool);
  add_memory_time(sheet);
  add_compute_time(sheet);
  add_communication_time(sheet);
  sheet.formula("decode_moe_layer_seconds",
                "max(decode_moe_memory_seconds, decode_moe_compute_seconds,"
                " decode_communication_seconds)",
                "s", "the longest hides the others");
  sheet.formula("decode_dense_layer_seconds",
                "max(decode_dense_memory_seconds, decode_dense_compute_seconds,"
                " decode_tensor_parallel_seconds)",
                "s", "the longest hides the others");
  sheet.formula("decode_head_seconds",
                "max(2 * vocab_size * d_model / serving_bandwidth,"
                " decode_tokens_per_gpu * 2 * vocab_size * d_model / gpu_bf16_flops)",
                "s", "logits, BF16");
  sheet.formula("decode_step_seconds",
                "n_moe_layers * decode_moe_layer_seconds"
                " + (n_layers - n_moe_layers) * decode_dense_layer_seconds + decode_head_seconds",
                "s", "one token of every sequence, at the hardware's limit");
  sheet.formula("decode_tokens_per_s_per_user", "decode_batch > 0 ? 1 / decode_step_seconds : 0",
                "tokens/s", "without speculation; 0: nothing fits");
  sheet.formula("decode_tokens_per_s_per_gpu", "decode_tokens_per_gpu / decode_step_seconds",
                "tokens/s", "output tokens");
  sheet.formula("decode_tokens_per_s_per_node", "decode_tokens_per_s_per_gpu * gpus_per_node",
                "tokens/s", "output tokens");
  sheet.formula("decode_usd_per_million",
                "decode_batch > 0 ? gpu_price / 3600 / decode_tokens_per_s_per_gpu * 1e6 : 0",
                "USD", "of output tokens, at the hardware's limit; 0: nothing fits");
}

}  // namespace hadal
