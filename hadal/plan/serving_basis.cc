// What both pools share: the model's sizes, the GPU, the bytes of a weight and of a cached token.
#include "hadal/plan/serving_cells.h"

namespace hadal {
namespace {

int64_t n_moe_layers(const ModelConfig& config) {
  int64_t n = 0;
  for (int64_t layer = 0; layer < config.n_layers; ++layer) n += config.is_moe(layer) ? 1 : 0;
  return n;
}

void add_model(Worksheet& sheet, const ModelConfig& c) {
  const auto count = [&](const std::string& name, int64_t value, const std::string& note) {
    share_input(sheet, name, static_cast<double>(value), "", Origin::kModel, note);
  };
  count("d_model", c.d_model, "width of the residual stream");
  count("n_layers", c.n_layers, "decoder layers, MTP not counted");
  count("n_moe_layers", n_moe_layers(c), "decoder layers with experts");
  count("n_heads", c.n_heads, "attention heads");
  count("q_lora_rank", c.q_lora_rank, "width of the query latent; 0: none");
  count("kv_lora_rank", c.kv_lora_rank, "width of the cached latent c_kv");
  count("qk_nope_head_dim", c.qk_nope_head_dim, "query and key columns without position, a head");
  count("qk_rope_head_dim", c.qk_rope_head_dim, "columns of the rotated key");
  count("v_head_dim", c.v_head_dim, "value columns a head");
  count("d_ff", c.d_ff, "inner width of a dense layer");
  count("d_expert", c.d_expert, "inner width of one expert");
  count("n_routed_experts", c.router.n_routed_experts, "routed experts of a layer");
  count("n_shared_experts", c.n_shared_experts, "experts that every token visits");
  count("top_k", c.router.top_k, "routed experts of a token");
  count("n_group", c.router.n_group, "groups of experts; 1: no limit on nodes");
  count("topk_group", c.router.topk_group, "groups that a token may reach");
  count("vocab_size", c.vocab_size, "tokens");
  count("n_tables", c.tie_word_embeddings ? 1 : 2, "embedding and head, one if tied");
  count("max_position", c.max_position_embeddings, "longest context");
  count("serving_active_parameters", count_parameters(c).active_without_embedding,
        "parameters a token is multiplied with, the head included");
}

void add_gpu(Worksheet& sheet) {
  const std::string h800 = "H800, spec 07 section 8";
  share_input(sheet, "gpus_per_node", 8, "", Origin::kPublished, h800);
  share_input(sheet, "gpu_bf16_flops", 989.5e12, "FLOP/s", Origin::kPublished, h800);
  share_input(sheet, "gpu_fp8_flops", 1979e12, "FLOP/s", Origin::kPublished, h800);
  share_input(sheet, "gpu_memory", 80e9, "B", Origin::kPublished, h800);
  share_input(sheet, "gpu_memory_bandwidth", 3350e9, "B/s", Origin::kPublished, h800);
  share_input(sheet, "nvlink_bandwidth", 160e9, "B/s", Origin::kPublished,
              "one way, measured by the publisher");
  share_input(sheet, "nic_bandwidth", 50e9, "B/s", Origin::kPublished, "400 Gb/s per GPU");
  share_input(sheet, "gpu_price", 2.0, "USD/GPU-hour", Origin::kPublished,
              "rental price that the report assumes");
  share_input(sheet, "serving_fp8_share", 1550.0 / 1979, "", Origin::kMeasured,
              "DeepGEMM's best, 1550 of 1979 TFLOPS on H800, published by its authors");
  share_input(sheet, "serving_attention_share", 660.0 / 989.5, "", Origin::kMeasured,
              "FlashMLA compute bound, 660 of 989.5 TFLOPS on H800, published by its authors");
  share_input(sheet, "serving_memory_share", 3000.0 / 3350, "", Origin::kMeasured,
              "FlashMLA memory bound, 3000 of 3350 GB/s on H800, published by its authors");
  share_input(sheet, "serving_nic_share", 0.85, "", Origin::kPublished,
              "40 to 45 of 50 GB/s usable, hardware paper");
}

}  // namespace

void add_serving_basis(Worksheet& sheet, const ModelConfig& config) {
  sheet.section("serving", "Serving: what both pools share");
  add_model(sheet, config);
  add_gpu(sheet);
  share_formula(sheet, "serving_attention_parameters",
                "(q_lora_rank > 0 ? d_model * q_lora_rank"
                " + q_lora_rank * n_heads * (qk_nope_head_dim + qk_rope_head_dim)"
                " : d_model * n_heads * (qk_nope_head_dim + qk_rope_head_dim))"
                " + d_model * (kv_lora_rank + qk_rope_head_dim)"
                " + kv_lora_rank * n_heads * (qk_nope_head_dim + v_head_dim)"
                " + n_heads * v_head_dim * d_model",
                "", "matrices of one attention layer");
  share_formula(sheet, "serving_expert_parameters", "3 * d_model * d_expert", "",
                "gate, up and down of one expert");
  share_formula(sheet, "serving_dense_parameters", "3 * d_model * d_ff", "",
                "gate, up and down of a dense layer");
  share_formula(sheet, "serving_bytes_per_weight", "1 + 4 / 128 ^ 2", "B",
                "FP8, one FP32 scale per 128 x 128 block");
  share_input(sheet, "serving_cache_bytes_per_value", 2, "B", Origin::kPublished,
              "BF16 latents; 1 for an FP8 cache");
  share_formula(sheet, "kv_bytes_per_token",
                "n_layers * (kv_lora_rank + qk_rope_head_dim) * serving_cache_bytes_per_value",
                "B/token", "latent and rotated key of every layer");
  if (is_deepseek_v3_shape(config)) {
    sheet.published("kv_bytes_per_token", 70272, "hardware paper, arXiv:2505.09343, table 1");
  }
  share_input(sheet, "serving_usable_memory", 0.9, "", Origin::kAssumed,
              "share of the GPU's memory for weights, cache and buffers");
  share_input(sheet, "serving_buffers", 4e9, "B", Origin::kAssumed,
              "activations and all-to-all buffers of one GPU");
  share_formula(sheet, "serving_dispatch_bytes", "d_model + d_model / 128 * 4", "B",
                "one token to one expert: FP8 and a scale per 128 values");
  share_formula(sheet, "serving_combine_bytes", "2 * d_model", "B",
                "one token back from one expert, BF16");
}

void add_serving_pool(Worksheet& sheet, const std::string& pool, const ServingPool& figures,
                      const std::string& source) {
  const auto given = [&](const std::string& name, double value, const std::string& note) {
    sheet.input(pool + name, value, "", Origin::kPublished, note + "; " + source);
  };
  // "{}" stands for the pool in the texts of formulas.
  const auto formula = [&](const std::string& name, std::string text, const std::string& unit,
                           const std::string& note) {
    for (size_t at = text.find("{}"); at != std::string::npos; at = text.find("{}", at)) {
      text.replace(at, 2, pool);
    }
    sheet.formula(pool + name, text, unit, note);
  };
  given("_slots_per_gpu", figures.slots_per_gpu, "routed experts that a GPU is to hold");
  given("_redundant_share", figures.redundant_share, "redundant slots per routed expert");
  given("_shared_per_gpu", figures.shared_per_gpu,
        "1: shared experts on every GPU, 0: among the redundant slots");
  given("_tensor_parallel", figures.tensor_parallel, "GPUs that share an attention layer");
  formula("_redundant_experts",
          "n_moe_layers > 0 ? ceil({}_redundant_share * n_routed_experts) : 0", "",
          "slots beyond one per routed expert");
  formula("_nodes",
          "n_moe_layers > 0 ? ceil((n_routed_experts + {}_redundant_experts)"
          " / {}_slots_per_gpu / gpus_per_node) : 1",
          "nodes", "smallest unit that holds every expert");
  formula("_gpus", "{}_nodes * gpus_per_node", "GPUs", "width of expert parallelism");
  formula("_experts_per_gpu",
          "n_moe_layers > 0 ? ceil((n_routed_experts + {}_redundant_experts) / {}_gpus) : 0", "",
          "routed experts of one layer on the fullest GPU");
  formula("_replicated_bytes",
          "(n_layers * serving_attention_parameters / {}_tensor_parallel"
          " + (n_layers - n_moe_layers) * serving_dense_parameters) * serving_bytes_per_weight",
          "B", "attention and dense layers, on every GPU");
  formula("_expert_bytes",
          "n_moe_layers * ({}_experts_per_gpu + {}_shared_per_gpu * n_shared_experts)"
          " * serving_expert_parameters * serving_bytes_per_weight",
          "B", "experts of all layers on one GPU");
  formula("_table_bytes", "n_tables * vocab_size * d_model * 2", "B", "embedding and head, BF16");
  formula("_weight_bytes", "{}_replicated_bytes + {}_expert_bytes + {}_table_bytes", "B",
          "weights on one GPU");
}

}  // namespace hadal
