#include "hadal/model/hf_neighbours.h"

#include <algorithm>
#include <iterator>

#include "hadal/model/hf_names.h"

namespace hadal {
namespace {

constexpr const char* kUseV31 = "use DeepSeek-V3.1 or an earlier one, whose attention is dense";
constexpr const char* kUseOriginal =
    "use the BF16 or FP8 original, or let the tool that made this write BF16, and make 4 bits of "
    "that "
    "with hadal convert";
constexpr const char* kUseTextPart =
    "take its text part alone: the inner configuration as config.json, and the tensors without the "
    "name of that part in front";

struct Neighbour {
  std::string_view key;    // of config.json, or a part of a tensor's name
  std::string_view value;  // what its text begins with; empty: any value but null and false
  const char* problem;
  const char* advice;
};

constexpr const char* kIndexer =
    "the indexer of DeepSeek-V3.2's sparse attention, which chooses the tokens to be read, is "
    "missing "
    "in hadal";
constexpr const char* kV4 =
    "DeepSeek-V4's compressed attention, hyper-connections and FP4 experts are missing in hadal";
constexpr const char* kVision = "the part that reads images is missing in hadal";

// Whole models first: a key further down may be theirs, too.
constexpr Neighbour kConfigs[] = {
    {"model_type", "deepseek_v4", kV4, kUseV31},
    {"model_type", "deepseek_v32", kIndexer, kUseV31},
    {"model_type", "deepseek_vl", kVision, kUseTextPart},
    {"model_type", "deepseek_ocr", kVision, kUseTextPart},
    {"model_type", "kimi_vl", kVision, kUseTextPart},
    {"model_type", "kimi_k25", kVision, kUseTextPart},
    {"model_type", "kimi_linear",
     "Kimi Linear's attention with a recurrent state is missing in hadal",
     "use Kimi-K2 or Moonlight"},
    {"compress_ratios", "", kV4, kUseV31},
    {"hc_mult", "", kV4, kUseV31},
    {"expert_dtype", "fp4", kV4, kUseV31},
    {"index_topk", "", kIndexer, kUseV31},
    {"index_n_heads", "", kIndexer, kUseV31},
    {"vision_config", "", kVision, kUseTextPart},
    {"linear_attn_config", "", "attention with a recurrent state is missing in hadal",
     "use a model whose layers all have latent attention"},
    {"sliding_window", "", "attention within a sliding window is missing in hadal",
     "use a model whose attention reaches all positions"},
    {"architectures", "[\"DeepseekV3ForCausalLMNextN\"",
     "an MTP module by itself, without the model that it drafts for",
     "give the folder of the whole model: its MTP module is used from there"}};

// "deepseek" is also how the names above begin.
constexpr std::string_view kV1 = "deepseek";

constexpr Neighbour kPackedMethods[] = {
    {"", "compressed-tensors",
     "INT4 and other packed weights of compressed-tensors are missing in hadal", kUseOriginal},
    {"", "awq", "AWQ's packed 4-bit weights are missing in hadal", kUseOriginal},
    {"", "gptq", "GPTQ's packed 4-bit weights are missing in hadal", kUseOriginal},
    {"", "auto-round", "AutoRound's packed weights are missing in hadal", kUseOriginal},
    {"", "mxfp4", "MXFP4 weights, 4-bit floats with a scale for 32, are missing in hadal",
     kUseOriginal},
    {"", "modelopt", "NVFP4 and per-tensor FP8 weights of ModelOpt are missing in hadal",
     kUseOriginal},
    {"", "quark", "the packed weights of Quark are missing in hadal", kUseOriginal},
    {"", "bitsandbytes", "the packed weights of bitsandbytes are missing in hadal", kUseOriginal}};

// Parts of names. Those of whole models first, as above.
constexpr Neighbour kTensors[] = {
    {".self_attn.indexer.", "", kIndexer, kUseV31},
    {"hc_attn_", "", kV4, kUseV31},
    {".attn.compressor.", "", kV4, kUseV31},
    {"vision_tower.", "", kVision, kUseTextPart},
    {"vision_model.", "", kVision, kUseTextPart},
    {"vision.blocks.", "", kVision, kUseTextPart},
    {"sam_model.", "", kVision, kUseTextPart},
    {"language_model.", "", "the text part of a model of text and images, under its name there",
     kUseTextPart},
    {".attn.wkv_a.weight", "", "tensors under the names of DeepSeek's own demo program",
     "give the published folder that they were converted from"},
    {".weight_packed", "",
     "packed weights of compressed-tensors, as the INT4 experts of Kimi-K2-Thinking, "
     "are missing in hadal",
     kUseOriginal},
    {".qweight", "", "packed 4-bit weights of AWQ or GPTQ are missing in hadal", kUseOriginal},
    {"_proj_blocks", "", "MXFP4 weights, 4-bit floats with a scale for 32, are missing in hadal",
     kUseOriginal},
    {".weight_scale_2", "", "NVFP4 weights, 4-bit floats with a scale for 16, are missing in hadal",
     kUseOriginal}};

bool says(const HfFields& fields, const Neighbour& neighbour) {
  const Json* value = fields.find(neighbour.key);
  if (!value || *value == Json(false)) return false;
  const std::string text = value->is_string() ? value->as_string() : value->dump();
  return text.starts_with(neighbour.value);
}

[[noreturn]] void refuse(const HfFields& fields, std::string_view key, const char* problem,
                         const std::string& found, const char* advice) {
  throw FormatError({.place = fields.source(),
                     .field = fields.name(key),
                     .problem = problem,
                     .found = found,
                     .advice = advice});
}

// "compressed-tensors, 4 bits of int": what its first group of weights says.
std::string packed_text(const HfFields& quantization, const std::string& method) {
  const Json* groups = quantization.find("config_groups");
  if (!groups || !groups->is_object() || groups->as_object().empty()) return in_quotes(method);
  const Json& first = groups->as_object().front().second;
  const Json* weights = first.is_object() ? first.find("weights") : nullptr;
  if (!weights || !weights->is_object()) return in_quotes(method);
  const Json *bits = weights->find("num_bits"), *type = weights->find("type");
  if (!bits || !type) return in_quotes(method);
  return concat(in_quotes(method), " with ", bits->dump(), " bits of ", type->dump());
}

std::string tensor_text(const std::string& name, const TensorInfo& info) {
  return concat(in_quotes(name), " ", dtype_name(info.dtype), " ", shape_text(info.shape));
}

}  // namespace

void refuse_neighbours(const HfFields& config) {
  if (config.text("model_type", "") == kV1) {
    refuse(config, "model_type",
           "the attention of the first DeepSeek-MoE, keys and values of every head, is missing in "
           "hadal",
           in_quotes(kV1), "use DeepSeek-V2-Lite or a later one, with latent attention");
  }
  const auto* const found = std::find_if(std::begin(kConfigs), std::end(kConfigs),
                                         [&](const Neighbour& each) { return says(config, each); });
  if (found == std::end(kConfigs)) return;
  const std::string value = config.find(found->key)->dump();
  refuse(config, found->key, found->problem, value, found->advice);
}

void refuse_neighbours_quantization(const HfFields& quantization) {
  const std::string method = quantization.text("quant_method", "");
  for (const Neighbour& each : kPackedMethods) {
    if (!method.starts_with(each.value)) continue;
    refuse(quantization, "quant_method", each.problem, packed_text(quantization, method),
           each.advice);
  }
}

void refuse_neighbours_tensors(const TensorSource& source) {
  for (const Neighbour& each : kTensors) {
    for (const auto& [name, entry] : source.entries()) {
      if (name.find(each.key) == std::string::npos) continue;
      throw FormatError({.place = entry.file->path(),
                         .problem = each.problem,
                         .found = tensor_text(name, *entry.info),
                         .advice = each.advice});
    }
  }
  for (const auto& [name, entry] : source.entries()) {
    const std::string unfused = hf_unfused_name(name);
    if (unfused.empty()) continue;
    throw FormatError(
        {.place = entry.file->path(),
         .problem = "all experts of a layer in one tensor",
         .found = in_quotes(name),
         .expected = {in_quotes(unfused), " and so on, one for each expert"},
         .advice = "save it again in the original format, as save_pretrained of transformers does "
                   "unless told save_original_format=False"});
  }
}

}  // namespace hadal
