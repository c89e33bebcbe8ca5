// model/config.h: the shape of a DeepSeek-V3-family model. Defaults are DeepSeek-V3.
// Read from and written to Hugging Face's config.json (model/hf_config.cc). What the names are in the
// report: docs/equations.md, "Names and shapes".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/ops/rope_yarn.h"
#include "hadal/ops/router.h"

namespace hadal {

// What state the MTP modules receive from the main model: after its final norm (serving engines and
// the released weights) or before it. docs/equations.md, "MTP".
enum class MtpHidden { kPostNorm, kPreNorm };

struct ModelConfig {
  std::string model_type = "deepseek_v3";  // deepseek_v3, deepseek_v2, kimi_k2
  int64_t d_model = 7168;
  int64_t n_layers = 61;
  int64_t vocab_size = 129280;
  double rms_norm_eps = 1e-6;  // q_a and kv_a norms always use 1e-6
  bool tie_word_embeddings = false;
  int64_t max_position_embeddings = 163840;

  // MLA
  int64_t n_heads = 128;
  int64_t q_lora_rank = 1536;  // 0: no query latent (q_lora_rank null)
  int64_t kv_lora_rank = 512;
  int64_t qk_nope_head_dim = 128, qk_rope_head_dim = 64, v_head_dim = 128;
  double rope_theta = 10000.0;
  std::optional<YarnConfig> yarn = YarnConfig{};

  // feed-forward
  int64_t d_ff = 18432;     // dense layers
  int64_t d_expert = 2048;  // one expert
  int64_t n_shared_experts = 1;
  int64_t first_k_dense_replace = 3;
  int64_t moe_layer_freq = 1;
  RouterConfig router;
  double swiglu_limit =
      0.0;  // clamps gate and up of every network (ops/swiglu.h); 0: none, as in V3

  // MTP
  int64_t n_mtp = 1;
  MtpHidden mtp_hidden = MtpHidden::kPostNorm;

  // ids; eos may be several
  int64_t bos_token_id = 0;
  std::vector<int64_t> eos_token_ids = {1};

  // FP8 checkpoints: quantization_config
  bool fp8 = false;
  bool fp8_power_of_two_scales = false;  // scale_fmt: ue8m0

  std::string torch_dtype = "bfloat16";

  bool is_moe(int64_t layer) const {  // MTP layers, numbered from n_layers, are always MoE layers
    return layer >= n_layers || (layer >= first_k_dense_replace && layer % moe_layer_freq == 0);
  }
  int64_t d_qk() const { return qk_nope_head_dim + qk_rope_head_dim; }
  int64_t d_shared() const { return n_shared_experts * d_expert; }
  RopeConfig rope() const { return {qk_rope_head_dim, rope_theta, yarn}; }
  void validate() const;  // ConfigError: "n_group: groups must be equal (found 3, ...); ..."
  bool operator==(const ModelConfig&) const = default;
};

// Exact counts (docs/equations.md, "Parameter counts"). MTP modules are counted apart.
struct ParameterCount {
  int64_t total = 0;   // main model, embedding and head included
  int64_t active = 0;  // per token: top_k experts in place of all
  int64_t active_without_embedding = 0;
  int64_t mtp = 0;         // all MTP modules, shared tables not counted again
  int64_t mtp_active = 0;  // what a token is multiplied with in them, the shared head included
};
ParameterCount count_parameters(const ModelConfig& config);

// model/hf_config.cc. `source` names the file in errors. Unknown keys are ignored; a known key with
// a value that hadal does not implement is a FormatError naming the key.
ModelConfig config_from_hf(const Json& json, const std::string& source);
Json config_to_hf(const ModelConfig& config);
// The same config.json, other keys untouched, where the weights were found to contradict it
// (model/found_config.h).
void set_hf_found(Json& config, const ModelConfig& found);

// model/presets.cc
struct Preset {
  std::string name, description;
  ModelConfig config;
};
const std::vector<Preset>& presets();
const Preset& find_preset(const std::string& name);  // ConfigError with the nearest name

}  // namespace hadal
