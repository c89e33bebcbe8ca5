// tests/infer/random_model.h: small models of odd shapes with random weights, and their context.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/core/rng.h"
#include "hadal/model/deepseek_v3.h"

namespace hadal::test {

inline ModelConfig odd_config() {
  ModelConfig config;
  config.d_model = 40;
  config.n_layers = 3;
  config.vocab_size = 53;
  config.max_position_embeddings = 512;
  config.n_heads = 3;
  config.q_lora_rank = 14;
  config.kv_lora_rank = 18;
  config.qk_nope_head_dim = 10;
  config.qk_rope_head_dim = 6;
  config.v_head_dim = 7;
  config.yarn = YarnConfig{.factor = 4.0, .original_max_position = 64};
  config.d_ff = 56;
  config.d_expert = 12;
  config.first_k_dense_replace = 1;
  config.router.n_routed_experts = 8;
  config.router.top_k = 3;
  config.router.n_group = 2;
  config.router.topk_group = 1;
  config.n_mtp = 1;
  config.eos_token_ids = {1};
  return config;
}

// A model whose weights make the logits spread over about one unit.
struct RandomModel {
  explicit RandomModel(const ModelConfig& config, uint64_t seed = 1, int n_threads = 1)
      : pool(n_threads), model(make_model(config, arena)) {
    initialise_weights(model, arena, seed, 0.2F);
    Rng rng(seed, 99);
    for (NamedParam& named : named_params(model)) {
      if (named.kind == ParamKind::kMatrix) continue;
      for (float& value : named.param->master.flat<float>()) {  // norms around 1, biases around 0
        value += 0.1F * static_cast<float>(rng.normal());
      }
    }
    model.ensure_rope(arena, config.max_position_embeddings);
  }

  Tensor random_rows(int64_t n, int64_t d, uint64_t seed) {
    Tensor x = ctx.empty({n, d});
    Rng rng(seed, 7);
    for (float& value : x.flat<float>()) value = static_cast<float>(rng.normal());
    return x;
  }
  std::vector<int32_t> random_tokens(int64_t n, uint64_t seed) const {
    Rng rng(seed, 8);
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < n; ++i) {
      tokens.push_back(
          static_cast<int32_t>(rng.uniform_below(static_cast<uint64_t>(model.config.vocab_size))));
    }
    return tokens;
  }

  ThreadPool pool;
  Arena arena;
  Context ctx{pool, arena};
  DeepseekV3 model;
};

}  // namespace hadal::test
