// The built-in shapes: published models and small ones of our own (docs/equations.md, "Presets").
#include <array>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/nearest.h"
#include "hadal/model/config.h"

namespace hadal {
namespace {

ModelConfig deepseek_v3() { return {}; }  // the defaults

ModelConfig deepseek_v2() {
  ModelConfig c;
  c.model_type = "deepseek_v2";
  c.d_model = 5120;
  c.n_layers = 60;
  c.vocab_size = 102400;
  c.yarn = YarnConfig{.mscale = 0.707, .mscale_all_dim = 0.707};
  c.d_ff = 12288;
  c.d_expert = 1536;
  c.n_shared_experts = 2;
  c.first_k_dense_replace = 1;
  c.router = {.n_routed_experts = 160,
              .top_k = 6,
              .n_group = 8,
              .topk_group = 3,
              .scoring = ScoringFunction::kSoftmax,
              .method = TopkMethod::kGroupLimitedGreedy,
              .norm_topk_prob = false,
              .routed_scaling_factor = 16.0F};
  c.n_mtp = 0;
  c.bos_token_id = 100000;
  c.eos_token_ids = {100001};
  return c;
}

ModelConfig deepseek_v2_lite() {
  ModelConfig c = deepseek_v2();
  c.d_model = 2048;
  c.n_layers = 27;
  c.n_heads = 16;
  c.q_lora_rank = 0;
  c.d_ff = 10944;
  c.d_expert = 1408;
  c.router = {.n_routed_experts = 64,
              .top_k = 6,
              .n_group = 1,
              .topk_group = 1,
              .scoring = ScoringFunction::kSoftmax,
              .method = TopkMethod::kGreedy,
              .norm_topk_prob = false,
              .routed_scaling_factor = 1.0F};
  return c;
}

ModelConfig moonlight() {
  ModelConfig c;
  c.d_model = 2048;
  c.n_layers = 27;
  c.vocab_size = 163840;
  c.rms_norm_eps = 1e-5;
  c.max_position_embeddings = 8192;
  c.n_heads = 16;
  c.q_lora_rank = 0;
  c.rope_theta = 50000.0;
  c.yarn.reset();
  c.d_ff = 11264;
  c.d_expert = 1408;
  c.n_shared_experts = 2;
  c.first_k_dense_replace = 1;
  c.router = {.n_routed_experts = 64,
              .top_k = 6,
              .n_group = 1,
              .topk_group = 1,
              .routed_scaling_factor = 2.446F};
  c.n_mtp = 0;
  c.bos_token_id = 163584;
  c.eos_token_ids = {163585};
  return c;
}

ModelConfig kimi_k2() {
  ModelConfig c;
  c.model_type = "kimi_k2";
  c.n_heads = 64;
  c.vocab_size = 163840;
  c.max_position_embeddings = 131072;
  c.rope_theta = 50000.0;
  c.yarn = YarnConfig{.factor = 32.0, .beta_fast = 1.0, .beta_slow = 1.0};
  c.first_k_dense_replace = 1;
  c.router = {.n_routed_experts = 384,
              .top_k = 8,
              .n_group = 1,
              .topk_group = 1,
              .routed_scaling_factor = 2.827F};
  c.n_mtp = 0;
  c.bos_token_id = 163584;
  c.eos_token_ids = {163585};
  return c;
}

// Every mechanism on, small enough for unit tests.
ModelConfig tiny() {
  ModelConfig c;
  c.d_model = 256;
  c.n_layers = 4;
  c.vocab_size = 512;
  c.max_position_embeddings = 512;
  c.n_heads = 4;
  c.q_lora_rank = 96;
  c.kv_lora_rank = 64;
  c.qk_nope_head_dim = 32;
  c.qk_rope_head_dim = 16;
  c.v_head_dim = 32;
  c.yarn =
      YarnConfig{.factor = 4.0, .original_max_position = 128, .beta_fast = 8.0, .beta_slow = 0.5};
  c.d_ff = 512;
  c.d_expert = 64;
  c.first_k_dense_replace = 1;
  c.router = {.n_routed_experts = 16, .top_k = 4, .n_group = 4, .topk_group = 2};
  return c;
}

// The two routers of DeepSeek-V2, at the same size.
ModelConfig tiny_v2() {
  ModelConfig c = tiny();
  c.model_type = "deepseek_v2";
  c.n_mtp = 0;
  c.n_shared_experts = 2;
  c.router.scoring = ScoringFunction::kSoftmax;
  c.router.method = TopkMethod::kGroupLimitedGreedy;
  c.router.norm_topk_prob = false;
  c.router.routed_scaling_factor = 16.0F;
  return c;
}

ModelConfig tiny_v2_lite() {
  ModelConfig c = tiny_v2();
  c.q_lora_rank = 0;
  c.router.method = TopkMethod::kGreedy;
  c.router.n_group = c.router.topk_group = 1;
  c.router.routed_scaling_factor = 1.0F;
  return c;
}

// What quickstart trains in about five minutes on two cores: narrow, since five minutes of
// arithmetic are better spent on more text than on more parameters.
ModelConfig nano() {
  ModelConfig c;
  c.d_model = 128;
  c.n_layers = 4;
  c.vocab_size = 4096;
  c.max_position_embeddings = 1024;
  c.n_heads = 4;
  c.q_lora_rank = 0;
  c.kv_lora_rank = 64;
  c.qk_nope_head_dim = 32;
  c.qk_rope_head_dim = 16;
  c.v_head_dim = 32;
  c.yarn.reset();
  c.d_ff = 384;
  c.d_expert = 64;
  c.first_k_dense_replace = 1;
  c.router = {.n_routed_experts = 16, .top_k = 4, .n_group = 1, .topk_group = 1};
  return c;
}

// About 100 million parameters: an evening on a desktop.
ModelConfig small() {
  ModelConfig c;
  c.d_model = 512;
  c.n_layers = 12;
  c.vocab_size = 16384;
  c.max_position_embeddings = 4096;
  c.n_heads = 8;
  c.q_lora_rank = 256;
  c.kv_lora_rank = 128;
  c.qk_nope_head_dim = 64;
  c.qk_rope_head_dim = 32;
  c.v_head_dim = 64;
  c.yarn.reset();
  c.d_ff = 1408;
  c.d_expert = 144;
  c.first_k_dense_replace = 1;
  c.router = {.n_routed_experts = 32, .top_k = 4, .n_group = 4, .topk_group = 2};
  return c;
}

// People write the names with capitals, with the organisation in front, and in short.
struct Alias {
  const char *alias, *name;
};
constexpr std::array kAliases = {
    Alias{"v3", "deepseek-v3"},
    Alias{"r1", "deepseek-v3"},
    Alias{"deepseek-r1", "deepseek-v3"},
    Alias{"v2", "deepseek-v2"},
    Alias{"v2-lite", "deepseek-v2-lite"},
    Alias{"moonlight", "moonlight-16b-a3b"},
    Alias{"k2", "kimi-k2"},
};

// Who publishes models under these names. Any other folder's name in front makes a path of it: what
// is not there must not be answered for a preset that happens to be called as its end.
constexpr std::string_view kPublishers[] = {"deepseek-ai/", "moonshotai/"};

std::string normalised(const std::string& name) {
  std::string result = name;
  for (char& c : result)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '_' ? '-' : c;
  for (const std::string_view publisher : kPublishers) {
    if (result.starts_with(publisher)) result.erase(0, publisher.size());
  }
  for (const Alias& alias : kAliases) {
    if (result == alias.alias) return alias.name;
  }
  return result;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> kPresets = {
      {"tiny", "unit tests: every mechanism of DeepSeek-V3", tiny()},
      {"tiny-v2", "unit tests: DeepSeek-V2's router with groups", tiny_v2()},
      {"tiny-v2-lite", "unit tests: DeepSeek-V2-Lite's router, no query latent", tiny_v2_lite()},
      {"nano", "quickstart: minutes on two cores", nano()},
      {"small", "about 100M parameters: an evening on a desktop", small()},
      {"deepseek-v2-lite", "DeepSeek-V2-Lite, 16B", deepseek_v2_lite()},
      {"deepseek-v2", "DeepSeek-V2, 236B", deepseek_v2()},
      {"deepseek-v3", "DeepSeek-V3 and R1, 671B", deepseek_v3()},
      {"moonlight-16b-a3b", "Moonlight-16B-A3B", moonlight()},
      {"kimi-k2", "Kimi-K2, 1T", kimi_k2()},
  };
  return kPresets;
}

const Preset& find_preset(const std::string& name) {
  const std::string wanted = normalised(name.substr(0, 200));
  std::vector<std::string> names;
  for (const Preset& preset : presets()) {
    if (preset.name == wanted) return preset;
    names.push_back(preset.name);
  }
  throw ConfigError({.place = "preset",
                     .problem = "no such model shape",
                     .found = in_quotes(name),
                     .advice = did_you_mean(wanted, names, "`hadal presets` lists all")});
}

}  // namespace hadal
