#include "tests/support/random_model.h"

#include "hadal/core/rng.h"

namespace hadal::test {

ModelConfig odd_config() {
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

ModelConfig two_mtp_config() {
  ModelConfig config = odd_config();
  config.n_mtp = 2;
  return config;
}

ModelConfig softmax_config() {
  ModelConfig config = odd_config();
  config.n_mtp = 0;
  config.router.scoring = ScoringFunction::kSoftmax;
  config.router.method = TopkMethod::kGreedy;
  config.router.n_group = config.router.topk_group = 1;
  config.router.norm_topk_prob = false;
  config.router.routed_scaling_factor = 4.0F;
  return config;
}

ModelConfig small_shape() {
  ModelConfig shape = find_preset("tiny").config;
  shape.d_model = 32;
  shape.d_ff = 48;
  shape.d_expert = 16;
  shape.n_layers = 2;
  shape.vocab_size = 80;
  shape.n_heads = 2;
  shape.q_lora_rank = shape.kv_lora_rank = 16;
  shape.qk_nope_head_dim = shape.v_head_dim = 8;
  shape.qk_rope_head_dim = 4;
  shape.router.n_routed_experts = 8;
  shape.router.top_k = 2;
  shape.router.n_group = 2;
  shape.router.topk_group = 1;
  return shape;
}

const char* const kSmallShapeToml = R"([model]
preset = "tiny"
init_std = 0.05
hidden_size = 32
intermediate_size = 48
moe_intermediate_size = 16
num_hidden_layers = 2
num_attention_heads = 2
q_lora_rank = 16
kv_lora_rank = 16
qk_nope_head_dim = 8
qk_rope_head_dim = 4
v_head_dim = 8
n_routed_experts = 8
num_experts_per_tok = 2
n_group = 2
topk_group = 1
)";

ModelConfig text_shape(int64_t vocab_size) {
  ModelConfig config = find_preset("tiny").config;
  config.vocab_size = vocab_size;
  config.d_model = 64;
  config.n_layers = 2;
  config.max_position_embeddings = 128;
  config.n_mtp = 1;
  config.validate();
  return config;
}

RandomModel::RandomModel(const ModelConfig& config, uint64_t seed, int n_threads)
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

Tensor RandomModel::random_rows(int64_t n, int64_t d, uint64_t seed) {
  Tensor x = ctx.empty({n, d});
  Rng rng(seed, 7);
  for (float& value : x.flat<float>()) value = static_cast<float>(rng.normal());
  return x;
}

std::vector<int32_t> RandomModel::random_tokens(int64_t n, uint64_t seed) const {
  Rng rng(seed, 8);
  const auto vocab_size = static_cast<uint64_t>(model.config.vocab_size);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) {
    tokens.push_back(static_cast<int32_t>(rng.uniform_below(vocab_size)));
  }
  return tokens;
}

DeepseekV3 load_folder(const std::string& folder, Arena& arena, const LoadOptions& options) {
  ThreadPool pool(1);
  Context ctx{pool, arena};
  return load_model(ctx, folder, options);
}

void save_folder(const std::string& folder, DeepseekV3& model, const SaveOptions& options) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  save_model(ctx, folder, model, options);
}

}  // namespace hadal::test
