// What both pools share: rates that kernels reach, the bytes of a weight and of a cached token.
#include "hadal/plan/cluster.h"
#include "hadal/plan/serving_cells.h"
#include "hadal/plan/training_plan.h"
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

void add_rates(Worksheet& sheet) {
  sheet.input(
      "serving_linear_share", 1550.0 / 1979, "", Origin::kMeasured,
      "of the peak; DeepGEMM's best on H800, 1550 of 1979 TFLOPS, published by its authors");
  sheet.input("serving_attention_share", 660.0 / 989.5, "", Origin::kMeasured,
              "of the BF16 peak; FlashMLA on H800, 660 TFLOPS, published by its authors");
  sheet.input("serving_memory_share", 3000.0 / 3350, "", Origin::kMeasured,
              "of the bandwidth; FlashMLA on H800, 3000 GB/s, published by its authors");
  sheet.input("serving_nic_share", 0.85, "", Origin::kPublished,
              "40 to 45 of 50 GB/s usable; arXiv:2505.09343");
  sheet.formula("serving_linear_flops",
                "(gpu_fp8_flops > 0 ? gpu_fp8_flops : gpu_bf16_flops) * serving_linear_share",
                "FLOP/s", "of products with weights; BF16 where the GPU has no FP8 units");
  sheet.formula("serving_attention_flops", "gpu_bf16_flops * serving_attention_share", "FLOP/s",
                "of the attention core");
  sheet.formula("serving_bandwidth", "gpu_memory_bandwidth * serving_memory_share", "B/s",
                "of reading weights and cache");
  sheet.formula("serving_nic_bandwidth", "nic_bandwidth * serving_nic_share", "B/s",
                "per GPU, one way, between nodes");
}

}  // namespace

void add_serving_basis(Worksheet& sheet, const ModelConfig& config) {
  if (!sheet.has("d_model")) add_model(sheet, config);
  if (!sheet.has("gpu_memory")) add_cluster(sheet, find_cluster("h800-2048"));
  sheet.section("serving", "Serving: what both pools share");
  add_rates(sheet);
  sheet.formula("serving_bytes_per_weight", "1 + 4 / 128 ^ 2", "B",
                "FP8, one FP32 scale per 128 x 128 block");
  sheet.formula("serving_dense_parameters", "3 * d_model * d_ff", "parameters",
                "gate, up and down of a dense layer");
  sheet.input("cache_bytes_per_value", 2, "B", Origin::kPublished,
              "BF16 latents; 1 for an FP8 cache");
  sheet.formula("kv_bytes_per_token",
                "n_layers * (kv_lora_rank + qk_rope_head_dim) * cache_bytes_per_value", "B/token",
                "latent and rotated key of every layer");
  if (has_shape_of(config, "deepseek-v3")) {
    sheet.published("kv_bytes_per_token", 70272, "arXiv:2505.09343, table 1");
  }
  sheet.input("serving_usable_memory", 0.9, "", Origin::kAssumed,
              "share of the GPU's memory for weights, cache and buffers");
  sheet.input("serving_buffers", 4e9, "B", Origin::kAssumed,
              "activations and all-to-all buffers of one GPU");
  sheet.formula("serving_dispatch_bytes", "d_model + d_model / 128 * 4", "B",
                "one token to one expert: FP8 and a scale per 128 values");
  sheet.formula("serving_combine_bytes", "2 * d_model", "B",
                "one token back from one expert, BF16");
}

}  // namespace hadal
