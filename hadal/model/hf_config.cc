// config.json of Hugging Face checkpoints, in and out (docs/formats.md, "config.json"). Foreign key
// names stand here and nowhere else. A value that hadal does not implement is refused, never replaced.
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/model/config.h"

namespace hadal {
namespace {

// Reads the members of one object; every error names file, key, found and expected.
class Fields {
 public:
  Fields(const Json& object, std::string source, std::string prefix = "")
      : object_(object), source_(std::move(source)), prefix_(std::move(prefix)) {
    if (!object.is_object()) {
      throw FormatError(concat(source_, ": ", prefix_.empty() ? "the configuration" : prefix_,
                               " is no object (found ", object.type_name(), ", expected {...})"));
    }
  }

  // null counts as absent
  const Json* find(std::string_view key) const {
    const Json* value = object_.find(key);
    return value && !value->is_null() ? value : nullptr;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }

  int64_t integer(std::string_view key) const { return to_integer(key, required(key)); }
  int64_t integer(std::string_view key, int64_t fallback) const {
    const Json* value = find(key);
    return value ? to_integer(key, *value) : fallback;
  }
  double number(std::string_view key) const { return to_number(key, required(key)); }
  double number(std::string_view key, double fallback) const {
    const Json* value = find(key);
    return value ? to_number(key, *value) : fallback;
  }
  bool boolean(std::string_view key, bool fallback) const {
    const Json* value = find(key);
    if (value && !value->is_bool()) refuse(key, value->dump(), "true or false");
    return value ? value->as_bool() : fallback;
  }
  std::string text(std::string_view key, const std::string& fallback) const {
    const Json* value = find(key);
    if (value && !value->is_string()) refuse(key, value->dump(), "a string");
    return value ? value->as_string() : fallback;
  }
  int64_t to_integer(std::string_view key, const Json& value) const {
    const bool whole = value.is_number() && std::abs(value.as_number()) < 0x1.0p62 &&
                       std::trunc(value.as_number()) == value.as_number();
    if (!whole) refuse(key, value.dump(), "a whole number");
    return value.as_integer();
  }

  [[noreturn]] void refuse(std::string_view key, const std::string& found,
                           std::string_view expected) const {
    throw FormatError(concat(source_, ": ", name(key), ": not supported (found ",
                             found.substr(0, 100), ", expected ", expected, ")"));
  }
  std::string name(std::string_view key) const {
    return prefix_.empty() ? std::string(key) : concat(prefix_, ".", key);
  }
  const std::string& source() const { return source_; }

 private:
  const Json& required(std::string_view key) const {
    const Json* value = object_.find(key);
    if (!value) {
      throw FormatError(
          concat(source_, ": ", name(key), ": missing; a DeepSeek-V3 config.json needs this key"));
    }
    return *value;
  }
  double to_number(std::string_view key, const Json& value) const {
    if (!value.is_number() || !std::isfinite(value.as_number()))
      refuse(key, value.dump(), "a number");
    return value.as_number();
  }
  const Json& object_;
  std::string source_, prefix_;
};

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

template <class T, size_t N>
T choose(const Fields& fields, std::string_view key, const Spelling<T> (&spellings)[N],
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

void expect_text(const Fields& fields, std::string_view key, const std::string& only) {
  if (fields.has(key) && fields.text(key, only) != only) {
    fields.refuse(key, in_quotes(fields.text(key, only)), in_quotes(only));
  }
}

void expect_boolean(const Fields& fields, std::string_view key, bool only) {
  if (fields.boolean(key, only) != only) {
    fields.refuse(key, only ? "false" : "true", only ? "true" : "false");
  }
}

// What every supported checkpoint agrees on.
void refuse_other_architectures(const Fields& fields, const ModelConfig& config) {
  if (const Json* names = fields.find("architectures")) {
    const bool known = names->is_array() && names->as_array().size() == 1 &&
                       (names->as_array()[0] == Json("DeepseekV3ForCausalLM") ||
                        names->as_array()[0] == Json("DeepseekV2ForCausalLM"));
    if (!known) {
      fields.refuse("architectures", names->dump(),
                    "[\"DeepseekV3ForCausalLM\"] or [\"DeepseekV2ForCausalLM\"]");
    }
  }
  expect_text(fields, "hidden_act", "silu");
  expect_boolean(fields, "attention_bias", false);
  expect_boolean(fields, "rope_interleave", true);
  if (fields.number("attention_dropout", 0.0) != 0.0) {
    fields.refuse("attention_dropout", fields.find("attention_dropout")->dump(), "0");
  }
  const int64_t n_kv_heads = fields.integer("num_key_value_heads", config.n_heads);
  if (n_kv_heads != config.n_heads) {
    fields.refuse("num_key_value_heads", std::to_string(n_kv_heads),
                  concat("num_attention_heads, ", config.n_heads));
  }
  if (fields.has("index_topk")) {
    fields.refuse("index_topk", fields.find("index_topk")->dump(),
                  "dense attention, without this key");
  }
}

std::optional<YarnConfig> read_yarn(const Fields& fields) {
  const Fields& f = fields;
  const std::string type = f.text("type", f.text("rope_type", "default"));
  if (f.has("type") && f.has("rope_type") && f.text("rope_type", "") != type) {
    f.refuse("rope_type", in_quotes(f.text("rope_type", "")),
             "the same as type, " + in_quotes(type));
  }
  if (type == "default") return std::nullopt;
  if (type != "yarn") f.refuse(f.has("type") ? "type" : "rope_type", in_quotes(type), "\"yarn\"");
  if (f.has("attention_factor")) {
    f.refuse("attention_factor", f.find("attention_factor")->dump(), "mscale and mscale_all_dim");
  }
  expect_boolean(f, "truncate", true);
  YarnConfig yarn;
  yarn.factor = f.number("factor");
  yarn.original_max_position = f.integer("original_max_position_embeddings");
  yarn.beta_fast = f.number("beta_fast", 32.0);
  yarn.beta_slow = f.number("beta_slow", 1.0);
  yarn.mscale = f.number("mscale", 1.0);
  yarn.mscale_all_dim = f.number("mscale_all_dim", 0.0);
  return yarn;
}

// Older files: rope_theta and rope_scaling. Newer: rope_parameters holds both.
void read_rope(const Fields& fields, ModelConfig& config) {
  config.rope_theta = fields.number("rope_theta", 10000.0);
  config.yarn.reset();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const Json* object = fields.find(key);
    if (!object) continue;
    const Fields rope(*object, fields.source(), key);
    config.rope_theta = rope.number("rope_theta", config.rope_theta);
    config.yarn = read_yarn(rope);
  }
}

void read_router(const Fields& fields, ModelConfig& config) {
  const bool v2 = config.model_type == "deepseek_v2";
  RouterConfig& router = config.router;
  router.scoring = choose(fields, "scoring_func", kScoring,
                          v2 ? ScoringFunction::kSoftmax : ScoringFunction::kSigmoid);
  router.method =
      choose(fields, "topk_method", kMethods, v2 ? TopkMethod::kGreedy : TopkMethod::kNoauxTc);
  router.n_routed_experts = fields.integer("n_routed_experts");
  router.top_k = fields.integer("num_experts_per_tok");
  const bool grouped = router.method != TopkMethod::kGreedy;
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

void read_quantization(const Fields& fields, ModelConfig& config) {
  const Json* object = fields.find("quantization_config");
  if (!object) return;
  const Fields quantization(*object, fields.source(), "quantization_config");
  const std::string method = quantization.text("quant_method", "");
  if (method == "hadal") {  // 8 and 4 bit blocks, docs/formats.md; the tensors say which
    const int64_t bits = quantization.integer("bits");
    if (bits != 8 && bits != 4) quantization.refuse("bits", std::to_string(bits), "8 or 4");
    const int64_t block = quantization.integer("block_size");
    if (block != 32) quantization.refuse("block_size", std::to_string(block), "32");
    return;
  }
  if (method != "fp8") {
    quantization.refuse("quant_method", in_quotes(method), "\"fp8\" or \"hadal\"");
  }
  expect_text(quantization, "fmt", "e4m3");
  expect_text(quantization, "activation_scheme", "dynamic");
  const Json* block = quantization.find("weight_block_size");
  if (!block || *block != Json(Json::Array{128, 128})) {
    quantization.refuse("weight_block_size", block ? block->dump() : "nothing", "[128,128]");
  }
  expect_text(quantization, "scale_fmt", "ue8m0");
  config.fp8 = true;
  config.fp8_power_of_two_scales = quantization.has("scale_fmt");
}

void read_ids(const Fields& fields, ModelConfig& config) {
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

Json fp8_to_hf(bool power_of_two_scales) {
  Json json = Json::object();
  json["activation_scheme"] = "dynamic";
  json["fmt"] = "e4m3";
  json["quant_method"] = "fp8";
  if (power_of_two_scales) json["scale_fmt"] = "ue8m0";
  json["weight_block_size"] = Json::Array{128, 128};
  return json;
}

}  // namespace

ModelConfig config_from_hf(const Json& json, const std::string& source) {
  const Fields fields(json, source);
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
  read_rope(fields, c);
  c.d_ff = fields.integer("intermediate_size");
  c.d_expert = fields.integer("moe_intermediate_size");
  c.n_shared_experts = fields.integer("n_shared_experts", 0);
  c.first_k_dense_replace = fields.integer("first_k_dense_replace");
  c.moe_layer_freq = fields.integer("moe_layer_freq", 1);
  read_router(fields, c);
  c.n_mtp = fields.integer("num_nextn_predict_layers", fields.integer("num_mtp_layers", 0));
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
  if (c.fp8) json["quantization_config"] = fp8_to_hf(c.fp8_power_of_two_scales);
  json["rms_norm_eps"] = c.rms_norm_eps;
  json["rope_scaling"] = c.yarn ? yarn_to_hf(*c.yarn) : Json();
  json["rope_theta"] = c.rope_theta;
  json["routed_scaling_factor"] = as_printed(router.routed_scaling_factor);
  json["scoring_func"] = spelling_of(kScoring, router.scoring);
  json["seq_aux"] = true;
  json["tie_word_embeddings"] = c.tie_word_embeddings;
  json["topk_group"] = router.topk_group;
  json["topk_method"] = spelling_of(kMethods, router.method);
  json["torch_dtype"] = c.torch_dtype;
  json["use_cache"] = true;
  json["v_head_dim"] = c.v_head_dim;
  json["vocab_size"] = c.vocab_size;
  return json;
}

void set_hf_storage(Json& config, HfStorage storage) {
  std::erase_if(config.as_object(), [](const Json::Member& member) {
    return member.first == "dtype" || member.first == "quantization_config";
  });
  config["torch_dtype"] = storage == HfStorage::kF32 ? "float32" : "bfloat16";
  if (storage == HfStorage::kFp8 || storage == HfStorage::kFp8PowerOfTwo) {
    config["quantization_config"] = fp8_to_hf(storage == HfStorage::kFp8PowerOfTwo);
  } else if (storage == HfStorage::kQ8 || storage == HfStorage::kQ4) {
    Json quantization = Json::object();
    quantization["quant_method"] = "hadal";
    quantization["bits"] = storage == HfStorage::kQ8 ? 8 : 4;
    quantization["block_size"] = 32;
    config["quantization_config"] = std::move(quantization);
  }
}

}  // namespace hadal
