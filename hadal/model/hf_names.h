// model/hf_names.h: the tensor names of Hugging Face checkpoints (docs/formats.md, "Tensors of a
// checkpoint"). Those names stand in hf_names.cc and nowhere else; named_params (deepseek_v3.h) is
// implemented there too.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/model/deepseek_v3.h"

namespace hadal {

// The block scales that belong to an FP8 weight: "X.weight" -> "X.weight_scale_inv".
std::string hf_scale_name(const std::string& weight_name);

// hadal's own 8 and 4 bit blocks: "X.weight" -> "X.weight_qscale" (docs/formats.md).
std::string quant_scale_name(const std::string& weight_name);

// Stored as FP8 (or in 8 or 4 bits) in a quantised checkpoint: the projections of attention and
// feed-forward networks; not eh_proj, router, embedding, head and norms.
bool hf_is_quantised(const std::string& weight_name);

// What a matrix does: the unit in which a checkpoint's precision can be mixed (docs/weights.md).
enum class WeightClass {
  kOther,
  kAttention,
  kDense,
  kExperts,
  kShared,
  kHead,
  kEmbedding,
  kEhProj
};
// kOther: norms, routers, biases and whatever is no weight. Copies in MTP modules are what they copy.
WeightClass hf_class_of(const std::string& weight_name);
std::string_view class_name(WeightClass weight_class);              // "attention", "eh_proj"
std::optional<WeightClass> class_from_name(std::string_view name);  // all but kOther

std::string hf_embedding_name();
std::string hf_head_name();  // may be repeated where embedding and head are tied

// "model.layers.3.mlp.experts.gate_up_proj": all experts of a layer in one tensor, as newer tools
// hold them in memory. Gives a name that a checkpoint has in its place, "" for other names.
std::string hf_unfused_name(const std::string& name);

// Not parameters, but found in some checkpoints: rotary frequencies.
bool hf_is_ignored(const std::string& name);

// A checkpoint may repeat the shared embedding and head inside every MTP layer; loaders ignore the
// copies, writers may add them. One entry per copy.
struct HfCopy {
  std::string name;  // "model.layers.61.embed_tokens.weight"
  std::string of;    // the main tensor's name
};
std::vector<HfCopy> hf_mtp_copies(const ModelConfig& config);

// The decoder layer a name belongs to, -1 for the tensors outside of all layers.
int64_t hf_layer_of(const std::string& name);

}  // namespace hadal
