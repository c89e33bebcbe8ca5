// The list of layers that a config describes (report section 2; docs/equations.md).
#include "hadal/model/deepseek_v3.h"

#include <algorithm>
#include <utility>

namespace hadal {
namespace {

// q_a_layernorm and kv_a_layernorm ignore rms_norm_eps (docs/equations.md, "RMSNorm").
constexpr float kLatentNormEps = 1e-6F;
// The rotary table starts with this many positions; ensure_rope makes it longer.
constexpr int64_t kFirstRopePositions = 4096;

Param shaped(Tensor::Shape shape) {
  Param param;
  param.master = Tensor::borrowed(DType::kF32, std::move(shape), nullptr, nullptr);
  return param;
}

Linear linear(int64_t d_out, int64_t d_in) {
  Linear result;
  result.weight = shaped({d_out, d_in});
  return result;
}

GroupedLinear grouped_linear(int64_t n_experts, int64_t d_out, int64_t d_in) {
  GroupedLinear result;
  for (int64_t e = 0; e < n_experts; ++e) result.weights.push_back(shaped({d_out, d_in}));
  return result;
}

RmsNorm norm(int64_t width, float eps) {
  RmsNorm result;
  result.weight = shaped({width});
  result.eps = eps;
  return result;
}

float swiglu_limit(const ModelConfig& config) {
  return config.swiglu_limit > 0.0 ? static_cast<float>(config.swiglu_limit) : kNoSwigluLimit;
}

Ffn make_ffn(const ModelConfig& config, int64_t width) {
  Ffn ffn;
  ffn.w_gate = linear(width, config.d_model);
  ffn.w_up = linear(width, config.d_model);
  ffn.w_down = linear(config.d_model, width);
  ffn.swiglu_limit = swiglu_limit(config);
  return ffn;
}

Moe make_moe(const ModelConfig& config, ExpertRange held) {
  Moe moe;
  moe.config = config.router;
  const int64_t n_experts = config.router.n_routed_experts;
  moe.w_router = shaped({n_experts, config.d_model});
  if (config.router.method == TopkMethod::kNoauxTc) moe.route_bias = shaped({n_experts});
  moe.range = held;
  moe.w_gate = grouped_linear(held.size(), config.d_expert, config.d_model);
  moe.w_up = grouped_linear(held.size(), config.d_expert, config.d_model);
  moe.w_down = grouped_linear(held.size(), config.d_model, config.d_expert);
  moe.swiglu_limit = swiglu_limit(config);
  if (config.n_shared_experts > 0) moe.shared = make_ffn(config, config.d_shared());
  return moe;
}

Mla make_mla(const ModelConfig& config) {
  Mla mla;
  mla.dims = {config.n_heads, config.qk_nope_head_dim, config.qk_rope_head_dim, config.v_head_dim};
  mla.kv_lora_rank = config.kv_lora_rank;
  mla.softmax_scale = static_cast<float>(softmax_scale(config.rope(), config.d_qk()));
  const int64_t q_width = config.n_heads * config.d_qk();
  if (config.q_lora_rank > 0) {
    mla.w_dq = linear(config.q_lora_rank, config.d_model);
    mla.q_norm = norm(config.q_lora_rank, kLatentNormEps);
    mla.w_uq = linear(q_width, config.q_lora_rank);
  } else {
    mla.w_uq = linear(q_width, config.d_model);
  }
  mla.w_dkv = linear(config.kv_lora_rank + config.qk_rope_head_dim, config.d_model);
  mla.kv_norm = norm(config.kv_lora_rank, kLatentNormEps);
  mla.w_ukv =
      linear(config.n_heads * (config.qk_nope_head_dim + config.v_head_dim), config.kv_lora_rank);
  mla.w_o = linear(config.d_model, config.n_heads * config.v_head_dim);
  return mla;
}

DecoderLayer make_layer(const ModelConfig& config, int64_t index, ExpertRange experts) {
  const auto eps = static_cast<float>(config.rms_norm_eps);
  DecoderLayer layer;
  layer.index = static_cast<int>(index);
  layer.attn_norm = norm(config.d_model, eps);
  layer.attn = make_mla(config);
  layer.ffn_norm = norm(config.d_model, eps);
  if (config.is_moe(index)) {
    layer.ffn = make_moe(config, experts);
  } else {
    layer.ffn = make_ffn(config, config.d_ff);
  }
  return layer;
}

MtpBlock make_mtp(const ModelConfig& config, int64_t depth, ExpertRange experts) {
  const auto eps = static_cast<float>(config.rms_norm_eps);
  MtpBlock block;
  block.enorm = norm(config.d_model, eps);
  block.hnorm = norm(config.d_model, eps);
  block.w_eh = linear(config.d_model, 2 * config.d_model);
  block.layer = make_layer(config, config.n_layers + depth, experts);
  block.head_norm = norm(config.d_model, eps);
  return block;
}

}  // namespace

DeepseekV3 make_model(const ModelConfig& config, Arena& arena) {
  return make_model(config, arena, HeldPart::whole(config));
}

DeepseekV3 make_model(const ModelConfig& config, Arena& arena, HeldPart part) {
  const ExpertRange experts = part.experts;
  DeepseekV3 model;
  model.config = config;
  model.held = std::move(part);
  model.embedding = shaped({config.vocab_size, config.d_model});
  for (int64_t i = 0; i < config.n_layers; ++i)
    model.layers.push_back(make_layer(config, i, experts));
  model.final_norm = norm(config.d_model, static_cast<float>(config.rms_norm_eps));
  if (!config.tie_word_embeddings) model.head = shaped({config.vocab_size, config.d_model});
  for (int64_t k = 0; k < config.n_mtp; ++k) model.mtp.push_back(make_mtp(config, k, experts));
  model.ensure_rope(arena, std::min(config.max_position_embeddings, kFirstRopePositions));
  return model;
}

void DeepseekV3::ensure_rope(Arena& arena, int64_t n_positions) {
  if (rope.n_positions() < n_positions) {
    rope = RopeTable::make(arena, config.rope(), n_positions);
  }
}

}  // namespace hadal
