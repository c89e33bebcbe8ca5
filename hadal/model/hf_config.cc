// config.json of Hugging Face checkpoints, in and out (docs/formats.md, "config.json"). Foreign key
// names stand here, in hf_rope.cc and in hf_neighbours.cc, and nowhere else. A value that hadal does not implement is
// refused, never replaced.
#include <charconv>
#include <cstdlib>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/model/config.h"
#include "hadal/model/hf_fields.h"
#include "hadal/model/hf_neighbours.h"
#include "hadal/model/hf_rope.h"
#include "hadal/model/hf_storage.h"

namespace hadal {
namespace {

template <class T>
struct Spelling {
  const char* name;
  T value;
};
constexpr Spelling<ScoringFunction> kScoring[] = {{"sigmoid", ScoringFunction::kSigmoid},
                                                  {"softmax", ScoringFunction::kSoftmax}};
constexpr Spelling<TopkMethod> kMethods[] = {
    {"noaux_tc", TopkMethod::kNoauxTc},
    {"group_limited_greedy", TopkMethod::kGroupLimitedGreedy},
    {"greedy", TopkMethod::kGreedy}};
constexpr Spelling<MtpHidden> kMtpHidden[] = {{"post_norm", MtpHidden::kPostNorm},
                                              {"pre_norm", MtpHidden::kPreNorm}};
constexpr Spelling<bool> kPowerOfTwoScales[] = {{"ue8m0", true}, {"float", false}};

template <class T, size_t N>
T choose(const HfFields& fields, std::string_view key, const Spelling<T> (&spellings)[N],
         T fallback) {
  if (!fields.has(key)) return fallback;
  const std::string found = fields.text(key, "");
  std::string expected;
  for (const Spelling<T>& spelling : spellings) {
    if (found == spelling.name) return spelling.value;
    expected += concat(expected.empty() ? "" : " or ", '"', spelling.name, '"');
  }
  fields.refuse(key, in_quotes(found), expected);
}

template <class T, size_t N>
const char* spelling_of(const Spelling<T> (&spellings)[N], T value) {
  for (const Spelling<T>& spelling : spellings) {
    if (spelling.value == value) return spelling.name;
  }
  return "";
}

// What every supported checkpoint agrees on.
void refuse_other_architectures(const HfFields& fields, const ModelConfig& config) {
  if (const Json* names = fields.find("architectures")) {
    const bool known = names->is_array() && names->as_array().size() == 1 &&
                       (names->as_array()[0] == Json("DeepseekV3ForCausalLM") ||
                        names->as_array()[0] == Json("DeepseekV2ForCausalLM"));
    if (!known) {
      fields.refuse("architectures", names->dump(),
                    "[\"DeepseekV3ForCausalLM\"] or [\"DeepseekV2ForCausalLM\"]");
    }
  }
  fields.expect_text("hidden_act", "silu");
  fields.expect_boolean("attention_bias", false);
  fields.expect_boolean("rope_interleave", true);
  if (fields.number("attention_dropout", 0.0) != 0.0) {
    fields.refuse("attention_dropout", fields.find("attention_dropout")->dump(), "0");
  }
  const int64_t n_kv_heads = fields.integer("num_key_value_heads", config.n_heads);
  if (n_kv_heads != config.n_heads) {
    fields.refuse("num_key_value_heads", std::to_string(n_kv_heads),
                  concat("num_attention_heads, ", config.n_heads));
  }
}

void read_router(const HfFields& fields, ModelConfig& config) {
  const bool v2 = config.model_type == "deepseek_v2";
  RouterConfig& router = config.router;
  router.scoring = choose(fields, "scoring_func", kScoring,
                          v2 ? ScoringFunction::kSoftmax : ScoringFunction::kSigmoid);
  router.method =
      choose(fields, "topk_method", kMethods, v2 ? TopkMethod::kGreedy : TopkMethod::kNoauxTc);
  router.n_routed_experts = fields.integer("n_routed_experts");
  router.top_k = fields.integer("num_experts_per_tok");
  const bool grouped = router.method != TopkMethod::kGreedy;
  for (const char* key : {"n_group", "topk_group"}) {
    if (!grouped || !fields.is_null(key)) continue;
    throw FormatError({.place = fields.source(),
                       .field = key,
                       .problem = "null, and this router chooses among groups",
                       .expected = "a whole number",
                       .advice = "write 1 for a model without groups"});
  }
  router.n_group = grouped ? fields.integer("n_group") : fields.integer("n_group", 1);
  router.topk_group = grouped ? fields.integer("topk_group") : fields.integer("topk_group", 1);
  router.norm_topk_prob = fields.boolean("norm_topk_prob", !v2);
  const double scaling =
      v2 ? fields.number("routed_scaling_factor", 1.0) : fields.number("routed_scaling_factor");
  // A range first: casting a larger double to float is undefined.
  if (!(scaling > 0.0 && scaling < 1e6)) {
    fields.refuse("routed_scaling_factor", fields.find("routed_scaling_factor")->dump(),
                  "a positive number");
  }
  router.routed_scaling_factor = static_cast<float>(scaling);
}

void read_quantization(const HfFields& fields, ModelConfig& config) {
  const Json* object = fields.find("quantization_config");
  if (!object) return;
  const HfFields quantization(*object, fields.source(), "quantization_config");
  const std::string method = quantization.text("quant_method", "");
  if (method == "hadal") {  // docs/weights.md; the reader holds the tensors to it
    read_hadal_storage(quantization);
    return;
  }
  refuse_neighbours_quantization(quantization);
  if (method != "fp8") {
    quantization.refuse("quant_method", in_quotes(method), "\"fp8\" or \"hadal\"");
  }
  quantization.expect_text("fmt", "e4m3");
  quantization.expect_text("activation_scheme", "dynamic");
  const Json* block = quantization.find("weight_block_size");
  if (!block || *block != Json(Json::Array{128, 128})) {
    quantization.refuse("weight_block_size", block ? block->dump() : "nothing", "[128,128]");
  }
  config.fp8 = true;
  config.fp8_power_of_two_scales = choose(quantization, "scale_fmt", kPowerOfTwoScales, false);
}

// Two spellings of one number.
int64_t read_n_mtp(const HfFields& fields) {
  const int64_t other = fields.integer("num_mtp_layers", 0);
  const int64_t n_mtp = fields.integer("num_nextn_predict_layers", other);
  if (fields.has("num_mtp_layers") && other != n_mtp) {
    fields.refuse("num_mtp_layers", std::to_string(other),
                  concat("num_nextn_predict_layers, ", n_mtp));
  }
  return n_mtp;
}

void read_ids(const HfFields& fields, ModelConfig& config) {
  config.bos_token_id = fields.integer("bos_token_id", -1);
  config.eos_token_ids.clear();
  const Json* eos = fields.find("eos_token_id");
  if (eos && eos->is_array()) {
    for (const Json& id : eos->as_array()) {
      config.eos_token_ids.push_back(fields.to_integer("eos_token_id", id));
    }
  } else if (eos) {
    config.eos_token_ids.push_back(fields.to_integer("eos_token_id", *eos));
  }
}

// The double that prints as the float does: 2.446F becomes 2.446, not 2.4460000991821289.
double as_printed(float value) {
  char text[64];
  *std::to_chars(text, text + sizeof text - 1, value).ptr = '\0';
  return std::strtod(text, nullptr);
}

Json yarn_to_hf(const YarnConfig& yarn) {
  Json json = Json::object();
  json["type"] = "yarn";
  json["factor"] = yarn.factor;
  json["original_max_position_embeddings"] = yarn.original_max_position;
  json["beta_fast"] = yarn.beta_fast;
  json["beta_slow"] = yarn.beta_slow;
  json["mscale"] = yarn.mscale;
  json["mscale_all_dim"] = yarn.mscale_all_dim;
  return json;
}

}  // namespace

ModelConfig config_from_hf(const Json& json, const std::string& source) {
  const HfFields fields(json, source);
  refuse_neighbours(fields);
  ModelConfig c;
  c.model_type = fields.text("model_type", "");
  if (c.model_type != "deepseek_v3" && c.model_type != "deepseek_v2" && c.model_type != "kimi_k2") {
    fields.refuse("model_type", in_quotes(c.model_type),
                  "\"deepseek_v3\", \"deepseek_v2\" or \"kimi_k2\"");
  }
  c.d_model = fields.integer("hidden_size");
  c.n_layers = fields.integer("num_hidden_layers");
  c.vocab_size = fields.integer("vocab_size");
  c.rms_norm_eps = fields.number("rms_norm_eps", 1e-6);
  c.tie_word_embeddings = fields.boolean("tie_word_embeddings", false);
  c.max_position_embeddings = fields.integer("max_position_embeddings");
  c.n_heads = fields.integer("num_attention_heads");
  // 0 is our "no query latent"; in the file that is null, and a 0 is a mistake.
  c.q_lora_rank = fields.integer("q_lora_rank", 0);
  if (fields.has("q_lora_rank") && c.q_lora_rank <= 0) {
    fields.refuse("q_lora_rank", std::to_string(c.q_lora_rank), "a positive number or null");
  }
  c.kv_lora_rank = fields.integer("kv_lora_rank");
  c.qk_nope_head_dim = fields.integer("qk_nope_head_dim");
  c.qk_rope_head_dim = fields.integer("qk_rope_head_dim");
  c.v_head_dim = fields.integer("v_head_dim");
  read_hf_rope(fields, c);
  c.d_ff = fields.integer("intermediate_size");
  c.d_expert = fields.integer("moe_intermediate_size");
  c.n_shared_experts = fields.integer("n_shared_experts", 0);
  c.first_k_dense_replace = fields.integer("first_k_dense_replace");
  c.moe_layer_freq = fields.integer("moe_layer_freq", 1);
  read_router(fields, c);
  c.swiglu_limit = fields.number("swiglu_limit", 0.0);
  if (!(c.swiglu_limit >= 0.0 && c.swiglu_limit < 1e6)) {
    fields.refuse("swiglu_limit", fields.find("swiglu_limit")->dump(), "a positive number");
  }
  c.n_mtp = read_n_mtp(fields);
  c.mtp_hidden = choose(fields, "hadal_mtp_hidden", kMtpHidden, MtpHidden::kPostNorm);
  read_ids(fields, c);
  read_quantization(fields, c);
  c.torch_dtype = fields.text("torch_dtype", fields.text("dtype", "bfloat16"));
  if (c.torch_dtype != "bfloat16" && c.torch_dtype != "float32" && c.torch_dtype != "float16") {
    fields.refuse(fields.has("torch_dtype") ? "torch_dtype" : "dtype", in_quotes(c.torch_dtype),
                  "\"bfloat16\", \"float32\" or \"float16\"");
  }
  refuse_other_architectures(fields, c);
  try {
    c.validate();
  } catch (const ConfigError& error) {
    throw FormatError(error.in(source));
  }
  return c;
}

Json config_to_hf(const ModelConfig& c) {
  const RouterConfig& router = c.router;
  Json json = Json::object();
  json["architectures"] = Json::Array{c.model_type == "deepseek_v2" ? "DeepseekV2ForCausalLM"
                                                                    : "DeepseekV3ForCausalLM"};
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
  json["bos_token_id"] = c.bos_token_id < 0 ? Json() : Json(c.bos_token_id);
  json["eos_token_id"] = c.eos_token_ids.empty()       ? Json()
                         : c.eos_token_ids.size() == 1 ? Json(c.eos_token_ids[0])
                                                       : Json::array_of(c.eos_token_ids);
  json["ep_size"] = 1;
  json["first_k_dense_replace"] = c.first_k_dense_replace;
  if (c.mtp_hidden != MtpHidden::kPostNorm) {
    json["hadal_mtp_hidden"] = spelling_of(kMtpHidden, c.mtp_hidden);
  }
  json["hidden_act"] = "silu";
  json["hidden_size"] = c.d_model;
  json["initializer_range"] = 0.006;
  json["intermediate_size"] = c.d_ff;
  json["kv_lora_rank"] = c.kv_lora_rank;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["model_type"] = c.model_type;
  json["moe_intermediate_size"] = c.d_expert;
  json["moe_layer_freq"] = c.moe_layer_freq;
  json["n_group"] = router.n_group;
  json["n_routed_experts"] = router.n_routed_experts;
  json["n_shared_experts"] = c.n_shared_experts == 0 ? Json() : Json(c.n_shared_experts);
  json["norm_topk_prob"] = router.norm_topk_prob;
  json["num_attention_heads"] = c.n_heads;
  json["num_experts_per_tok"] = router.top_k;
  json["num_hidden_layers"] = c.n_layers;
  json["num_key_value_heads"] = c.n_heads;
  json["num_nextn_predict_layers"] = c.n_mtp;
  json["q_lora_rank"] = c.q_lora_rank == 0 ? Json() : Json(c.q_lora_rank);
  json["qk_nope_head_dim"] = c.qk_nope_head_dim;
  json["qk_rope_head_dim"] = c.qk_rope_head_dim;
  if (c.fp8) json["quantization_config"] = hf_fp8_storage(c.fp8_power_of_two_scales);
  json["rms_norm_eps"] = c.rms_norm_eps;
  json["rope_scaling"] = c.yarn ? yarn_to_hf(*c.yarn) : Json();
  json["rope_theta"] = c.rope_theta;
  json["routed_scaling_factor"] = as_printed(router.routed_scaling_factor);
  json["scoring_func"] = spelling_of(kScoring, router.scoring);
  json["seq_aux"] = true;
  if (c.swiglu_limit > 0.0) json["swiglu_limit"] = c.swiglu_limit;
  json["tie_word_embeddings"] = c.tie_word_embeddings;
  json["topk_group"] = router.topk_group;
  json["topk_method"] = spelling_of(kMethods, router.method);
  json["torch_dtype"] = c.torch_dtype;
  json["use_cache"] = true;
  json["v_head_dim"] = c.v_head_dim;
  json["vocab_size"] = c.vocab_size;
  return json;
}

void set_hf_found(Json& config, const ModelConfig& found) {
  const Json* tied = config.find("tie_word_embeddings");
  if (tied && *tied == Json(!found.tie_word_embeddings)) {
    config["tie_word_embeddings"] = found.tie_word_embeddings;
  }
  for (const char* key : {"num_nextn_predict_layers", "num_mtp_layers"}) {
    const Json* n_mtp = config.find(key);
    if (n_mtp && n_mtp->is_number() && n_mtp->as_integer() != found.n_mtp) {
      config[key] = found.n_mtp;
    }
  }
}

}  // namespace hadal
